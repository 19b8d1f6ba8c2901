"""The Administration API's limits, read from its responses. :mod:`.oauth.retry_after` decides how long to wait."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_atlas.exceptions import RateLimited, RetryableResponse, ServiceUnavailable
from airflow_provider_atlas.oauth.responses import json_object
from airflow_provider_atlas.oauth.retry_after import LONGEST_WAIT, retry_after

if TYPE_CHECKING:
    import requests


def limit_of(response: requests.Response) -> RetryableResponse | None:
    """
    The limit that a response is about, ``None`` for every other response.

    ``Retry-After`` first. Where it is absent, a token bucket's 429 has it in its parameters, which are path, seconds to
    wait, capacity, refill and seconds between refills.
    """
    if response.status_code == 503:
        return ServiceUnavailable(status=503, retry_after=retry_after(response.headers))
    if response.status_code != 429:
        return None
    wait = retry_after(response.headers)
    parameters = (json_object(response.content) or {}).get("parameters")
    if wait is None and isinstance(parameters, list) and len(parameters) == 5 and type(parameters[1]) in (int, float):
        wait = parameters[1] if 0 <= parameters[1] <= LONGEST_WAIT else None
    limit = response.headers.get("RateLimit-Limit", "")
    believable = limit.isdecimal() and len(limit) < 10  # `int` refuses thousands of digits
    return RateLimited(status=429, retry_after=wait, limit=int(limit) if believable else None)
