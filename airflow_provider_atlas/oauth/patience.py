"""Waits for Atlas in the process that asks: tenacity's loop around the one decision of :mod:`.limits`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception

from airflow_provider_atlas.oauth.errors import AtlasError
from airflow_provider_atlas.oauth.limits import seconds_to_wait

T = TypeVar("T")


def patiently(
    call: Callable[[], T],
    max_wait: float,
    *,
    on_wait: Callable[[AtlasError, float], None] = lambda error, seconds: None,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> T:
    """
    Call until Atlas gives an answer that waiting does not change.

    :param max_wait: seconds in all. A wait that would go beyond is not begun: the error is raised at once.
    :param on_wait: is told of each wait before it begins.
    :raises AtlasError: the last one, with the seconds that were ``waited``.
    """
    start = clock()

    def wait(state: RetryCallState) -> float:
        # tenacity asks for the wait first and then whether to stop: an endless one stops.
        error = state.outcome.exception() if state.outcome else None
        seconds = seconds_to_wait(error, state.attempt_number) if error else None
        return float("inf") if seconds is None else seconds

    def before_sleep(state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        if isinstance(error, AtlasError):
            on_wait(error, state.upcoming_sleep)

    with telling_how_long(clock):
        return Retrying(
            retry=retry_if_exception(lambda error: isinstance(error, AtlasError)),
            wait=wait,
            stop=lambda state: clock() - start + state.upcoming_sleep > max_wait,
            sleep=sleep,
            before_sleep=before_sleep,
            reraise=True,
        )(call)


@contextmanager
def telling_how_long(clock: Callable[[], float]) -> Iterator[None]:
    """Let an error that ends a wait say how long that was; less than a second is none."""
    start = clock()
    try:
        yield
    except AtlasError as error:
        error.waited = clock() - start if clock() - start >= 1 else None
        raise
