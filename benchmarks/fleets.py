"""Fleets of mapped tasks that each call the Administration API: this provider in each scope, compared with peers.

Run ``python -m benchmarks.fleets [SIZE ...]`` (default: 20, 60 and 120 tasks; about 45 minutes). One real Airflow runs
the fleets one after another, each with its own sandbox. The sandbox allows 10 token requests in 6 s, a tenth of Atlas's
minute, and 100 active tokens. JSON, a table and a plot are written to ``docs/measured``.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from airflow_provider_atlas.sandbox import Sandbox
from benchmarks.results import RESULTS, keep, markdown
from harness import leaks
from harness.airflow import PrivateAirflow

SIZES = (20, 60, 120)
#: DAG, and its name in table and plot.
OURS = {
    "deployment": "deployment scope",
    "dag_run": "DAG run scope",
    "task_scope": "task scope",
    "deferred": "task scope, deferred",
}
PEERS = {
    "tenacity": "requests and tenacity",
    "authlib": "authlib, task retries",
    "requests_oauthlib": "requests-oauthlib, task retries",
    "http_operator": "HTTP operator, task retries",
}
FLEETS = {"empty": "empty tasks"} | OURS | PEERS
COSTS = (
    "token_requests",
    "refused_429",
    "failed_tries",
    "slot_seconds",
    "wall_seconds",
    "active_tokens_left",
    "plain_text_tokens",
)
#: Heading of a column of the table, and what it shows.
COLUMNS = {
    "ok": "succeeded",
    "token requests": "token_requests",
    "429s": "refused_429",
    "failed tries": "failed_tries",
    "slot-s": "slot_seconds",
    "wall s": "wall_seconds",
    "tokens left": "active_tokens_left",
    "plain text": "plain_text_tokens",
}
LIMIT, WINDOW, CAP = 10, 6.0, 100
HERE = Path(__file__).parent


@dataclass(frozen=True)
class Measured:
    """
    The result of one fleet. Slot-seconds are running task instances times seconds.

    :param floor_seconds: the time that the rate limit alone requires: the windows before that of the last token
    """

    fleet: str
    size: int
    succeeded: int
    token_requests: int
    refused_429: int
    failed_tries: int
    slot_seconds: int
    wall_seconds: int
    floor_seconds: int
    active_tokens_left: int
    plain_text_tokens: int


def connection(fleet: str, sandbox: Sandbox) -> tuple[str, dict[str, Any]]:
    """Id and fields of a fleet's connection."""
    if fleet == "http_operator":  # the HTTP provider would append the port to that of the URL
        return f"http_{fleet}", sandbox.connection | {"conn_type": "http", "port": None}
    return f"mongodbatlas_{fleet}", sandbox.connection


def measure(airflow: PrivateAirflow, sandbox: Sandbox, fleet: str, conn: str, size: int, timeout: float) -> Measured:
    """Run a fleet's DAG to its end and measure its cost. No other fleet uses the sandbox."""
    run = airflow.run_dag(fleet, {"size": size, "conn": conn}, timeout=timeout)
    sql = "SELECT sum(CASE WHEN state = 'success' THEN try_number - 1 ELSE try_number END) AS n FROM task_instance"
    tries = airflow.query(f"{sql} WHERE run_id = ? AND dag_id = ? AND task_id = 'call'", (run.run_id, fleet))
    secrets = {token: leaks.forms(token) for token in sandbox.issued}
    counters = sandbox.counters
    return Measured(
        fleet=fleet,
        size=size,
        succeeded=[state for (task, _), state in run.tasks.items() if task == "call"].count("success"),
        token_requests=counters.token_requests,
        refused_429=counters.rate_limited,
        failed_tries=tries[0]["n"],
        slot_seconds=round(airflow.slots.seconds[fleet, run.run_id]),
        wall_seconds=round(run.duration),
        floor_seconds=round(max(counters.issued - 1, 0) // sandbox.rate_limit * sandbox.window),
        active_tokens_left=counters.active,
        plain_text_tokens=len({leak.what for leak in leaks.search(secrets, airflow).leaks if "/" not in leak.place}),
    )


def worse(row: Measured, rows: list[Measured]) -> list[str]:
    """The costs in which a fleet of ours is worse than the best peer of its size. Empty for other fleets."""
    peers = [peer for peer in rows if peer.fleet in PEERS]
    if row.fleet not in OURS or not peers:
        return []
    return [name for name in COSTS if getattr(row, name) > min(getattr(peer, name) for peer in peers)]


def table(rows: list[Measured]) -> str:
    """Markdown tables, one for each size. Costs in which a fleet of ours is worse than the best peer are in bold."""
    return "\n".join(_table([row for row in rows if row.size == size]) for size in sorted({row.size for row in rows}))


def _table(rows: list[Measured]) -> str:
    head = [f"{rows[0].size} tasks, floor {max(row.floor_seconds for row in rows)} s", *COLUMNS]
    lines = []
    for row in rows:
        values = {name: str(getattr(row, name)) for name in COLUMNS.values()}
        values |= {name: f"**{values[name]}**" for name in worse(row, rows)}
        lines.append([FLEETS[row.fleet], *values.values()])
    return markdown(head, lines)


def plot(rows: list[Measured], path: Path) -> None:
    """The cost by the size of the fleet: token requests, slot-seconds and wall time."""
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 3, figsize=(13, 4.5), layout="constrained")
    for fleet, name in FLEETS.items():
        mine = [row for row in rows if row.fleet == fleet]
        for axis, value in zip(axes, ("token_requests", "slot_seconds", "wall_seconds"), strict=True):
            style = "-o" if fleet in OURS else "--s" if fleet in PEERS else ":"
            axis.plot([row.size for row in mine], [getattr(row, value) for row in mine], style, label=name, ms=4)
            axis.set(title=value.replace("_", " "), xlabel="mapped tasks")
    axes[0].set_yscale("symlog")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)
    figure.savefig(path, metadata={"Date": None})


def main(sizes: tuple[int, ...]) -> int:
    rows: list[Measured] = []
    boxes = {
        (fleet, size): Sandbox(rate_limit=LIMIT, window=WINDOW, token_cap=CAP) for size in sizes for fleet in FLEETS
    }
    try:
        made = {key: connection(key[0], box.start()) for key, box in boxes.items()}
        connections = {f"{name}_{size}": fields for (_, size), (name, fields) in made.items()}
        with PrivateAirflow(HERE / "dags", connections=connections, slots=16) as airflow:
            for (fleet, size), box in boxes.items():
                rows.append(measure(airflow, box, fleet, f"{made[fleet, size][0]}_{size}", size, timeout=900))
                print(rows[-1], flush=True)
    finally:
        for box in boxes.values():
            box.stop()
    keep("fleets.json", rows)
    (RESULTS / "fleets.md").write_text(table(rows))
    plot(rows, RESULTS / "fleets.svg")
    at_most = {row.fleet: row for row in rows if row.size == max(sizes)}
    peer = min(at_most[fleet].token_requests for fleet in PEERS)
    ratio = peer / max(at_most["deployment"].token_requests, 1)
    print(table(rows) + f"\ntoken requests, best peer / deployment scope: {ratio:.0f}")
    return 0 if ratio >= 30 or max(sizes) < 120 else 1


if __name__ == "__main__":
    sys.exit(main(tuple(map(int, sys.argv[1:])) or SIZES))
