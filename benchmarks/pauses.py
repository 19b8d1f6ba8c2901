"""200 pauses in 16 slots, each of which takes five minutes, compared with empty tasks and with a peer's loop.

Run ``python -m benchmarks.pauses [SIZE]``; it takes less than twenty minutes. Twice, with the preload line and without,
a real Airflow runs a fleet of empty tasks and one of deferred pauses. Once all pauses wait, ten tasks pause clusters as
a peer would: a loop with ``requests`` in a ``@task``. Their clusters take one minute, since 200 of them in 16 slots
would take over an hour; the figures for 200 of five minutes are scaled from these and say so.

Slot-seconds are running task instances times seconds. The interval of a cluster is the time between two looks at it.
"""

from __future__ import annotations

import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

from airflow_provider_atlas.sandbox import Sandbox
from benchmarks import looks
from harness.airflow import PrivateAirflow
from harness.runs import DagRunResult

SIZE, SLOTS, SECONDS, INTERVAL = 200, 16, 300.0, 30.0
PEERS, PEER_SECONDS = 10, 60.0
#: Slot-seconds of the pauses, with the preload line, by those of the empty tasks.
BOUND = 2.2
HEAD = ("", "succeeded", "slot-s", "by empty", "wall s", "token requests", "requests", "shortest interval s")


def line(cells: Iterable[str]) -> None:
    print(f"| {' | '.join(cells)} |", flush=True)


def succeeded(run: DagRunResult) -> int:
    return Counter(state for (task, _), state in run.tasks.items() if task in ("call", "pause"))["success"]


def shortest_interval(airflow: PrivateAirflow) -> float:
    """Seconds between two looks of the triggerer at one cluster."""
    began: dict[str, list[float]] = defaultdict(list)
    for look in looks.read(airflow):
        began[look.path].append(look.began)
    return min(after - before for each in began.values() for before, after in pairwise(each))


def peers(airflow: PrivateAirflow, theirs: Sandbox, size: int) -> None:
    """Measure the loops, and scale them to as many and as long pauses as the others."""
    run = airflow.run_dag("loops", {"size": PEERS}, timeout=600)
    slots, counters = airflow.slots.seconds["loops", run.run_id], theirs.counters
    costs = (str(counters.token_requests), str(counters.api_requests), "10")
    name = f"loop in a task, {PEERS} of {PEER_SECONDS:.0f} s"
    line((name, f"{succeeded(run)} of {PEERS}", f"{slots:.0f}", "", f"{run.duration:.0f}", *costs))
    each = slots / PEERS - PEER_SECONDS + SECONDS
    wall = -(-size // SLOTS) * each
    line(
        (f"the same, {size} of {SECONDS:.0f} s: scaled", "", f"{each * size:.0f}", "", f"{wall:.0f}", str(size), "", "")
    )


def fleets(size: int, *, preload: bool) -> bool:
    """Run empty tasks and pauses, and the peer's where there is no preload line; whether all is within the bounds."""
    extra, what = {"extra": {"cache_scope": "deployment"}}, "with preload" if preload else "without preload"
    with (
        Sandbox(page_total=size, change_seconds=SECONDS) as ours,
        Sandbox(page_total=PEERS, change_seconds=PEER_SECONDS) as theirs,
    ):
        airflow = PrivateAirflow(
            Path(__file__).parent / "dags",
            connections={"atlas_jobs": ours.connection | extra, "atlas_loops": theirs.connection},
            slots=SLOTS,
        )
        looks.prepare(airflow, preload=preload)
        with airflow:
            airflow.run_dag("empty", {"size": SLOTS, "conn": ""}, timeout=300)  # the first run warms Airflow up
            run = airflow.run_dag("empty", {"size": size, "conn": ""}, timeout=600)
            empty = airflow.slots.seconds["empty", run.run_id]
            name = f"empty tasks, {what}"
            line((name, f"{succeeded(run)} of {size}", f"{empty:.0f}", "1", f"{run.duration:.0f}", "0", "0", ""))
            run_id, deadline = airflow.trigger("pauses", {"size": size}), time.monotonic() + SECONDS
            while ours.counters.cluster_changes < size and time.monotonic() < deadline:
                time.sleep(0.5)
            if not preload:
                peers(airflow, theirs, size)
            run = airflow.wait("pauses", run_id, timeout=3 * SECONDS)
            slots, counters, interval = (
                airflow.slots.seconds["pauses", run_id],
                ours.counters,
                shortest_interval(airflow),
            )
            costs = (str(counters.token_requests), str(counters.api_requests), f"{interval:.1f}")
            ratio = slots / empty
            name = f"deferred pauses of {SECONDS:.0f} s, {what}"
            done = succeeded(run)
            line((name, f"{done} of {size}", f"{slots:.0f}", f"{ratio:.2f}", f"{run.duration:.0f}", *costs))
    within = done == counters.cluster_changes == size and counters.token_requests <= 2 and interval >= INTERVAL
    return within and (ratio <= BOUND or not preload)


def main(size: int) -> int:
    line(HEAD)
    line(["---"] + ["--:"] * (len(HEAD) - 1))
    within = [fleets(size, preload=preload) for preload in (True, False)]
    return 0 if all(within) else 1


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if sys.argv[1:] else SIZE))
