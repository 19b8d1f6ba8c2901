"""How long to wait for Atlas: read from its responses, decided in one place.

The worker and the trigger both ask :func:`seconds_to_wait`. Atlas's documents print its rate limit as 10 and as 50
requests a minute, and ``Retry-After`` as present and as possibly absent, so no limit of Atlas is a constant here:
``Retry-After`` first, then the window that the response states, then exponential.
"""

from __future__ import annotations

import logging
import math
import random
import re
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from airflow_provider_atlas.exceptions import (
    AtlasApiError,
    AtlasError,
    AtlasUnreachable,
    ConnectionNotFound,
    RateLimited,
    RetryableResponse,
    ServerError,
    TokenLimitReached,
)

log = logging.getLogger(__name__)

#: Longest wait that a response may ask for, in seconds: a token's lifetime.
LONGEST_WAIT = 3600.0
#: No timeout and no ``max_wait`` is longer than a week: sockets and dates overflow at some length. Seconds.
LONGEST_SECONDS = 604_800
#: Shortest wait before another request, in seconds: a response that says 0 must not start a tight loop.
SHORTEST_WAIT = 1.0
#: Exponential waits start at the first figure, double with each try and stop growing at the second; seconds.
FIRST_STEP, LAST_STEP = 1.0, 60.0
#: What fails with an error inside Atlas (500, 502, 504), or as the connection is not found, is tried so often in all.
SERVER_ERROR_TRIES = 4
#: A deferred wait for a window that is only stated, without ``Retry-After``, ends after so many seconds with a try.
PROBE = 30.0
#: Waits for the cap on active tokens, which is up to an hour away, start here and double up to the second; seconds.
FIRST_CAP_STEP, LAST_CAP_STEP = 60.0, 480.0

_LIMITED = re.compile(r"limited to (\d{1,9}) requests? every (\d{1,9}(?:\.\d{1,9})?) (second|minute|hour)", re.I)
_SECONDS = {"second": 1, "minute": 60, "hour": 3600}


def retry_after(headers: Mapping[str, str]) -> float | None:
    """
    Read ``Retry-After`` as seconds, from a number or an HTTP date (RFC 9110, 10.2.3).

    A date is compared with the response's own ``Date``, which is the same clock. Values below 0 or above
    :data:`LONGEST_WAIT` are clamped, with a log line; what is neither a number nor a date is ``None``.
    """
    text = headers.get("Retry-After", "").strip()
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError:
        moment = _http_date(text)
        now = _http_date(headers.get("Date", "")) or datetime.now(UTC)
        seconds = (moment - now).total_seconds() if moment else math.nan
    if math.isnan(seconds):
        log.warning("Atlas's Retry-After must be seconds or a date; it is ignored.")
        return None
    clamped = min(max(seconds, 0.0), LONGEST_WAIT)
    if clamped != seconds:
        log.warning("Atlas's Retry-After asks for %.0f s; taken as %.0f s.", seconds, clamped)
    return clamped


def stated_limit(description: str | None, parameters: object = None) -> tuple[int | None, float | None]:
    """
    Read (requests, seconds) from a 429's body, in either shape that Atlas sends; ``(None, None)`` if it states none.

    :param description: the text, "... is limited to 10 requests every 1 minutes."
    :param parameters: the list of the API error, ``[path, requests, minutes]``.
    """
    if isinstance(parameters, list) and len(parameters) == 3:
        limit, minutes = parameters[1:]
        if type(limit) is int and type(minutes) in (int, float) and limit > 0 and 0 < minutes * 60 <= LONGEST_WAIT:
            return limit, minutes * 60.0
    found = _LIMITED.search(description or "")
    if found:
        window = float(found[2]) * _SECONDS[found[3].lower()]
        if int(found[1]) > 0 and 0 < window <= LONGEST_WAIT:
            return int(found[1]), window
    return None, None


def seconds_to_wait(error: BaseException, attempt: int, *, deferred: bool = False) -> float | None:
    """
    Decide how long to wait after ``error`` before the next try; ``None`` if waiting does not help.

    :param attempt: the number of tries that ended in this kind of error so far, 1 after the first.
    :param deferred: whether the wait holds no worker slot. Only then is the cap on active tokens waited for, and a
        window that the response merely states is tried early.
    :return: seconds, with a random spread: the tasks that one limit holds back must not retry at one moment.
    """
    stated = None
    first, last = FIRST_STEP, LAST_STEP
    match error:
        case TokenLimitReached() if deferred:
            first, last = FIRST_CAP_STEP, LAST_CAP_STEP
        case RateLimited(retry_after=None, window=float(window)):
            stated = min(window, PROBE) if deferred else window
        case RetryableResponse(retry_after=seconds) | AtlasError(status=429 | 503, retry_after=seconds):
            stated = seconds
        case AtlasUnreachable() | ConnectionNotFound() | ServerError() | AtlasApiError(meaning="passes"):
            pass
        case _:
            return None
    wait = min(first * 2.0 ** min(attempt - 1, 30), last) if stated is None else stated
    wait = min(max(SHORTEST_WAIT, wait), LONGEST_WAIT)
    return wait + random.uniform(0, max(1.0, wait / 10))  # noqa: S311 - a spread, no secret


class Backoff:
    """
    Decides about the waits of one call. Failures are counted by kind: waits for one do not use up the tries of another.

    :param deferred: as of :func:`seconds_to_wait`.
    """

    def __init__(self, *, deferred: bool = False) -> None:
        self._deferred = deferred
        self._failures: Counter[type[BaseException]] = Counter()

    def seconds(self, error: BaseException) -> float | None:
        """Count a failure; return the seconds before the next try, ``None`` if there must be none."""
        self._failures[type(error)] += 1
        tries = self._failures[type(error)]
        limited = isinstance(error, ServerError | ConnectionNotFound)
        if limited and tries >= SERVER_ERROR_TRIES:
            return None
        return seconds_to_wait(error, tries, deferred=self._deferred)


def describe(error: AtlasError, seconds: float) -> str:
    """One log line for a wait: how long and why."""
    return f"Waiting {seconds:.1f} s for Atlas. {error.args[0]}" + (f" (HTTP {error.status})." if error.status else ".")


def _http_date(text: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text)
    except (TypeError, ValueError, OverflowError, IndexError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
