"""Each job operator on a real Airflow: mapped, setup and teardown, deferred and not; and a restore that is cleared."""

from __future__ import annotations

import time
from collections import Counter

import pytest

from airflow_provider_atlas.sandbox.clusters import find_named
from airflow_provider_atlas.sandbox.jobs import Job

OPERATORS = ("pause", "resume", "update", "snapshot", "restore", "export", "index", "any", "wait")
ROLES = ("mapped-deferred", "mapped-on-the-worker", "setup", "teardown")


@pytest.fixture
def snapshot_id(sandbox):
    """A snapshot that is complete, of a cluster in a project that no other test uses."""
    before = sandbox.change_seconds, sandbox.job_seconds
    sandbox.change_seconds = sandbox.job_seconds = 4.0
    sandbox.add_cluster("source", project=1)
    done = Job("snapshot", find_named(sandbox, 1, "source"), {}, time.time() - 3600, 4.0)
    sandbox.jobs[done.id] = done
    yield done.id
    sandbox.change_seconds, sandbox.job_seconds = before


def test_each_operator_does_its_work_once_in_each_role(airflow, sandbox, snapshot_id):
    for operator in OPERATORS:
        for role in ROLES:
            sandbox.add_cluster(f"{operator}-{role}", project=1, paused=operator in ("resume", "wait"))
    sandbox.reset_counters()
    earlier = set(sandbox.jobs)
    run = airflow.run_dag("every_job", {"snapshot": snapshot_id})
    made = [job for job in sandbox.jobs.values() if job.id not in earlier]
    places = Counter((job.kind, job.given.get("targetClusterName", job.cluster.name)) for job in made)
    print(f"\n{len(run.tasks)} tasks in {run.duration:.0f} s, {Counter(run.tasks.values())}, {len(made)} jobs")
    assert set(run.tasks.values()) == {"success"}, "\n".join(run.errors(airflow.logs()))
    assert len(run.tasks) == len(OPERATORS) * len(ROLES)
    assert places == {
        **{(kind, f"{kind}-{role}"): 1 for kind in ("snapshot", "restore", "index") for role in ROLES},
        ("export", "source"): len(ROLES),
    }
    assert sandbox.counters.cluster_changes == 4 * len(ROLES)  # pause, resume, update, any
    assert all(sandbox.clusters[1][f"pause-{role}"].is_paused(time.time()) for role in ROLES)
    assert not any(sandbox.clusters[1][f"resume-{role}"].is_paused(time.time()) for role in ROLES)
    assert sandbox.counters.token_requests <= 2


def test_a_retry_after_a_clear_within_one_run_does_not_take_the_restore_of_before(airflow, sandbox, snapshot_id):
    if not airflow.query("SELECT 1 FROM sqlite_master WHERE name = 'task_state_store'"):
        pytest.skip("this Airflow keeps no notes for a task instance")
    sandbox.add_cluster("restore-cleared", project=1)
    sandbox.add_cluster("wait-cleared", project=1)

    def restores():
        given = [job for job in sandbox.jobs.values() if job.given.get("targetClusterName") == "restore-cleared"]
        return [job.id for job in given]

    def returned(try_number):
        sql = """SELECT value FROM xcom JOIN task_instance USING (dag_id, run_id, task_id, map_index)
                 WHERE dag_id = ? AND key = 'restore_job_id' AND state = 'success' AND try_number = ?"""
        return [str(row["value"]).strip('"') for row in airflow.query(sql, ("restore_that_is_cleared", try_number))]

    def wait_for(try_number):
        deadline = time.monotonic() + 90
        while not (found := returned(try_number)):
            assert time.monotonic() < deadline
            time.sleep(0.5)
        return found

    run_id = airflow.trigger("restore_that_is_cleared", {"snapshot": snapshot_id})
    assert wait_for(1) == restores()
    # The try after the clear fails before it requests the restore, and is retried.
    sandbox.refuse_next("USER_CANNOT_ACCESS_GROUP", method="GET", path="clusters/restore-cleared")
    clear = {"dry_run": False, "dag_run_id": run_id, "task_ids": ["restore"], "only_failed": False}
    airflow.rest.request("POST", "/dags/restore_that_is_cleared/clearTaskInstances", clear)
    assert wait_for(3) == restores()[1:]
    assert len(restores()) == 2
    notes = airflow.query("SELECT key FROM task_state_store WHERE dag_id = ?", ("restore_that_is_cleared",))
    assert [note["key"] for note in notes] == ["atlas_requested_in_2"]
    sandbox.clusters[1]["wait-cleared"].paused_since = time.time()
    assert airflow.wait("restore_that_is_cleared", run_id).state == "success"
