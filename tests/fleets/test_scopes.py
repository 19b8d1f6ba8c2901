"""120 mapped tasks in each scope, rotation during running tasks, accounts without rights, a replaced secret."""

from __future__ import annotations

import contextlib
import math
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

pytestmark = pytest.mark.usefixtures("counted_from_here")


@pytest.fixture
def counted_from_here(sandbox):
    sandbox.reset_counters()


def states(run, task_id="call"):
    """How many of the mapped tasks ended in each state."""
    ended = [state for (task, index), state in run.tasks.items() if task == task_id and index >= 0]
    return {state: ended.count(state) for state in set(ended)}


@contextlib.contextmanager
def rotating(airflow):
    """Rotate the deployment's token repeatedly until the block ends. After it, the list has the states of all runs."""
    stop, states = threading.Event(), []

    def rotate() -> None:
        while not stop.is_set():
            states.append(airflow.run_dag("atlas_token_rotation").state)

    with ThreadPoolExecutor() as pool:
        done = pool.submit(rotate)
        try:
            yield states
        finally:
            stop.set()
        done.result()


@pytest.mark.parametrize(("store", "most"), [("cold", 3), ("warm", 0)])
def test_120_tasks_in_deployment_scope_share_a_token(airflow, sandbox, store, most):
    run = airflow.run_dag("fleet_deployment", {"size": 120})
    counters = sandbox.counters
    print(f"\ndeployment scope, {store} store: {counters.token_requests} token requests in {run.duration:.0f} s")
    assert states(run) == {"success": 120}
    assert list(run.warnings(airflow.logs())) == []
    assert counters.token_requests <= most
    assert counters.rate_limited == 0


def test_120_tasks_in_dag_run_scope_share_a_token_and_the_run_revokes_it(airflow, sandbox):
    active = sandbox.counters.active
    run = airflow.run_dag("fleet_run", {"size": 120})
    assert states(run) == {"success": 120}
    assert (sandbox.counters.token_requests, sandbox.counters.revoked) == (1, 1)
    assert sandbox.counters.active == active


def test_rotation_during_60_running_tasks_fails_no_task(airflow, sandbox):
    with rotating(airflow) as rotations:
        run = airflow.run_dag("fleet_deployment", {"size": 60, "seconds": 12})
    last = airflow.run_dag("atlas_token_rotation")
    counters = sandbox.counters
    print(f"\n{len(rotations)} rotations, {counters.token_requests} tokens, {counters.active} active at the end")
    assert states(run) == {"success": 60}
    assert set(rotations) == {"success"} == {last.state}
    assert len(rotations) >= 1  # how many depends on the speed of the machine
    assert counters.active <= 2


@pytest.mark.parametrize(("conn", "per_minute"), [("atlas_no_rights", 0), ("atlas_no_rights_no_code", 1)])
def test_120_tasks_without_rights_do_not_use_up_the_active_tokens(airflow, sandbox, conn, per_minute):
    run = airflow.run_dag("fleet_deployment", {"size": 120, "conn": conn})
    assert states(run) == {"failed": 120}
    assert sandbox.counters.token_requests <= 1 + per_minute * math.ceil(run.duration / 60)


@pytest.mark.parametrize("scope", ["task", "deployment"])
def test_120_tasks_with_a_wrong_secret_read_their_connection_once_more_and_request_one_token_each(
    airflow, sandbox, scope
):
    run = airflow.run_dag("fleet_deployment", {"size": 120, "conn": "atlas_wrong_secret", "scope": scope})
    logs = [text for path, text in airflow.logs() if f"run_id={run.run_id}/" in f"{path}" and b"Reads" in text]
    reads = Counter(text.count(b"Reads atlas_wrong_secret") for text in logs)
    counters = sandbox.counters
    print(f"\n{scope} scope: {counters.token_requests} token requests, {counters.rate_limited} 429s, reads: {reads}")
    assert states(run) == {"failed": 120}
    assert len(logs) == 120
    assert set(reads) <= {1, 2}
    assert counters.credentials_refused <= 120
    assert counters.issued == 0


def test_tasks_with_a_new_secret_do_not_use_the_token_of_the_old_secret(airflow, sandbox):
    airflow.run_dag("fleet_deployment", {"size": 1})
    sandbox.reset_counters()
    old = threading.Thread(target=airflow.run_dag, args=("fleet_deployment", {"size": 8, "seconds": 10}))
    old.start()
    run = airflow.run_dag("fleet_deployment", {"size": 8, "conn": "atlas_second_secret"})
    old.join()
    assert states(run) == {"success": 8}
    assert sandbox.counters.token_requests <= 2
    assert sandbox.counters.api_unauthorized == 0


def test_120_tasks_in_task_scope_fail_at_the_cap_with_an_error_that_names_the_remedy(airflow, sandbox):
    run = airflow.run_dag("fleet_task", {"size": 120, "conn": "atlas_crowd"})
    ended = states(run)
    print(
        f"\ntask scope: {ended}, {sandbox.counters.token_requests} token requests, {sandbox.counters.rate_limited} 429s"
    )
    assert ended == {"success": 100, "failed": 20}
    (log, *_) = [text for path, text in airflow.logs() if "fleet_task" in str(path) and b"TokenLimitReached" in text]
    assert b"set cache_scope=deployment on the connection" in log
