"""Atlas counts in two ways: a fixed window at the token endpoints, token buckets at the Administration API."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable


class FixedWindow:
    """
    Counts requests in windows that their first request opens. Refused requests neither count nor extend.

    :param clock: the time in seconds
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._windows: dict[Hashable, tuple[float, int]] = {}

    def admit(self, key: Hashable, limit: int, window: float) -> float:
        """Return 0 when the request is admitted, else the seconds until the window closes."""
        now = self._clock()
        opened, count = self._windows.get(key, (now, 0))
        if now >= opened + window:
            opened, count = now, 0
        if count >= limit:
            return opened + window - now
        self._windows[key] = opened, count + 1
        return 0.0


class Taken(NamedTuple):
    """
    What taking one request out of a bucket came to.

    :param wait: seconds until the next refill, 0 when the request is admitted
    :param remaining: requests left in the bucket
    """

    wait: float
    remaining: int


class TokenBuckets:
    """
    Buckets that start full and get some requests back at every tick.

    :param clock: the time in seconds
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._buckets: dict[Hashable, tuple[float, int]] = {}

    def take(self, key: Hashable, capacity: int, refill: int, period: float) -> Taken:
        """Take one request out of the bucket ``key``, to which ``refill`` requests return every ``period`` seconds."""
        now = self._clock()
        ticked, level = self._buckets.get(key, (now, capacity))
        ticks = int((now - ticked) // period)
        ticked, level = ticked + ticks * period, min(capacity, level + ticks * refill)
        # A refusal's wait is never 0, not even by a float's error.
        taken = Taken(0.0, level - 1) if level else Taken(max(ticked + period - now, 1e-6), 0)
        self._buckets[key] = ticked, taken.remaining
        return taken
