"""What a task pays: the time from its start to its first API response, split into parts, without and with preload.

Run ``python -m benchmarks.task_cost [TASKS]``; with 5 tasks of each kind, the default, it takes three minutes.
The tasks run one after another on a real Airflow (SQLite, LocalExecutor). Medians in milliseconds are printed.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from airflow_provider_atlas.hooks.service_account import AtlasServiceAccountHook
from airflow_provider_atlas.sandbox import Sandbox
from benchmarks.results import markdown
from harness.airflow import PrivateAirflow

DAG = """
import time
began = time.perf_counter()
from benchmarks import task_clock
started = task_clock.since_start()
from datetime import datetime
from airflow.providers.common.compat.sdk import BaseHook, dag, task
imported = time.perf_counter()
from airflow_provider_atlas.hooks.service_account import AtlasServiceAccountHook
hook_seconds = time.perf_counter() - imported

GROUPS = "/api/atlas/v2/groups"

def bare(conn_id, token):
    import requests
    conn = BaseHook.get_connection(conn_id)
    headers = {"Accept": "application/vnd.atlas.2025-03-12+json", "Authorization": f"Bearer {token}"}
    requests.get(f"{conn.host}{GROUPS}", headers=headers, timeout=30).raise_for_status()

@dag(schedule=None, start_date=datetime(2025, 1, 1), max_active_tasks=1)
def task_cost():
    @task
    def kinds(**context):
        return context["dag_run"].conf["tasks"]

    @task(retries=0)
    def call(path, label, conn_id, scope=None, token=None, plain=None):
        if plain:
            work, before = (lambda: bare(conn_id, plain)), {"start": started}
        else:
            work = lambda: AtlasServiceAccountHook(conn_id, cache_scope=scope, token=token).run(GROUPS)
            before = {"start": started, "hook import": hook_seconds}
        task_clock.measure(path, label, work, before)

    call.expand_kwargs(kinds())

task_cost()
"""
KINDS = (
    "requests, token at hand",
    "task scope",
    "DAG run scope",
    "deployment scope, cold",
    "deployment scope, warm",
)
PARTS = ("start", "Airflow", "hook import", "imports", "connection", "store", "token request", "API request", "rest")


def tasks(path: Path, count: int, sandbox: Sandbox) -> list[dict[str, Any]]:
    """The arguments of each task. A cold store needs an account that no other task has used."""
    hook = AtlasServiceAccountHook(
        client_id=sandbox.client_id, client_secret=sandbox.client_secret, base_url=sandbox.url
    )
    token = hook.generate_token()
    arguments: dict[str, dict[str, Any]] = {
        KINDS[0]: {"conn_id": "cost", "plain": token.value},
        KINDS[1]: {"conn_id": "cost", "scope": "task"},
        KINDS[2]: {"conn_id": "cost", "token": hook.seal(token)},
    }
    listed = [{"label": kind} | arguments[kind] for _ in range(count) for kind in KINDS[:3]]
    for kind in KINDS[3:]:
        listed += [{"label": kind, "conn_id": conn, "scope": "deployment"} for conn in names(count)]
    return [{"path": str(path)} | each for each in listed]


def names(count: int) -> list[str]:
    """The connections that start with a cold store."""
    return [f"cost_{number}" for number in range(count)]


@contextmanager
def preloading(wanted: bool) -> Iterator[dict[str, str]]:
    """The environment of an Airflow whose processes import this provider's modules at their start, or do not."""
    root = str(Path(__file__).parent.parent)
    with tempfile.TemporaryDirectory(prefix="settings-") as folder:
        line = "import airflow_provider_atlas.preload\n" if wanted else ""
        Path(folder, "airflow_local_settings.py").write_text(line)
        yield {"PYTHONPATH": f"{folder}:{root}"}


def table(rows: list[dict[str, Any]]) -> str:
    """Medians in milliseconds; empty where a part does not occur."""
    lines = []
    for kind in KINDS:
        mine = [row for row in rows if row["label"] == kind]
        cells = [[row["parts"].get(part) for row in mine] for part in PARTS] + [[row["total"] for row in mine]]
        texts = ["" if None in cell else f"{statistics.median(cell) * 1000:.0f}" for cell in cells]
        lines.append([kind, *texts, f"{statistics.median(row['Variable calls'] for row in mine):g}"])
    return markdown(["ms", *PARTS, "all", "Variable calls"], lines)


def main(count: int) -> int:
    for wanted in (False, True):
        with (
            Sandbox(rate_limit=10 * count, token_cap=10 * count) as sandbox,
            tempfile.TemporaryDirectory(prefix="cost-") as home,
            preloading(wanted) as environment,
        ):
            connections = {"cost": sandbox.connection}
            for name in names(count):
                client_id, secret = sandbox.add_account()
                connections[name] = sandbox.connection | {"login": client_id, "password": secret}
            dags, path = Path(home, "dags"), Path(home, "results")
            dags.mkdir()
            (dags / "task_cost.py").write_text(DAG)
            conf = {"tasks": tasks(path, count, sandbox)}
            with PrivateAirflow(dags, connections=connections, environment=environment, slots=1) as airflow:
                run = airflow.run_dag("task_cost", conf, timeout=600)
                assert run.state == "success", list(run.errors(airflow.logs()))
            rows = [json.loads(line) for line in path.read_text().splitlines()]
        print(f"{'with' if wanted else 'without'} preload\n\n{table(rows)}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])) if sys.argv[1:] else main(5))
