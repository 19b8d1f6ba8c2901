"""What all job triggers of one connection share in a triggerer: a hook with its token, a gate, and a few threads.

A thousand waits are a thousand tasks on the event loop, and at most :data:`THREADS` threads. The loop's own threads are
not used: they are few, and other triggers need them.
"""

from __future__ import annotations

import asyncio
import time
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TypeVar

from asgiref.sync import sync_to_async

from airflow_provider_atlas.frames import cleared
from airflow_provider_atlas.hooks.service_account import AtlasServiceAccountHook
from airflow_provider_atlas.triggers.gate import Gate, gate_for

T = TypeVar("T")

#: Threads of the provider in one triggerer, and how many of them one connection may use: an Atlas URL that does not
#: respond must not hold up the others.
THREADS, FOR_ONE_CONNECTION = 16, 8
#: A connection is read again for triggers that start so many seconds later: a triggerer runs for weeks.
OLDEST = 3600.0


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(THREADS, thread_name_prefix="atlas-look")


async def in_pool(call: Callable[[], T]) -> T:
    """Run blocking code in a thread of the provider's own, in which Airflow's functions work (from 3.0 on)."""
    return await sync_to_async(cleared(call), thread_sensitive=False, executor=_pool())()


class _Hook(AtlasServiceAccountHook):
    """Makes one attempt a call, and masks no token: the masker of a process that runs for weeks only grows."""

    _masks = False


class Shared:
    """
    The way to Atlas of all triggers with one connection.

    In task scope they share one token in memory, in deployment scope the deployment's.
    """

    def __init__(self, conn_id: str) -> None:
        self.made = time.monotonic()
        self._hook = _Hook(conn_id, max_wait=0)
        self._gate: Gate | None = None
        self._slots = asyncio.Semaphore(FOR_ONE_CONNECTION)
        self._reading = asyncio.Lock()

    async def ready(self) -> Gate:
        """Read the connection, once for all, and return the gate of its account."""
        async with self._reading:
            if self._gate is None:
                settings = await in_pool(lambda: self._hook.settings)
                self._gate = gate_for((settings.account.fingerprint, "api"))
        return self._gate

    async def call(self, call: Callable[[AtlasServiceAccountHook], T]) -> T:
        """Run something with the hook, in turn, and not before the rate limit allows it."""
        gate = await self.ready()
        while True:
            await gate.wait_until_open()
            async with self._slots:
                if not gate.closed_for:
                    return await in_pool(lambda: call(self._hook))


_shared: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, weakref.WeakValueDictionary[str, Shared]] = (
    weakref.WeakKeyDictionary()
)


def shared(conn_id: str) -> Shared:
    """What the triggers of a connection share; it is dropped with the last of them."""
    found = _shared.setdefault(asyncio.get_running_loop(), weakref.WeakValueDictionary())
    one = found.get(conn_id)
    if one is None or time.monotonic() - one.made > OLDEST:
        one = found[conn_id] = Shared(conn_id)
    return one
