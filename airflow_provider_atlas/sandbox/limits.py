"""Atlas's two rate limits, a window at the token endpoints and token buckets at the Administration API, and the 429."""

from __future__ import annotations

import math
from email.utils import formatdate
from typing import TYPE_CHECKING

from airflow_provider_atlas.sandbox.responses import AtlasResponse, api_error

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Hashable

    from airflow_provider_atlas.sandbox.knobs import Knobs


class FixedWindow:
    """Counts requests in windows. A window opens with its first request; refused requests do not count or extend it."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._windows: dict[Hashable, tuple[float, int]] = {}

    def admit(self, key: Hashable, limit: int, window: float) -> float:
        """Return 0 if the request is admitted, otherwise the seconds until the window closes."""
        now = self._clock()
        opened, count = self._windows.get(key, (now, 0))
        if now >= opened + window:
            opened, count = now, 0
        if count >= limit:
            return opened + window - now
        self._windows[key] = opened, count + 1
        return 0.0

    @property
    def keys(self) -> Collection[Hashable]:
        """Every key that had a request."""
        return self._windows.keys()


class TokenBuckets:
    """Buckets that start full and are refilled at a fixed period."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._buckets: dict[Hashable, tuple[float, int]] = {}

    def take(self, key: Hashable, capacity: int, refill: int, period: float) -> tuple[float, int]:
        """
        Take one request out of the bucket ``key``, which gets ``refill`` requests back every ``period`` seconds.

        :return: seconds until the next refill, 0 if the request is admitted; and the requests left in the bucket
        """
        now = self._clock()
        refilled, level = self._buckets.get(key, (now, capacity))
        periods = int((now - refilled) // period)
        refilled, level = refilled + periods * period, min(capacity, level + periods * refill)
        # A refusal's wait must not be 0, and a rounding error could make it 0.
        wait, level = (0.0, level - 1) if level else (max(refilled + period - now, 1e-6), 0)
        self._buckets[key] = refilled, level
        return wait, level


def rate_limited(knobs: Knobs, path: str, now: float, wait: float) -> AtlasResponse:
    """Return the 429 of a token endpoint whose window closes in ``wait`` seconds, in either shape."""
    minutes = f"{(knobs.stated_window or knobs.window) / 60:g}"
    text = f"Resource {path} is limited to {knobs.rate_limit} requests every {minutes} minutes."
    headers = retry_after(knobs, now, wait)
    if knobs.rate_limit_shape == "oauth":
        return AtlasResponse(429, {"error_description": text, "error": "rate_limited"}, headers)
    parameters = [path, knobs.rate_limit, _number(float(minutes))]
    return api_error(429, "RATE_LIMITED", text, parameters=parameters, headers=headers)


def bucket_empty(knobs: Knobs, path: str, now: float, wait: float) -> AtlasResponse:
    """Return the Administration API's 429 to an account whose bucket is refilled in ``wait`` seconds."""
    seconds, capacity, headers = whole_seconds(wait), knobs.api_rate_limit, retry_after(knobs, now, wait)
    parameters = [path, seconds, capacity, knobs.api_refill, _number(knobs.api_refill_seconds)]
    detail = f"Resource {path} is limited to {capacity} requests. Retry in {seconds} seconds."
    return api_error(429, "RATE_LIMITED_TOKEN_BUCKET", detail, parameters=parameters, headers=headers)


def retry_after(knobs: Knobs, now: float, wait: float) -> dict[str, str]:
    """Return the Retry-After header for ``wait`` seconds."""
    if knobs.retry_after == "none":
        return {}
    if knobs.retry_after == "date":
        return {"Retry-After": formatdate(whole_seconds(now + wait), usegmt=True)}
    return {"Retry-After": str(whole_seconds(wait))}


def whole_seconds(wait: float) -> int:
    """Round up, so that a client that obeys is not too early. A rounding error must not add a second."""
    return math.ceil(round(wait, 6))


def _number(value: float) -> float:
    """Return whole numbers as integers, as Atlas writes them."""
    return int(value) if value == int(value) else value
