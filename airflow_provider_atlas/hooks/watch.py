"""One look at Atlas's work, and when to look again: the same decisions on a worker and in a triggerer."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider_atlas.api.codes import PASSES
from airflow_provider_atlas.conditions import FOUND, Condition, fields, get, holds, is_private, pick, unmet
from airflow_provider_atlas.exceptions import (
    AtlasApiError,
    AtlasError,
    AtlasJobFailed,
    AtlasJobTimeout,
    ConnectionNotFound,
    StoreUnavailable,
    UnexpectedResponse,
)
from airflow_provider_atlas.oauth.responses import words
from airflow_provider_atlas.oauth.retry_after import SERVER_ERROR_TRIES, seconds_to_wait

if TYPE_CHECKING:
    from airflow_provider_atlas.hooks.service_account import AtlasServiceAccountHook

log = logging.getLogger(__name__)

#: An operator's interval grows by this factor, up to so many times itself: a restore takes hours.
GROWTH, MOST_INTERVALS = 1.1, 4
#: The part of an interval that is added to it at random, so that a fleet does not look at one moment.
SPREAD = 0.2
#: Where Atlas says in words why a job failed.
REASONS = ("stateReason.message", "stateReason.errorCode", "statusMessage", "message", "detail")


class Watch:
    """
    Looks at one resource until a condition holds.

    :param endpoint: path of the resource; empty if there is nothing to look at, and the wait itself is all.
    :param params: query parameters.
    :param until: what must hold. A 404 is looked at as ``{"$found": False}`` where a condition names ``$found``.
    :param fail_if: what means that it cannot hold any more; asked first.
    :param returns: see :func:`airflow_provider_atlas.conditions.pick`.
    :param show: further fields whose changes are logged.
    :param started: when the task began, epoch seconds.
    """

    def __init__(
        self,
        endpoint: str,
        until: Condition | None = None,
        fail_if: Condition | None = None,
        *,
        params: Mapping[str, Any] | None = None,
        returns: str | Sequence[str] | None = None,
        show: Sequence[str] = (),
        started: float = 0.0,
    ) -> None:
        self.endpoint = endpoint
        self.until = until or {}
        self.fail_if = fail_if or ()
        self.params = params
        self.returns = returns
        self.show = tuple(show)
        self.started = started
        self.state = ""
        self.body: Any = None
        self.trouble: AtlasError | None = None
        self._troubles = 0

    @property
    def elapsed(self) -> float:
        """Seconds since the task began."""
        return max(time.time() - self.started, 0.0)

    def look(self, hook: AtlasServiceAccountHook) -> tuple[bool, Any]:
        """
        Look once.

        :return: whether ``until`` holds, and then what to return.
        :raises AtlasJobFailed: if ``fail_if`` holds.
        :raises AtlasError: what no other look will cure. Limits, errors inside Atlas and lost connections are not.
        """
        try:
            body = self._read(hook)
        except AtlasError as error:
            self.missed(error)
            return False, None
        self._troubles, self.trouble, self.body = 0, None, body
        self._note(body)
        if self.fail_if and holds(self.fail_if, body):
            failed = AtlasJobFailed(self._summary("failed"), state=self.state, description=_reason(body))
            failed.waited = self.elapsed
            raise failed
        if not holds(self.until, body):
            return False, None
        return True, pick(body, self.returns)

    def missed(self, error: AtlasError) -> None:
        """Take note that a look failed, or raise what no other look will cure."""
        self._troubles += 1
        if not is_hiccup(error) or (isinstance(error, ConnectionNotFound) and self._troubles >= SERVER_ERROR_TRIES):
            error.waited = self.elapsed
            raise error
        self.trouble = error
        log.info("Atlas could not be asked this time (%.0f s so far): %s", self.elapsed, error.args[0])

    def _read(self, hook: AtlasServiceAccountHook) -> Any:
        try:
            return hook.run(self.endpoint, params=self.params)
        except AtlasApiError as error:
            if error.status != 404 or FOUND not in {*fields(self.until), *fields(self.fail_if)}:
                raise
        return {FOUND: False}

    def _note(self, body: Any) -> None:
        """Write one log line for each change of the fields that matter."""
        named = dict.fromkeys((*fields(self.until), *fields(self.fail_if), *self.show))
        stated = [(field, get(body, field)) for field in named]
        shown = [(field, "***" if is_private(field) else _text(value)) for field, value in stated if value is not None]
        state = ", ".join(map(" ".join, shown))
        if state != self.state:
            self.state = state
            log.info("%s (%.0f s so far).", state or "No state yet", self.elapsed)

    def timeout(self) -> AtlasJobTimeout:
        """The error for a wait that is over."""
        trouble = str(self.trouble.args[0]) if self.trouble else None
        summary = self._summary("did not end in time")
        if self.body is not None and (different := unmet(self.until, self.body)):
            summary += f". Different from what was wanted: {words('; '.join(different), str, 400)}"
        error = AtlasJobTimeout(summary, state=self.state, description=trouble)
        error.waited = self.elapsed
        return error

    def _summary(self, what: str) -> str:
        return f"The job in Atlas {what}; its last state: {self.state or 'unknown'}"

    def next_look(self, interval: float, growth: float, longest: float, watched: float) -> float:
        """
        Seconds until the next look.

        :param growth: factor from one interval to the next, whose sum is the time watched: a trigger that starts
            again goes on where it was.
        :param longest: the longest interval.
        :param watched: seconds since the first look.
        """
        wait = min(interval + (growth - 1) * max(watched, 0.0), max(longest, interval))
        if isinstance(self.trouble, AtlasError):
            wait = max(wait, seconds_to_wait(self.trouble, self._troubles, deferred=True) or 0.0)
        return wait * random.uniform(1, 1 + SPREAD)  # noqa: S311 - a spread, no secret


def is_hiccup(error: AtlasError) -> bool:
    """Whether an error says nothing about the resource, so that another look may succeed."""
    if isinstance(error, AtlasApiError):
        # Without a status, or with 200, it is a response that is broken; without a method it is one of another form.
        return error.meaning == PASSES or (error.method is not None and error.status in (None, 200))
    return isinstance(error, StoreUnavailable | UnexpectedResponse) or (
        seconds_to_wait(error, 1, deferred=True) is not None
    )


def _text(value: Any) -> str:
    return words(str(value), str, 80) or "?"


def _reason(body: Any) -> str | None:
    found = (get(body, field) for field in REASONS)
    return next((words(value, str) for value in found if isinstance(value, str) and value), None)


def cancel(hook: AtlasServiceAccountHook, path: str, job: str, until: Condition) -> None:
    """
    Delete a job that is not done yet, or say that it goes on.

    :param path: what to DELETE; empty if Atlas cannot cancel this kind of job.
    :param job: path of the job.
    :param until: what holds once the job is done.
    """
    if not path:
        log.warning("Atlas cannot cancel this job: it goes on at %s.", job)
        return
    try:
        if holds(until, hook.run(path)):
            log.info("The job at %s is done, and stays.", job)
            return
        hook.run(path, "DELETE")
    except AtlasError as error:
        log.warning("The job was not cancelled and goes on at %s: %s", job, error)
    else:
        log.info("Cancelled the job at %s.", job)
