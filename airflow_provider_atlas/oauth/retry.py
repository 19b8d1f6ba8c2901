"""Waits for Atlas in the process that makes the request: tenacity's loop around the decision of :mod:`.retry_after`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception

from airflow_provider_atlas.exceptions import AtlasError, RateLimited
from airflow_provider_atlas.oauth.retry_after import Backoff

T = TypeVar("T")


def call_with_retry(
    call: Callable[[], T],
    max_wait: float,
    *,
    on_wait: Callable[[AtlasError, float], None] = lambda error, seconds: None,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> T:
    """
    Call until it succeeds or fails for a reason that waiting does not change.

    :param max_wait: seconds in all. A wait that would exceed it is not begun: the error is raised at once.
    :param on_wait: is told of each wait before it begins.
    :raises AtlasError: the last one, with the seconds that were ``waited``.
    """
    start, backoff = clock(), Backoff()

    def wait(state: RetryCallState) -> float:
        # tenacity asks for the wait first and then whether to stop: an infinite one stops.
        error = state.outcome.exception() if state.outcome else None
        seconds = backoff.seconds(error) if error else None
        return float("inf") if seconds is None else seconds

    def before_sleep(state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        if isinstance(error, AtlasError):
            on_wait(error, state.upcoming_sleep)

    with recording_wait(clock, max_wait):
        return Retrying(
            retry=retry_if_exception(lambda error: isinstance(error, AtlasError)),
            wait=wait,
            stop=lambda state: clock() - start + state.upcoming_sleep > max_wait,
            sleep=sleep,
            before_sleep=before_sleep,
            reraise=True,
        )(call)


@contextmanager
def recording_wait(clock: Callable[[], float], max_wait: float) -> Iterator[None]:
    """Record in an error how long the wait before it was, if that is at least a second, and how long it could be."""
    start = clock()
    try:
        yield
    except AtlasError as error:
        error.waited = clock() - start if clock() - start >= 1 else None
        if isinstance(error, RateLimited):
            error.allowed = max_wait
        raise
