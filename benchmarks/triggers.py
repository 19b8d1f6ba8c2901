"""500 deferred tasks of one service account in one triggerer: event loop, memory, and tokens per second.

Run ``python -m benchmarks.triggers``; it takes about twelve minutes. All tasks but one are rate limited for a window of
400 s and defer; then the benchmark raises the rate limit. Airflow's own watchdog logs when the event loop was blocked
for over 0.2 s. There are few slots, so that starting tasks leaves processor time for the triggerer. Memory is the
resident memory of the triggerer's processes, before the first deferral and with all triggers waiting.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from airflow_provider_atlas.sandbox import Sandbox
from benchmarks import processes
from benchmarks.processes import resident
from harness.airflow import PrivateAirflow

SIZE, SLOTS, WINDOW = 500, 4, 400.0


def main() -> int:
    with Sandbox(rate_limit=1, window=WINDOW, token_cap=2 * SIZE) as sandbox:
        dags = Path(__file__).parent / "dags"
        with PrivateAirflow(dags, connections={"atlas_deferred": sandbox.connection}, slots=SLOTS) as airflow:
            before = resident(airflow, "triggerer")
            run_id = airflow.trigger("deferred", {"size": SIZE, "conn": "atlas_deferred"})
            waiting = 0
            most, memory, raise_at = 0, before, time.monotonic() + WINDOW - 2
            while time.monotonic() < raise_at:
                waiting = airflow.query("SELECT count(*) AS n FROM trigger")[0]["n"]
                if waiting > most:
                    most, memory = waiting, resident(airflow, "triggerer")
                time.sleep(1)
            sandbox.rate_limit = 10 * SIZE
            issued, started = sandbox.counters.issued, time.monotonic()
            while sandbox.counters.issued < SIZE and time.monotonic() < started + 300:
                time.sleep(0.5)
            pace = (sandbox.counters.issued - issued) / (time.monotonic() - started)
            run = airflow.wait("deferred", run_id, timeout=600)
            done = [state for (task, _), state in run.tasks.items() if task == "call"].count("success")
            blocked = processes.blocked(airflow)
            print(f"tasks that succeeded                {done} of {SIZE}")
            print(f"triggers waiting at once, maximum   {most}")
            print(f"memory of the triggerer per trigger {(memory - before) / max(most, 1):.1f} KiB")
            print(f"tokens, once the limit was raised   {pace:.1f} a second")
            print(f"token requests                      {sandbox.counters.token_requests}")
            print(f"event loop blocked for over 0.2 s   {len(blocked)} times {', '.join(blocked)}".rstrip())
            print(f"wall                                {run.duration:.0f} s")
    return 0 if done == SIZE and not blocked else 1


if __name__ == "__main__":
    sys.exit(main())
