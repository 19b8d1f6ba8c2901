"""Why a request to the Administration API may succeed later: rate limits, hiccups, lost connections.

:mod:`.oauth.retry_after` decides how long to wait.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_atlas.exceptions import (
    AtlasError,
    AtlasUnreachable,
    RateLimited,
    ServerError,
    ServiceUnavailable,
    UnexpectedResponse,
)
from airflow_provider_atlas.oauth.failures import certainly_not_sent, translate
from airflow_provider_atlas.oauth.responses import json_object
from airflow_provider_atlas.oauth.retry_after import LONGEST_WAIT, retry_after

if TYPE_CHECKING:
    import requests

    from airflow_provider_atlas.oauth.transport import Transport

#: Methods that change nothing.
READS = ("GET", "HEAD")
#: What reads are repeated after: an error inside Atlas or in a proxy before it.
HICCUPS = (500, 502, 504)


def obstacle(response: requests.Response, *, reads: bool) -> AtlasError | None:
    """
    Why the same request may succeed later, ``None`` if nothing says so.

    A rate limit is told by its code; a 429 that has another code, and does not say when to retry, is about something
    else. Only a rate limit proves that nothing happened: a change is not repeated after anything else.

    :param reads: whether the request changes nothing.
    """
    status = response.status_code
    if status < 400:
        return None
    if reads and status == 503:
        return ServiceUnavailable(status=503, retry_after=retry_after(response.headers))
    if reads and status in HICCUPS:
        return ServerError(status=status)
    return limit_of(response) if status in (429, 503) else None


def obstacle_of(error: Exception, transport: Transport, *, reads: bool) -> AtlasError | None:
    """
    As :func:`obstacle`, for a request that ended without a response, or with one that is broken.

    :param error: what ``requests`` raised, or an error of this provider.
    """
    failure = error if isinstance(error, AtlasError) else translate(error, transport)
    if isinstance(failure, UnexpectedResponse) and reads:
        return ServerError("The response was broken")  # counted as such: what is broken may stay so
    if isinstance(failure, AtlasUnreachable) and (reads or certainly_not_sent(error)):
        return failure
    return None


def limit_of(response: requests.Response) -> RateLimited | None:
    """
    The rate limit that a response is about.

    ``Retry-After`` first. Where it is absent, a token bucket's 429 has it in its parameters, which are path, seconds to
    wait, capacity, refill and seconds between refills.
    """
    body = json_object(response.content) or {}
    code, parameters = body.get("errorCode"), body.get("parameters")
    wait = retry_after(response.headers)
    stated = isinstance(code, str) and code.startswith("RATE_LIMITED")
    if not stated and (response.status_code != 429 or (code and wait is None)):
        return None
    if wait is None and isinstance(parameters, list) and len(parameters) == 5 and type(parameters[1]) in (int, float):
        wait = parameters[1] if 0 <= parameters[1] <= LONGEST_WAIT else None
    limit = response.headers.get("RateLimit-Limit", "")
    believable = limit.isdecimal() and len(limit) < 10  # `int` refuses thousands of digits
    return RateLimited(status=response.status_code, retry_after=wait, limit=int(limit) if believable else None)
