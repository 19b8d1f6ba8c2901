"""30 mapped generates against Atlas's own 10 requests a minute, beside peers and an empty fleet, on one real Airflow.

Run ``python -m benchmarks.waiting``; it takes some ten minutes and needs ``apache-airflow-providers-http``. The fleets
run one after another, each against a sandbox of its own. Slot-seconds are sampled: running task instances, four times a
second; a deferred or waiting one does not count.
"""

from __future__ import annotations

import sys
from pathlib import Path

from airflow_provider_atlas.sandbox import Sandbox
from demo import leaks
from demo.airflow import PrivateAirflow

SIZE = 30
FLEETS = ("empty", "deferred", "tenacity", "http_operator")


def main() -> int:
    sandboxes = {name: Sandbox().start() for name in FLEETS}
    connections = {
        f"{'http' if name == 'http_operator' else 'atlas'}_{name}": {
            "conn_type": "http" if name == "http_operator" else "mongodbatlas",
            "login": sandbox.client_id,
            "password": sandbox.client_secret,
            "host": sandbox.url,
        }
        for name, sandbox in sandboxes.items()
    }
    slots: dict[str, float] = {}
    columns = ("fleet", "succeeded", "token requests", "429s", "failed tries", "slot-seconds", "wall", "plain tokens")
    print(f"| {' | '.join(columns)} |\n{'|---' * len(columns)}|")
    try:
        with PrivateAirflow(Path(__file__).parent / "dags", connections=connections, slots=16) as airflow:
            for name, sandbox in sandboxes.items():
                conn = next(conn for conn in connections if conn.endswith(name))
                run = airflow.run_dag(name, {"size": SIZE, "conn": conn}, timeout=900)
                done = [state for (task, _), state in run.tasks.items() if task == "call"].count("success")
                sql = "SELECT sum(try_number - 1) AS n FROM task_instance WHERE run_id = ?"
                tries = airflow.query(sql, (run.run_id,))[0]["n"]
                known = {token: leaks.forms(token) for token in sandbox.issued}
                plain = {leak.what for leak in leaks.search(known, airflow).leaks if leak.place.startswith("xcom")}
                slots[name] = airflow.slot_seconds(name, run.run_id)
                counters = sandbox.counters
                row = (name, done, counters.token_requests, counters.rate_limited, tries, round(slots[name]))
                print(f"| {' | '.join(map(str, row))} | {run.duration:.0f} s | {len(plain)} |", flush=True)
    finally:
        for sandbox in sandboxes.values():
            sandbox.stop()
    ratio = slots["deferred"] / slots["empty"]
    print(f"slot-seconds, deferred / empty: {ratio:.2f}")
    return 0 if ratio <= 2.2 else 1


if __name__ == "__main__":
    sys.exit(main())
