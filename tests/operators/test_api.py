"""The generic operator: reads, waits, changes once, and returns what was asked for."""

from __future__ import annotations

import json

import pytest
from airflow.providers.common.compat.sdk import TaskDeferred

from airflow_provider_atlas.exceptions import (
    AtlasApiError,
    AtlasChangeRefused,
    AtlasJobFailed,
    AtlasJobTimeout,
    InvalidCall,
)
from airflow_provider_atlas.operators.api import AtlasOperator
from tests.conftest import secrets_in
from tests.operators.jobs import CLUSTERS, PROJECT, Notes, context_of, run

NAMES = {"groupId": PROJECT, "name": "cluster-0"}
CLUSTER = "/api/atlas/v2/groups/{groupId}/clusters/{name}"
SNAPSHOTS = f"{CLUSTER}/backup/snapshots"
SNAPSHOT = {"description": "before the migration", "retentionInDays": 1}


def call(**kwargs):
    return AtlasOperator(task_id="call", **{"endpoint": CLUSTER, "path": NAMES, **kwargs})


def test_a_read_returns_the_response_the_field_or_the_fields(sandbox, deferrable):
    assert run(call(deferrable=deferrable))["name"] == "cluster-0"
    assert run(call(deferrable=deferrable, returns="stateName")) == "IDLE"
    assert run(call(deferrable=deferrable, returns=["name", "x"])) == {"name": "cluster-0", "x": None}


def test_a_read_that_has_to_wait_for_the_rate_limit_returns_its_response_after_all(sandbox, deferrable):
    sandbox.fail_next("api", status=429, headers={"Retry-After": "60"})
    assert run(call(deferrable=deferrable, returns="name")) == "cluster-0"


def test_what_holds_already_is_not_deferred(sandbox):
    assert call(deferrable=True, until={"stateName": "IDLE"}, returns="name").execute({}) == "cluster-0"


def test_a_job_that_failed_before_the_first_look_fails_the_task(sandbox, deferrable):
    with pytest.raises(AtlasJobFailed):
        run(call(deferrable=deferrable, until={"name": "x"}, fail_if={"stateName": "IDLE"}))


def test_a_patch_is_sent_once_and_waited_for(sandbox, clock, deferrable):
    kwargs = {"method": "PATCH", "json": {"paused": True}, "until": {"stateName": "IDLE", "paused": True}}
    task = call(deferrable=deferrable, returns="paused", retries=3, **kwargs)
    assert run(task) is True
    assert run(task, context_of(task, try_number=2)) is True
    assert sandbox.counters.cluster_changes == 1


def test_a_patch_after_a_clear_is_sent_once_though_its_worker_is_killed(sandbox, clock, monkeypatch):
    until = {"stateName": "IDLE", "paused": True}
    task = call(method="PATCH", json={"paused": True}, until=until, retries=1)
    cleared = {"max_tries": 2, "notes": Notes()}

    def killed(*args):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(task, "_made", killed)
        run(task, context_of(task, try_number=2, **cleared))
    sandbox.fail_next("api", method="PATCH")
    run(task, context_of(task, try_number=3, **cleared))
    assert (sandbox.counters.cluster_changes, sandbox.counters.faults) == (1, 0)


def test_a_delete_is_sent_once_and_its_404_is_the_wish(sandbox, clock, deferrable):
    task = call(deferrable=deferrable, method="DELETE", until={"$found": False}, retries=3)
    run(task)
    run(task, context_of(task, try_number=2))
    assert sandbox.counters.cluster_changes == 1


def test_a_delete_that_is_under_way_already_is_waited_for(sandbox, clock, hook, deferrable):
    hook.run(f"{CLUSTERS}/cluster-0", "DELETE")
    run(call(deferrable=deferrable, method="DELETE", until={"$found": False}))
    assert sandbox.counters.cluster_changes == 1


def post(**kwargs):
    until = {"status": "completed"}
    return call(endpoint=SNAPSHOTS, method="POST", json=SNAPSHOT, until=until, fail_if={"status": "failed"}, **kwargs)


def test_a_post_is_waited_for_where_the_response_says(sandbox, clock, deferrable):
    assert run(post(deferrable=deferrable, returns=["status"])) == {"status": "completed"}
    assert len(sandbox.jobs) == 1


def test_a_retry_of_a_post_finds_what_the_first_try_made_and_a_clear_makes_another(sandbox, clock, deferrable):
    task = post(deferrable=deferrable, max_wait=60, retries=2)
    with pytest.raises(AtlasJobTimeout):
        run(task)
    task.max_wait = 3600
    run(task, context_of(task, try_number=2, run_started=clock.now - 100))
    assert len(sandbox.jobs) == 1
    clock.now += 1000
    run(task, context_of(task, try_number=3, max_tries=4))
    assert len(sandbox.jobs) == 2


FAULTS = [
    {"status": 500},
    {"status": 503},
    {"status": 429, "headers": {"Retry-After": "20"}},
    {"kind": "drop"},
    {"kind": "lost"},
    {"kind": "lost", "status": 503},
    {"kind": "lost", "error_code": "UNEXPECTED_ERROR"},
    {"kind": "lost", "status": 200, "body": b"<html>"},
    {"error_code": "UNFINISHED_ON_DEMAND_SNAPSHOT"},
]


@pytest.mark.parametrize("fault", FAULTS, ids=str)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_fault_makes_no_job_twice_and_loses_none(sandbox, clock, deferrable, fault, method):
    sandbox.fail_next("api", method=method, **fault)
    assert run(post(deferrable=deferrable, returns="status")) == "completed"
    assert len(sandbox.jobs) == 1


def test_a_change_that_no_list_shows_is_not_sent_again(sandbox, clock):
    sandbox.fail_next("api", method="POST", kind="lost")
    task = call(endpoint=f"{CLUSTER}/restartPrimaries", method="POST", until={"x": 1}, retries=1)
    with pytest.raises(Exception, match="Atlas may have made the change"):
        run(task)
    with pytest.raises(InvalidCall, match="no list to look for it in"):
        run(task, context_of(task, try_number=2))


def test_a_job_that_fails_says_so_with_its_state(sandbox, clock, deferrable):
    sandbox.fail_next("api", kind="fail_job", method="POST")
    with pytest.raises(AtlasJobFailed) as caught:
        run(post(deferrable=deferrable))
    assert caught.value.state == "status failed"
    assert caught.value.seconds >= 300


def test_a_refusal_is_final_unless_its_code_says_otherwise(sandbox, deferrable):
    with pytest.raises(AtlasChangeRefused):
        run(call(deferrable=deferrable, method="PATCH", json={"nonsense": 1}))
    sandbox.fail_next("api", status=401, error_code="USER_CANNOT_ACCESS_GROUP")
    with pytest.raises(AtlasApiError) as caught:
        run(call(deferrable=deferrable))
    assert type(caught.value) is AtlasApiError  # a role may be given before the next try


def test_neither_arguments_nor_events_nor_results_hold_a_download_link(sandbox, clock, hook, deferrable, caplog):
    caplog.set_level("DEBUG")
    snapshot = run(post(deferrable=False, returns="id"))
    seen = []
    task = call(
        endpoint=f"{CLUSTER}/backup/restoreJobs",
        method="POST",
        json={"deliveryType": "download", "snapshotId": snapshot},
        until={"finishedAt": {"$exists": True}},
        fail_if={"failed": True},
        deferrable=deferrable,
    )
    result = run(task, seen=seen)
    assert result["deliveryUrl"] == "***"
    texts = [json.dumps([result, seen]), caplog.text]
    assert secrets_in(texts, *sandbox.issued, sandbox.client_secret, "restore.sandbox.invalid") == []


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"until": {}}, "^until"),
        ({"until": {"a": 1}, "fail_if": {"": 1}}, "^fail_if"),
        ({"fail_if": {"a": 1}}, "fail_if needs until"),
    ],
)
def test_what_is_wrong_with_the_arguments_is_said_when_the_dag_is_parsed(kwargs, message):
    with pytest.raises(ValueError, match=message):
        call(**kwargs)


def test_the_trigger_of_a_deferral_holds_no_secret(sandbox, says_nothing):
    with pytest.raises(TaskDeferred) as caught:
        post(deferrable=True).execute({})
    says_nothing(ValueError(repr(caught.value.trigger.serialize())), *sandbox.issued, sandbox.client_secret)
