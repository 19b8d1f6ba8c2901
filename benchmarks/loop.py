"""1,000 triggers of one service account in one process: the delay of the event loop, and the memory of each trigger.

Run ``python -m benchmarks.loop``. All triggers wake at the same time; the sandbox's rate limit is above their number. A
watcher that should run every 10 ms measures its delay. Airflow logs a warning from 200 ms on.
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


async def watch(delays: list[float]) -> None:
    while True:
        before = time.perf_counter()
        await asyncio.sleep(EVERY)
        delays.append(time.perf_counter() - before - EVERY)


async def wait_and_request() -> tuple[list[str], list[float], float, float]:
    """Statuses, delays in seconds, KiB per waiting trigger, and seconds from the wake-up time to the last event."""
    delays: list[float] = []
    await one(AtlasTokenTrigger(moment=time.time()))  # loads all modules
    watcher = asyncio.create_task(watch(delays))
    gc.collect()
    tracemalloc.start()
    moment = time.time() + 10
    waiting = [asyncio.create_task(one(AtlasTokenTrigger(moment=moment, deadline=moment + 600))) for _ in range(SIZE)]
    await asyncio.sleep(1)
    kib = tracemalloc.get_traced_memory()[0] / SIZE / 1024
    tracemalloc.stop()
    delays.clear()
    statuses = await asyncio.gather(*waiting)
    watcher.cancel()
    return list(statuses), delays, kib, time.time() - moment


def main() -> int:
    with Sandbox(rate_limit=2 * SIZE, token_cap=2 * SIZE) as sandbox:
        os.environ["AIRFLOW_CONN_ATLAS_DEFAULT"] = json.dumps(sandbox.connection)
        statuses, delays, kib, seconds = asyncio.run(wait_and_request())
    print(f"triggers that got a token      {statuses.count('success')} of {SIZE}, {SIZE / seconds:.0f} a second")
    print(f"event loop delay, median       {statistics.median(delays) * 1000:.1f} ms")
    print(f"event loop delay, maximum      {max(delays) * 1000:.0f} ms")
    print(f"memory of a waiting trigger    {kib:.1f} KiB")
    return 0 if statuses.count("success") == SIZE and max(delays) < 0.2 else 1


if __name__ == "__main__":
    sys.exit(main())
