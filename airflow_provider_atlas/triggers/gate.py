"""One gate for all triggers that wait for the same limit in one triggerer, so that N tasks cost about N requests.

The first in the queue makes its request, alone; the others wait. A refusal closes the gate for all until the moment
that Atlas names, and a success admits the next one. A refusal also states the limit: from then on the gate closes by
itself when as many requests have succeeded as one window admits, and the request that would be refused is not made.
"""

from __future__ import annotations

import asyncio
import time
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable
from contextlib import asynccontextmanager

from airflow_provider_atlas.exceptions import AtlasError, RateLimited


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
        self._first: float | None = None  # time of the first success since the gate opened
        self._count = 0
        self.leads_to: Gate | None = None  # keeps the next gate alive for those who still queue here
        self._learned: tuple[int, float] | None = None  # as stated: how many requests a window admits, its seconds

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Queue. The block is this caller's turn, and stays so through waits and refusals."""
        async with self._queue:
            yield

    async def wait_until_open(self) -> None:
        """Wait until the gate is open."""
        while (left := self._opens_at - self._clock()) > 0:
            await self._sleep(left)

    @property
    def closed_for(self) -> float:
        """Seconds until the gate opens."""
        return max(self._opens_at - self._clock(), 0.0)

    def count(self) -> None:
        """Count a success, and close when the window is known to be full."""
        self._first = self._clock() if self._first is None else self._first
        self._count += 1
        if self._learned is not None and self._count >= self._learned[0]:
            self._close_until(self._first + self._learned[1])

    def close(self, error: AtlasError, wait: float) -> float:
        """
        Close after a refusal.

        :param wait: seconds, as :func:`airflow_provider_atlas.oauth.retry_after.seconds_to_wait` decided.
        :return: seconds until the gate opens.
        """
        now = self._clock()
        if isinstance(error, RateLimited) and error.limit and error.window:
            self._learned = error.limit, error.window
        self._close_until(now + wait)
        return self.closed_for

    def _close_until(self, moment: float) -> None:
        self._opens_at = max(self._opens_at, moment)
        self._first, self._count = None, 0


_gates: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, weakref.WeakValueDictionary[Hashable, Gate]] = (
    weakref.WeakKeyDictionary()
)


def gate_for(key: Hashable) -> Gate:
    """
    The gate that all triggers on this event loop share; it is dropped with the last of them.

    :param key: what is queued for: service account and endpoint, since Atlas counts requests for each pair.
    """
    gates = _gates.setdefault(asyncio.get_running_loop(), weakref.WeakValueDictionary())
    gate = gates.get(key)
    if gate is None:
        gate = gates[key] = Gate()
    return gate
