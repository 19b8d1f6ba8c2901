"""Twenty pods that each run a task, with an address each and behind one address, in each scope.

Run ``python -m benchmarks.pods``; it needs root, ``ip`` and ``nft``, and takes about ten minutes. A real Airflow starts
each task in a network namespace of its own, by the command that KubernetesExecutor's pods run. The sandbox counts token
requests by address, 10 in 60 s, and allows 100 active tokens, as Atlas does. All pods make their first request at one
moment. The table is written to ``docs/measured``.
"""

from __future__ import annotations

import sys
from pathlib import Path

from airflow_provider_atlas.sandbox import Sandbox
from benchmarks import pod_network
from benchmarks.fleets import CAP, HERE, RESULTS
from benchmarks.pod_executor import PIDS
from harness.airflow import PrivateAirflow

PODS = 20
#: DAG, name in the table, and tokens of other tasks that are active before.
FLEETS = {
    "task": ("in_task", "task scope", 0),
    "cap": ("in_task", "task scope, 90 other tokens active", 90),
    "run": ("in_run", "DAG run scope", 0),
    "deployment": ("in_deployment", "deployment scope, cold", 0),
}
COLUMNS = ("succeeded", "from addresses", "token requests", "429s", "403s for the cap", "active tokens", "wall s")


def measure(airflow: PrivateAirflow, fleet: str, conn: str, sandbox: Sandbox) -> list[int]:
    """Run a fleet; the values of :data:`COLUMNS`. Active tokens are those at the end of the run."""
    dag, _, others = FLEETS[fleet]
    for _ in range(others):
        sandbox.issue(sandbox.client_id, sandbox.client_secret, sandbox.token_life)
    run = airflow.run_dag(dag, {"size": PODS, "conn": conn}, timeout=600)
    counters = sandbox.counters
    return [
        [state for (task, _), state in run.tasks.items() if task == "call"].count("success"),
        len({key[0] for key in sandbox.windows.keys if isinstance(key, tuple)}),
        counters.token_requests,
        counters.rate_limited,
        counters.cap_refused,
        counters.active,
        round(run.duration),
    ]


def main() -> int:
    rows: list[tuple[str, list[int]]] = []
    # The cap does not depend on the address.
    runs = [(many, fleet) for many in (True, False) for fleet in FLEETS if many or fleet != "cap"]
    boxes = {run: Sandbox(token_cap=CAP) for run in runs}
    with pod_network.PodNetwork(PODS) as network:
        try:
            made = {f"{fleet}_{many}".lower(): box.start().connection for (many, fleet), box in boxes.items()}
            environment = {
                "AIRFLOW__CORE__EXECUTOR": "benchmarks.pod_executor.PodExecutor",
                "PYTHONPATH": str(Path(HERE).parent),
                PIDS: " ".join(map(str, network.pids)),
            }
            with PrivateAirflow(HERE / "pod_dags", connections=made, environment=environment, slots=PODS) as airflow:
                for (many, fleet), box in boxes.items():
                    if not many and len(rows) == len(FLEETS):
                        network.one_address()
                    name = f"{FLEETS[fleet][1]}; {'an address each' if many else 'one address'}"
                    rows.append((name, measure(airflow, fleet, f"{fleet}_{many}".lower(), box)))
                    print(*rows[-1], flush=True)
        finally:
            for box in boxes.values():
                box.stop()
    lines = [[f"{PODS} pods", *COLUMNS], ["---", *["--:"] * len(COLUMNS)]]
    lines += [[name, *map(str, row)] for name, row in rows]
    table = "".join(f"| {' | '.join(line)} |\n" for line in lines)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "pods.md").write_text(table)
    print(table)
    return 0


if __name__ == "__main__":
    pod_network.enter("benchmarks.pods")
    sys.exit(main())
