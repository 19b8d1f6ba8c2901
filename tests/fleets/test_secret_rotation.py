"""The client secret rotates three times beneath 80 tasks in each scope, the old one deleted each time."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from airflow_provider_atlas.hooks.service_account import AtlasServiceAccountHook
from airflow_provider_atlas.sandbox import Sandbox
from harness import leaks
from harness.airflow import HANGS
from harness.runs import errors_in
from tests.fleets.conftest import airflow_with_a_store
from tests.fleets.test_scopes import states

SIZE = 20
IN_RUN = 7  # in each of three runs, one around each rotation


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory):
    log = tmp_path_factory.mktemp("sandbox") / "sandbox.log"
    with Sandbox(rate_limit=50, window=60.0, token_cap=100, log_file=log) as running:
        yield running


@pytest.fixture(scope="module")
def airflow(sandbox, tmp_path_factory):
    connection = sandbox.connection | {"extra": {"max_wait": 250}}
    with airflow_with_a_store(tmp_path_factory.mktemp("users"), {"atlas_default": connection}, slots=16) as running:
        yield running


def tasks(airflow):
    """What the tasks do, and the errors in their logs."""
    sql = "SELECT dag_id, task_id, state, count(*) AS number FROM task_instance GROUP BY dag_id, task_id, state"
    return [tuple(row) for row in airflow.query(sql)], [
        (path.parent.name, error) for path, text in airflow.logs() for error in errors_in(text)
    ]


def wait_for(airflow, sql, least):
    end = time.monotonic() + HANGS
    while airflow.query(sql)[0]["seen"] < least:
        assert time.monotonic() < end, f"{sql}: {tasks(airflow)}"
        time.sleep(0.5)


def running_tasks(airflow, dag_id, run_id, least):
    wait_for(
        airflow,
        "SELECT count(*) AS seen FROM task_instance WHERE task_id = 'call' AND state = 'running' "
        f"AND dag_id = '{dag_id}' AND run_id = '{run_id}'",
        least,
    )


def test_no_task_fails_while_the_client_secret_is_rotated_three_times(airflow, sandbox):
    hook = AtlasServiceAccountHook(
        client_id=sandbox.client_id, client_secret=sandbox.client_secret, base_url=sandbox.url
    )
    sandbox.rate_limit, sandbox.window = 1, 75.0
    with hook as own:
        org_id = own.run("/api/atlas/v2/orgs")["results"][0]["id"]
    secrets = sandbox.accounts[sandbox.client_id].secrets
    secrets[0].expires = time.time() + 60 * 86_400
    every_secret = [sandbox.client_secret]
    sandbox.reset_counters()

    # All are told to wait until this window ends, and defer.
    runs = {"deferred": airflow.trigger("deferred", {"size": SIZE})}
    wait_for(airflow, "SELECT count(*) AS seen FROM task_instance WHERE state = 'deferred'", SIZE)
    sandbox.rate_limit, sandbox.window = 50, 60.0

    for dag_id in ("in_task", "in_deployment"):
        runs[dag_id] = airflow.trigger(dag_id, {"size": SIZE, "seconds": 25})
    running_tasks(airflow, "in_deployment", runs["in_deployment"], 2)
    ended, rotations = [], []
    with ThreadPoolExecutor() as pool:
        for _ in range(3):
            in_run = airflow.trigger("in_run", {"size": IN_RUN, "seconds": 15})
            running_tasks(airflow, "in_run", in_run, 2)
            rotations.append(airflow.run_dag("rotate_secret", {"org_id": org_id}))
            assert len(secrets) == 2, tasks(airflow)
            every_secret.append(secrets[-1].value)
            sandbox.delete_secret(secrets[0].value)
            ended.append(airflow.wait("in_run", in_run))
        others = list(pool.map(lambda run: airflow.wait(*run), runs.items()))

    counters = sandbox.counters
    errors = "\n".join(error for run in (*rotations, *ended, *others) for error in run.errors(airflow.logs()))
    print(f"\n{counters.token_requests} token requests, {counters.credentials_refused} with a deleted secret,")
    print(f"{counters.rate_limited} 429s, {counters.active} tokens active at the end")
    assert [run.state for run in rotations] == ["success"] * 3, errors
    assert [states(run) for run in ended] == [{"success": IN_RUN}] * 3, errors
    assert {run.dag_id: states(run) for run in others} == {key: {"success": SIZE} for key in runs}, errors
    assert {run.state for run in ended} == {"success"}, errors
    tries = airflow.query("SELECT max(try_number) AS tries FROM task_instance")[0]["tries"]
    assert tries == 1

    known = leaks.needles(sandbox.client_id, sandbox.client_secret, sandbox.issued)
    known |= {f"client secret {number}": leaks.forms(secret) for number, secret in enumerate(every_secret)}
    assert leaks.search(known, airflow, [sandbox.log_file]).leaks == []


def test_the_rotated_connection_keeps_its_other_fields_and_has_the_previous_secret(airflow, sandbox):
    (row,) = airflow.query("SELECT * FROM connection WHERE conn_id = 'atlas_default'")
    from cryptography.fernet import Fernet

    fernet = Fernet(airflow.fernet_key)
    extra = json.loads(fernet.decrypt(row["extra"].encode()))
    password = fernet.decrypt(row["password"].encode()).decode()
    assert (row["conn_type"], row["login"], row["host"]) == ("mongodbatlas", sandbox.client_id, sandbox.url)
    assert password == sandbox.accounts[sandbox.client_id].secrets[-1].value
    assert set(extra) == {"max_wait", "previous_secret"}
