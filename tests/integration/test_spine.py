"""The main use of the provider with a real scheduler: generate, use in mapped tasks, revoke; and what is left."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def counted_from_here(sandbox):
    sandbox.reset_counters()


def test_a_dag_run_shares_one_token_and_revokes_it(airflow, sandbox):
    active = sandbox.counters.active
    run = airflow.run_dag("atlas_token_lifecycle")
    assert run.state == "success", list(run.errors(airflow.logs()))
    assert set(run.tasks.values()) == {"success"}
    assert len([key for key in run.tasks if key[0] == "count_projects"]) == 4
    counters = sandbox.counters
    assert (counters.token_requests, counters.revoked, counters.rate_limited) == (1, 1, 0)
    assert counters.active == active


def test_repeated_rotation_leaves_one_token_and_decommissioning_leaves_none(airflow, sandbox):
    airflow.run_dag("decommission")
    active = sandbox.counters.active
    sandbox.reset_counters()
    first, second = (airflow.run_dag("atlas_token_rotation") for _ in range(2))
    assert (first.state, second.state) == ("success", "success")
    assert first.tasks["revoke_replaced", -1] == "skipped"
    assert second.tasks["revoke_replaced", -1] == "success"
    assert (sandbox.counters.issued, sandbox.counters.revoked) == (2, 1)
    assert sandbox.counters.active == active + 1
    assert airflow.run_dag("decommission").state == "success"
    assert sandbox.counters.active == active
    assert airflow.query("SELECT key FROM variable WHERE key LIKE 'atlas_%'") == []


def test_the_teardown_revokes_the_token_after_a_failed_task(airflow, sandbox):
    active = sandbox.counters.active
    run = airflow.run_dag("failing_task")
    assert run.tasks == {("generate", -1): "success", ("fail", -1): "failed", ("revoke", -1): "success"}
    assert sandbox.counters.active == active


def test_wrong_credentials_fail_the_task_without_a_retry_and_the_log_has_the_reason(airflow, sandbox):
    run = airflow.run_dag("wrong_secret")
    assert set(run.tasks.values()) == {"failed"}
    tries = airflow.query("SELECT try_number FROM task_instance WHERE run_id = ?", (run.run_id,))
    assert [row["try_number"] for row in tries] == [1, 1]
    assert sandbox.counters.token_requests == 2
    logs = [text for path, text in airflow.logs() if run.run_id in str(path) and "attempt=1" in path.name]
    assert len(logs) == 2
    for log in logs:
        assert b"HTTP 401 invalid_client: Invalid credentials provided." in log
