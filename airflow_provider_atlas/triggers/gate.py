"""One gate for all who wait for the same limit in one triggerer, so that N waiting tasks cost about N requests.

Whoever is first in the queue asks, alone; the others wait behind. A refusal closes the gate for all until the moment
that Atlas names, and an answer lets the next one in. A refusal that says when to come back also teaches how long a
window really is, counted from the first answer in it. From then on the gate closes by itself once as many have passed
as the limit allows, and the request that would only be refused is not made.
"""

from __future__ import annotations

import asyncio
import time
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable
from contextlib import asynccontextmanager

from airflow_provider_atlas.oauth.errors import AtlasError, RateLimited


class Gate:
    """
    The way to one endpoint for one service account.

    :param clock: seconds, monotonic.
    :param sleep: waits.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._clock = clock
        self._sleep = sleep
        self._queue = asyncio.Lock()  # asyncio's is first come, first served, and a cancelled waiter leaves it
        self._opens_at = 0.0
        self._first: float | None = None  # when the first one passed since the gate opened
        self._passed = 0
        self.leads_to: Gate | None = None  # kept for those who queue here: between two of them nobody else may
        self._learned: tuple[int, float] | None = None  # how many a window admits, and its length in seconds

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Queue up. In the block one is first, and keeps the place through :meth:`opened` and refusals."""
        async with self._queue:
            yield

    async def opened(self) -> None:
        """Wait until the gate is open."""
        while (left := self._opens_at - self._clock()) > 0:
            await self._sleep(left)

    @property
    def closed_for(self) -> float:
        """Seconds until the gate opens."""
        return max(self._opens_at - self._clock(), 0.0)

    def passed(self) -> None:
        """Atlas has answered one request: count it, and close once the window is known to be full."""
        self._first = self._clock() if self._first is None else self._first
        self._passed += 1
        if self._learned is not None and self._passed >= self._learned[0]:
            self._close(self._first + self._learned[1])

    def refused(self, error: AtlasError, wait: float) -> float:
        """
        Close after a refusal.

        :param wait: seconds, as :func:`airflow_provider_atlas.oauth.limits.seconds_to_wait` decided.
        :return: seconds until the gate opens.
        """
        now = self._clock()
        if isinstance(error, RateLimited) and error.limit and error.retry_after is not None and self._first is not None:
            self._learned = error.limit, now + error.retry_after - self._first
        self._close(now + wait)
        return self.closed_for

    def _close(self, until: float) -> None:
        self._opens_at = max(self._opens_at, until)
        self._first, self._passed = None, 0


_gates: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, weakref.WeakValueDictionary[Hashable, Gate]] = (
    weakref.WeakKeyDictionary()
)


def gate_for(key: Hashable) -> Gate:
    """
    The gate that all triggers on this event loop share; it goes when the last of them does.

    :param key: what is queued for: service account and endpoint, since Atlas counts requests for each pair.
    """
    gates = _gates.setdefault(asyncio.get_running_loop(), weakref.WeakValueDictionary())
    gate = gates.get(key)
    if gate is None:
        gate = gates[key] = Gate()
    return gate
