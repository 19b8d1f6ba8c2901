"""1,000 waits for Atlas's work in one real triggerer: event loop, memory, and how late each look is.

Run ``python -m benchmarks.waits [SIZE]``; it takes about twelve minutes. As many mapped sensors defer, each for a
cluster of its own, with a look every 30 s that grows slowly. Once all wait, the benchmark watches for three minutes,
and then pauses all clusters at one moment, so that all tasks end. Airflow's own watchdog logs when the event loop was
blocked for over 0.2 s. A look is late by the time from when it was due to when its request began.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from pathlib import Path

from airflow_provider_atlas.sandbox import Sandbox
from benchmarks import looks
from benchmarks.triggers import resident
from harness.airflow import PrivateAirflow

SIZE, SLOTS, WATCHED = 1000, 16, 180.0
#: Bounds: median and worst lateness in seconds.
MEDIAN, WORST = 1.0, 10.0


def busy(airflow: PrivateAirflow) -> float:
    """Processor seconds of the triggerer so far."""
    stats = [Path(f"/proc/{pid}/stat").read_text() for pid in airflow.components.pids("triggerer")]
    ticks = (text.rpartition(")")[2].split()[11:13] for text in stats)
    return sum(int(user) + int(system) for user, system in ticks) / os.sysconf("SC_CLK_TCK")


def say(what: str, value: str) -> None:
    print(f"{what:<45}{value}", flush=True)


def main(size: int) -> int:
    with Sandbox(page_total=size) as sandbox:
        extra = {"extra": {"cache_scope": "deployment"}}
        airflow = PrivateAirflow(
            Path(__file__).parent / "dags",
            connections={"atlas_jobs": sandbox.connection | extra},
            environment={"AIRFLOW__TRIGGERER__CAPACITY": str(2 * size)},
            slots=SLOTS,
        )
        looks.prepare(airflow, preload=True)
        with airflow:
            before, started = resident(airflow), time.monotonic()
            run_id = airflow.trigger("waits", {"size": size})
            waiting = 0
            while waiting < size and time.monotonic() < started + 900:
                waiting = airflow.query("SELECT count(*) AS n FROM trigger")[0]["n"]
                time.sleep(0.5)
            say("waits in the triggerer at once", f"{waiting} after {time.monotonic() - started:.0f} s")
            since, used, requests = time.time(), busy(airflow), sandbox.counters.api_requests
            time.sleep(WATCHED)
            seen = [look for look in looks.read(airflow) if look.began >= since]
            late = sorted(look.late for look in seen)
            say("memory of the triggerer per wait", f"{(resident(airflow) - before) / max(waiting, 1):.1f} KiB")
            say(f"looks in {WATCHED:.0f} s", f"{len(seen)}, at {len({look.path for look in seen})} clusters")
            say("lateness of a look, median", f"{statistics.median(late) * 1000:.0f} ms")
            say("lateness of a look, 99 of 100 below", f"{late[len(late) * 99 // 100] * 1000:.0f} ms")
            say("lateness of a look, worst", f"{late[-1] * 1000:.0f} ms")
            say("processor time of the triggerer", f"{(busy(airflow) - used) / WATCHED * 100:.0f} % of one core")
            say("requests at the sandbox meanwhile", f"{sandbox.counters.api_requests - requests}")
            for cluster in sandbox.clusters[0].values():
                cluster.paused_since = time.time()
            run = airflow.wait("waits", run_id, timeout=900)
            done = [state for (task, _), state in run.tasks.items() if task == "wait"].count("success")
            blocked = [
                line for _, text in airflow.logs() for line in text.splitlines() if b"thread was blocked" in line
            ]
            say("tasks that succeeded", f"{done} of {size}")
            say("token requests", f"{sandbox.counters.token_requests}")
            say("event loop blocked for over 0.2 s", f"{len(blocked)} times")
            print(*blocked, sep="\n")
            say("wall", f"{run.duration:.0f} s")
    on_time = statistics.median(late) <= MEDIAN and late[-1] <= WORST
    return 0 if done == size and not blocked and on_time and sandbox.counters.token_requests <= 2 else 1


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if sys.argv[1:] else SIZE))
