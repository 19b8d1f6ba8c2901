"""The Administration API's limits, read from its answers. How long to wait is decided where it is for tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_atlas.oauth.answers import json_object
from airflow_provider_atlas.oauth.errors import RateLimited, RetryableAnswer, ServiceUnavailable
from airflow_provider_atlas.oauth.limits import LONGEST_WAIT, retry_after

if TYPE_CHECKING:
    import requests


def limit_of(response: requests.Response) -> RetryableAnswer | None:
    """
    The limit that an answer is about, ``None`` for an answer that is none.

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
