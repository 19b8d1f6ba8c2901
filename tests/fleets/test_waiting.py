"""30 mapped generate tasks at Atlas's rate limit of 10 requests a minute: no task fails, few requests are refused.

``benchmarks.waiting`` measures what they cost in worker slots, compared with peers and an empty fleet.
"""

from __future__ import annotations

import shutil
import time
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import pytest

from airflow_provider_atlas.sandbox import Sandbox
from harness import leaks
from harness.airflow import HANGS, PrivateAirflow
from tests.fleets.test_scopes import states

SIZE = 30
KINDS = {
    "atlas_plain": {},
    # Half of Atlas's minute.
    "atlas_no_retry_after": {"retry_after": "none", "window": 30.0},
    "atlas_other_shape": {"rate_limit_shape": "api", "retry_after": "date", "window": 30.0},
    "atlas_wrong_window": {"retry_after": "none", "window": 30.0, "stated_window": 60.0},
    "atlas_policy": {"window": 30.0},
    "atlas_killed": {},
    "atlas_ended": {"rate_limit": 1, "window": 300.0},
}


@pytest.fixture(scope="module")
def sandboxes():
    with ExitStack() as stack:
        yield {name: stack.enter_context(Sandbox(**knobs)) for name, knobs in KINDS.items()}


@pytest.fixture(scope="module")
def airflow(sandboxes, postgres, tmp_path_factory):
    dags = tmp_path_factory.mktemp("dags")
    shutil.copy(Path(__file__).parent / "dags" / "waiting.py", dags)
    connections = {name: box.connection for name, box in sandboxes.items()}
    with PrivateAirflow(dags, connections=connections, slots=16, database=postgres) as running:
        leaks.watch(running)
        yield running


def deferred(airflow) -> int:
    """How often a task entered the state deferred so far, as the database's triggers recorded it."""
    sql = "SELECT count(*) AS seen FROM leak_watch WHERE place = 'task_instance.state' AND value = 'deferred'"
    return airflow.query(sql)[0]["seen"]


def begin(airflow, conn, dag_id="wait_deferred", size=SIZE):
    return dag_id, airflow.trigger(dag_id, {"size": size, "conn": conn})


def end(airflow, sandboxes, conn, dag_id, run_id):
    run = airflow.wait(dag_id, run_id)
    counters = sandboxes[conn].counters
    print(f"\n{dag_id} {conn}: {states(run)}, {counters.token_requests} token requests, {run.duration:.0f} s")
    return run


def test_all_deferred_tasks_get_a_token_with_few_refused_requests(airflow, sandboxes):
    before = deferred(airflow)
    run = end(airflow, sandboxes, "atlas_plain", *begin(airflow, "atlas_plain"))
    assert states(run) == {"success": SIZE}
    assert sandboxes["atlas_plain"].counters.token_requests <= 60
    assert deferred(airflow) - before >= SIZE // 2


def test_tasks_get_a_token_with_every_format_of_the_429_and_with_the_retry_policy(airflow, sandboxes):
    kinds = ("atlas_no_retry_after", "atlas_other_shape", "atlas_wrong_window")
    begun = {kind: begin(airflow, kind) for kind in kinds}
    policy = begin(airflow, "atlas_policy", "wait_by_policy", 15)
    for kind in kinds:
        run = end(airflow, sandboxes, kind, *begun[kind])
        assert states(run) == {"success": SIZE}, kind
        assert sandboxes[kind].counters.token_requests <= 60, kind
    run = end(airflow, sandboxes, "atlas_policy", *policy)
    assert states(run) == {"success": 15}


def test_a_killed_triggerer_loses_no_task(airflow, sandboxes):
    run_id = airflow.trigger("wait_deferred", {"size": 14, "conn": "atlas_killed"})
    sql = "SELECT count(*) AS n FROM task_instance WHERE run_id = ? AND state = 'deferred' AND trigger_id IS NOT NULL"
    deadline = time.monotonic() + HANGS
    while airflow.query(sql, (run_id,))[0]["n"] < 3:
        assert time.monotonic() < deadline, "no task was deferred"
        time.sleep(0.2)
    time.sleep(3)  # in the middle of the wait
    airflow.components.kill("triggerer")
    airflow.components.restart("triggerer")
    run = airflow.wait("wait_deferred", run_id)
    assert states(run) == {"success": 14}


def test_a_cleared_deferred_task_restarts_and_one_marked_failed_or_timed_out_ends(airflow, sandboxes):
    run_id = airflow.trigger("wait_deferred", {"size": 4, "conn": "atlas_ended"})
    sql = "SELECT map_index FROM task_instance WHERE run_id = ? AND state = 'deferred' ORDER BY map_index"
    deadline = time.monotonic() + HANGS
    while len(rows := airflow.query(sql, (run_id,))) < 3:
        assert time.monotonic() < deadline, "no task was deferred"
        time.sleep(0.2)
    before, cleared = deferred(airflow), rows[0]["map_index"]
    request = {"dry_run": False, "only_failed": False, "dag_run_id": run_id, "task_ids": [["call", cleared]]}
    airflow.rest.request("POST", "/dags/wait_deferred/clearTaskInstances", request)
    while deferred(airflow) == before:
        assert time.monotonic() < deadline, "the cleared task did not defer again"
        time.sleep(0.2)
    timed_out = rows.pop()["map_index"]
    sql = "UPDATE task_instance SET trigger_timeout = ? WHERE run_id = ? AND map_index = ?"
    airflow.database.write(sql, (datetime.now(UTC), run_id, timed_out))
    for row in rows:
        path = f"/dags/wait_deferred/dagRuns/{run_id}/taskInstances/call/{row['map_index']}"
        airflow.rest.request("PATCH", path, {"new_state": "failed"})
    run = airflow.wait("wait_deferred", run_id)
    assert states(run) == {"success": 1, "failed": 3}
    assert sandboxes["atlas_ended"].counters.issued == 1
    deadline = time.monotonic() + HANGS
    while airflow.query("SELECT id FROM trigger"):
        assert time.monotonic() < deadline, "a trigger is left in the database"
        time.sleep(0.5)


def test_trigger_rows_events_next_kwargs_and_logs_hold_no_secret(airflow, sandboxes):
    secrets = {}
    for name, box in sandboxes.items():
        needles = leaks.needles(box.client_id, box.client_secret, box.issued)
        secrets |= {f"{name} {label}": forms for label, forms in needles.items()}
    assert airflow.query("SELECT count(*) AS n FROM leak_watch WHERE place = 'trigger.kwargs'")[0]["n"] > 20
    assert leaks.search(secrets, airflow).leaks == []
