"""A thousand mapped tasks on Celery: this provider, empty tasks, bare calls and the best peer.

Run ``python -m benchmarks.thousand [--tasks N] [--rounds N] [FLEET ...]`` in ``.venv-distributed``; it needs PostgreSQL
and Redis. A fleet with ``+preload`` at its end runs on an Airflow whose processes have imported this provider's modules
at their start. Each round starts an Airflow 3.3.2 without that line and one with it. The fleets of a round run one
after another, each with a sandbox of its own, and with a cold store. Each row is printed when it is there, and kept in
``docs/measured``.

Two workers have 2 slots each: with more slots than processors, slot-seconds tell how tasks queue for a processor, not
what they need. A worker may notice the end of a task only after ``min_heartbeat_interval``, and keep its slot until
then; so that is 1 s here, not 5.

The sandbox has Atlas's limits: 10 token requests a minute, 100 active tokens. With them the peer would fail, and the
deferred fleet end after hours: their cap is a token more than tasks, and the peer's window is a hundredth of a minute.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import groupby

from airflow_provider_atlas.sandbox import Sandbox
from benchmarks.fleets import HERE
from benchmarks.processes import cpu_seconds
from benchmarks.results import RESULTS, keep, markdown, read
from benchmarks.task_cost import preloading
from harness.airflow import PrivateAirflow
from harness.services import Services

#: DAG, and its name in the table.
FLEETS = {
    "empty": "empty tasks",
    "bare": "requests, token at hand",
    "variable": "requests, token in a Variable",
    "deployment": "deployment scope",
    "in_run": "DAG run scope",
    "deferred": "task scope, deferred",
    "tenacity": "requests and tenacity",
}
PRELOAD = "+preload"
DEFAULT = ("empty", "bare", "variable", "deployment", f"empty{PRELOAD}", f"deployment{PRELOAD}")
COLUMNS = {
    "ok": "succeeded",
    "token requests": "token_requests",
    "429s": "refused_429",
    "slot-s": "slot_seconds",
    "wall s": "wall_seconds",
    "Variable calls": "variable_calls",
    "workers' CPU s": "worker_cpu_seconds",
    "API server CPU s": "api_cpu_seconds",
    "database transactions": "transactions",
}
#: Heading of a ratio: to which fleet, and of what.
RATIOS = {
    "slot-s / empty": ("empty", "slot_seconds"),
    "slot-s / empty, preload": (f"empty{PRELOAD}", "slot_seconds"),
    "slot-s / requests": ("bare", "slot_seconds"),
    "CPU s / empty": ("empty", "worker_cpu_seconds"),
}


@dataclass(frozen=True)
class Measured:
    """
    The result of one fleet. Slot-seconds are running task instances times seconds. They grow with what else the machine
    does, as the CPU seconds of workers and tasks hardly do.
    """

    fleet: str
    size: int
    succeeded: int
    token_requests: int
    refused_429: int
    slot_seconds: float
    wall_seconds: float
    variable_calls: int
    worker_cpu_seconds: float
    api_cpu_seconds: float
    transactions: int


class Meter:
    """What workers, API server and database have done so far."""

    def __init__(self, airflow: PrivateAirflow) -> None:
        self._airflow = airflow

    def read(self) -> tuple[float, ...]:
        """Requests for Variables, CPU seconds of the workers and of the API server, and committed transactions."""
        log = (self._airflow.home / "output" / "api-server.log").read_bytes()
        ((transactions,),) = self._airflow.query("SELECT sum(xact_commit) FROM pg_stat_database")
        *workers, api = (
            cpu_seconds(self._airflow, name) for name in ("celery-worker", "celery-worker.2", "api-server")
        )
        return log.count(b"/execution/variables/"), sum(workers), api, int(transactions)


def sandbox_for(dag: str, size: int) -> Sandbox:
    """Atlas's limits, where a fleet can end with them."""
    if dag == "tenacity":
        return Sandbox(rate_limit=10, window=0.6, token_cap=size + 1)
    if dag == "deferred":
        return Sandbox(rate_limit=10, window=60.0, token_cap=size + 1, token_life=24 * 3600)
    return Sandbox(rate_limit=10, window=60.0, token_cap=100)


def connection(fleet: str) -> str:
    """The id of a fleet's connection."""
    return fleet.replace("+", "_")


def measure(airflow: PrivateAirflow, fleet: str, sandbox: Sandbox, size: int) -> Measured:
    """Run a fleet's DAG to its end and measure its cost."""
    dag, meter = fleet.removesuffix(PRELOAD), Meter(airflow)
    airflow.unpause(dag)
    at_hand = sandbox.issue(sandbox.client_id, sandbox.client_secret, 24 * 3600)
    airflow.rest.request("POST", "/variables", {"key": f"token_{connection(fleet)}", "value": at_hand})
    before = meter.read()
    run = airflow.run_dag(dag, {"size": size, "conn": connection(fleet), "at_hand": at_hand}, timeout=7200)
    calls, workers, cpu, transactions = (now - then for now, then in zip(meter.read(), before, strict=True))
    counters = sandbox.counters
    return Measured(
        fleet=fleet,
        size=size,
        succeeded=[state for (task, _), state in run.tasks.items() if task == "call"].count("success"),
        token_requests=counters.token_requests,
        refused_429=counters.rate_limited,
        slot_seconds=round(airflow.slots.seconds[dag, run.run_id], 1),
        wall_seconds=round(run.duration, 1),
        variable_calls=int(calls),
        worker_cpu_seconds=round(workers, 1),
        api_cpu_seconds=round(cpu, 1),
        transactions=int(transactions),
    )


def title(fleet: str) -> str:
    """A fleet's name in table and plot."""
    return FLEETS[fleet.removesuffix(PRELOAD)] + (", preload" if fleet.endswith(PRELOAD) else "")


def by_fleet(rows: Iterable[Measured]) -> dict[str, list[Measured]]:
    """The rows of each fleet."""
    fleets: dict[str, list[Measured]] = {}
    for row in rows:
        fleets.setdefault(row.fleet, []).append(row)
    return fleets


def table(rows: list[Measured]) -> str:
    """A Markdown table of the medians of the rounds, and their ratios to other fleets'."""
    tables = []
    for size, of_size in groupby(sorted(rows, key=lambda row: row.size), lambda row: row.size):
        fleets, lines = by_fleet(of_size), []
        for name, mine in fleets.items():
            medians = [statistics.median(getattr(row, value) for row in mine) for value in COLUMNS.values()]
            ratios = [_ratio(mine, fleets.get(other, []), value) for other, value in RATIOS.values()]
            lines.append([title(name), str(len(mine)), *(f"{median:.0f}" for median in medians), *ratios])
        tables.append(markdown([f"{size} tasks", "rounds", *COLUMNS, *RATIOS], lines))
    return "\n".join(tables)


def _ratio(mine: list[Measured], others: list[Measured], value: str) -> str:
    if not others:
        return ""
    medians = [statistics.median(getattr(row, value) for row in rows) for rows in (mine, others)]
    return f"{medians[0] / medians[1]:.2f}"


def kept() -> list[Measured]:
    """The rows of earlier runs."""
    return read("thousand.json", Measured)


def run(fleets: list[str], size: int, preload: bool, rows: list[Measured]) -> None:
    """Run the fleets on one Airflow, and add their rows."""
    with ExitStack() as stack:
        boxes = {fleet: sandbox_for(fleet.removesuffix(PRELOAD), size) for fleet in fleets}
        for box in boxes.values():
            stack.enter_context(box)
        services = stack.enter_context(Services())
        environment = stack.enter_context(preloading(preload))
        airflow = PrivateAirflow(
            HERE / "scale_dags",
            connections={connection(fleet): box.connection for fleet, box in boxes.items()},
            environment=environment
            | {"AIRFLOW__CELERY__WORKER_CONCURRENCY": "2", "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "1"},
            slots=16,
            database=services,
            celery_workers=2,
        )
        stack.enter_context(airflow)
        airflow.run_dag("empty", {"size": 16})  # every process has done its work once
        for fleet, box in boxes.items():
            rows.append(measure(airflow, fleet, box, size))
            print(rows[-1], flush=True)
            keep("thousand.json", rows)
            (RESULTS / "thousand.md").write_text(table(rows))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=1000, metavar="N", help="mapped tasks of each fleet")
    parser.add_argument("--rounds", type=int, default=1, metavar="N", help="repetitions; the table has medians")
    names = [*FLEETS, *(f"{name}{PRELOAD}" for name in FLEETS)]
    parser.add_argument("fleets", nargs="*", default=DEFAULT, metavar="FLEET", help=f"of {', '.join(names)}")
    options = parser.parse_args()
    if unknown := {*options.fleets} - {*names}:
        parser.error(f"these fleets do not exist: {', '.join(sorted(unknown))}")
    # Rows of this size and these fleets are replaced.
    rows = [row for row in kept() if row.size != options.tasks or row.fleet not in options.fleets]
    for preload in (False, True) * options.rounds:
        if mine := [fleet for fleet in options.fleets if fleet.endswith(PRELOAD) is preload]:
            run(mine, options.tasks, preload, rows)
    print(table([row for row in rows if row.size == options.tasks]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
