"""1,000 triggers of one service account in one process: how late the event loop gets, and the memory of each trigger.

Run ``python -m benchmarks.loop``. The triggers wake in one moment, with the sandbox's limit above their number. A
watcher that wants to run every 10 ms notes how late it does; Airflow complains from 200 ms on.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import statistics
import sys
import time
import tracemalloc

from airflow_provider_atlas.sandbox import Sandbox
from airflow_provider_atlas.triggers.token import AtlasTokenTrigger

SIZE, EVERY = 1000, 0.01


async def one(trigger: AtlasTokenTrigger) -> str:
    async for event in trigger.run():
        return str(event.payload["status"])
    return "no event"


async def watch(late: list[float]) -> None:
    while True:
        before = time.perf_counter()
        await asyncio.sleep(EVERY)
        late.append(time.perf_counter() - before - EVERY)


async def wait_and_ask() -> tuple[list[str], list[float], float, float]:
    """Statuses, latenesses in seconds, KiB of each waiting trigger, and seconds from the moment to the last event."""
    late: list[float] = []
    await one(AtlasTokenTrigger(moment=time.time()))  # loads what is loaded once
    watcher = asyncio.create_task(watch(late))
    gc.collect()
    tracemalloc.start()
    moment = time.time() + 10
    waiting = [asyncio.create_task(one(AtlasTokenTrigger(moment=moment, deadline=moment + 600))) for _ in range(SIZE)]
    await asyncio.sleep(1)
    kib = tracemalloc.get_traced_memory()[0] / SIZE / 1024
    tracemalloc.stop()
    late.clear()
    statuses = await asyncio.gather(*waiting)
    watcher.cancel()
    return list(statuses), late, kib, time.time() - moment


def main() -> int:
    with Sandbox(rate_limit=2 * SIZE, token_cap=2 * SIZE) as sandbox:
        os.environ["AIRFLOW_CONN_ATLAS_DEFAULT"] = json.dumps(sandbox.connection)
        statuses, late, kib, seconds = asyncio.run(wait_and_ask())
    print(f"triggers that brought a token  {statuses.count('success')} of {SIZE}, {SIZE / seconds:.0f} a second")
    print(f"event loop late by, median     {statistics.median(late) * 1000:.1f} ms")
    print(f"event loop late by, at most    {max(late) * 1000:.0f} ms")
    print(f"memory of a waiting trigger    {kib:.1f} KiB")
    return 0 if statuses.count("success") == SIZE and max(late) < 0.2 else 1


if __name__ == "__main__":
    sys.exit(main())
