"""The generic operator: reads, waits, changes once, and returns what was asked for."""

from __future__ import annotations

import json
from contextlib import nullcontext

import pytest
from airflow.providers.common.compat.sdk import TaskDeferred

from airflow_provider_atlas.exceptions import (
    AtlasApiError,
    AtlasChangeRefused,
    AtlasJobFailed,
    AtlasJobTimeout,
    InvalidCall,
)
from airflow_provider_atlas.hooks.watch import Watch
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


SIZE = {"instanceSize": "M10", "nodeCount": 3}
REGION = {"providerName": "AWS", "regionName": "US_EAST_1", "priority": 7, "electableSpecs": SIZE}
NEW = {"clusterType": "REPLICASET", "replicationSpecs": [{"regionConfigs": [REGION]}]}


@pytest.mark.parametrize("form", ["{path}", "{bare}", "{path}?pretty=true", "{url}{path}"])
def test_what_a_post_made_is_watched_in_whatever_form_the_endpoint_is_given(sandbox, clock, form):
    endpoint = form.format(path=CLUSTERS, bare=CLUSTERS.lstrip("/"), url=sandbox.url)
    task = call(endpoint=endpoint, path=None, method="POST", json={**NEW, "name": "new"}, until={"stateName": "IDLE"})
    assert run(task)["name"] == "new"


def test_a_retry_finds_the_cluster_that_the_first_try_made(sandbox, clock, deferrable):
    made = {"method": "POST", "endpoint": CLUSTERS, "path": None, "json": {**NEW, "name": "new"}}
    first = call(**made, until={"stateName": "IDLE"}, max_wait=60, retries=1, deferrable=deferrable)
    with pytest.raises(AtlasJobTimeout):
        run(first)
    again = call(**made, until={"stateName": "IDLE"}, retries=1, deferrable=deferrable, returns="name")
    assert run(again, context_of(again, try_number=2, run_started=clock.now - 100)) == "new"


DEPLOYMENT = f"{CLUSTER}/search/deployment"
SPECS = {"specs": [{"instanceSize": "S20_HIGHCPU_NVME", "nodeCount": 2}]}


def deployment(sandbox, *states, method="GET"):
    """Answer requests about the deployment, of which a cluster has one, with its states; ``None`` is a 404."""
    for state in states:
        shown = {"id": "6b08f7d0210d4e6b7ce564ea", **SPECS, "stateName": state}
        answer = {"status": 200, "body": json.dumps(shown).encode()} if state else {"error_code": "RESOURCE_NOT_FOUND"}
        sandbox.fail_next("api", method=method, path="search/deployment", **({"status": 404} | answer))


def test_what_atlas_has_only_one_of_is_watched_where_watch_says(sandbox, clock, deferrable):
    deployment(sandbox, "UPDATING", method="POST")
    deployment(sandbox, "UPDATING", "IDLE")
    kwargs = {"endpoint": DEPLOYMENT, "method": "POST", "json": SPECS, "until": {"stateName": "IDLE"}}
    assert run(call(**kwargs, watch=DEPLOYMENT, deferrable=deferrable, returns="stateName")) == "IDLE"


@pytest.mark.parametrize(("first", "posts"), [("UPDATING", 0), (None, 1)])
def test_a_retry_makes_what_atlas_has_only_one_of_if_it_is_not_there(sandbox, clock, deferrable, first, posts):
    deployment(sandbox, first, "IDLE")
    deployment(sandbox, *["UPDATING"] * posts, method="POST")
    kwargs = {"endpoint": DEPLOYMENT, "method": "POST", "json": SPECS, "until": {"stateName": "IDLE"}}
    task = call(**kwargs, watch=DEPLOYMENT, deferrable=deferrable, retries=1, returns="stateName")
    assert run(task, context_of(task, try_number=2)) == "IDLE"


@pytest.mark.parametrize("kwargs", [{"method": "PATCH", "until": {"paused": True}}, {"method": "POST"}])
def test_watch_is_for_a_post_that_is_waited_for(kwargs):
    with pytest.raises(ValueError, match="watch needs method POST and until"):
        call(**kwargs, watch=CLUSTER)


def test_a_retry_of_a_post_that_no_list_shows_is_an_error_and_not_a_loop(sandbox, clock, deferrable):
    deployment(sandbox, *["UPDATING"] * 50)
    before = sandbox.counters.api_requests
    task = call(
        endpoint=DEPLOYMENT, method="POST", json=SPECS, until={"stateName": "x"}, deferrable=deferrable, retries=1
    )
    with pytest.raises(InvalidCall, match="no list to look for it"):
        run(task, context_of(task, try_number=2))
    assert sandbox.counters.api_requests - before == 1


@pytest.mark.parametrize("lost", [True, False], ids=["response lost", "retried"])
@pytest.mark.parametrize("until", [None, {"$found": False}])
def test_a_delete_whose_effect_is_there_succeeds(sandbox, clock, hook, deferrable, lost, until):
    made = hook.run(f"{CLUSTERS}/cluster-0/backup/snapshots", "POST", json=SNAPSHOT)
    clock.now += 400
    path = {**NAMES, "id": made["id"]}
    task = call(
        endpoint=f"{SNAPSHOTS}/{{id}}", path=path, method="DELETE", until=until, deferrable=deferrable, retries=1
    )
    if lost:
        sandbox.fail_next("api", kind="lost", method="DELETE")
    run(task)
    run(task, context_of(task, try_number=2))
    assert made["id"] not in sandbox.jobs


def test_a_delete_of_what_has_no_get_is_sent_again(sandbox, clock, hook, deferrable):
    made = hook.run(f"{CLUSTERS}/cluster-0/backup/snapshots", "POST", json=SNAPSHOT)
    clock.now += 400
    sandbox.fail_next("api", status=405, error_code="METHOD_NOT_ALLOWED", method="GET")
    path = {**NAMES, "id": made["id"]}
    task = call(endpoint=f"{SNAPSHOTS}/{{id}}", path=path, method="DELETE", deferrable=deferrable, retries=1)
    run(task, context_of(task, try_number=2))
    assert made["id"] not in sandbox.jobs


def test_a_delete_that_was_requested_already_succeeds_once_it_is_gone(sandbox, clock, hook, deferrable):
    hook.run(f"{CLUSTERS}/cluster-0", "DELETE")
    clock.now += 1000
    sandbox.fail_next("api", error_code="CLUSTER_ALREADY_REQUESTED_DELETION", method="DELETE")
    run(call(method="DELETE", until={"$found": False}, deferrable=deferrable))


def test_idle_right_after_a_change_of_a_cluster_does_not_count(sandbox, clock, deferrable):
    sandbox.stale_seconds, began = 20, clock.now
    until = {"stateName": "IDLE", "terminationProtectionEnabled": True}
    body = {"terminationProtectionEnabled": True}
    run(call(method="PATCH", json=body, until=until, poll_interval=5, deferrable=deferrable))
    assert clock.now - began >= sandbox.change_seconds


@pytest.mark.parametrize("rendered", ["IDLE", None, {}, [], {"stateName": {"a": 1}}, [[{"paused": True}]]])
def test_a_condition_that_templates_spoilt_is_an_invalid_call(sandbox, clock, deferrable, rendered):
    task = call(until={"stateName": "IDLE"}, deferrable=deferrable)
    task.until = rendered
    with pytest.raises(InvalidCall, match="until"):
        run(task)


def test_what_is_found_can_be_waited_for(sandbox, clock, deferrable):
    assert run(call(until={"$found": True}, deferrable=deferrable, returns="name")) == "cluster-0"


def test_a_link_that_is_waited_for_is_neither_logged_nor_stored(sandbox, clock, hook, deferrable, caplog, says_nothing):
    made = hook.run(f"{CLUSTERS}/cluster-0/backup/snapshots", "POST", json=SNAPSHOT)
    clock.now += 400
    body = {"deliveryType": "download", "snapshotId": made["id"]}
    seen: list[object] = []
    with caplog.at_level("DEBUG"):
        for until, error in (({"deliveryUrl": {"$exists": True}}, None), ({"deliveryUrl.0": "x"}, AtlasJobTimeout)):
            task = call(
                endpoint=f"{CLUSTER}/backup/restoreJobs",
                method="POST",
                json=body,
                until=until,
                deferrable=deferrable,
                max_wait=3600,
            )
            with pytest.raises(error) if error else nullcontext():
                seen.append(run(task, seen=seen))
    assert "deliveryUrl ***" in caplog.text
    assert "restore.sandbox.invalid" not in caplog.text + json.dumps(seen)


@pytest.mark.parametrize("max_wait", [None, float("inf"), -1, 604_801, "60"])
def test_max_wait_is_a_number_of_seconds_up_to_a_week(max_wait):
    with pytest.raises(ValueError, match="max_wait must be"):
        call(max_wait=max_wait)


@pytest.mark.parametrize(
    "fault", [{"kind": "drop"}, {"status": 429, "headers": {"Retry-After": "900"}}, {"status": 503}]
)
def test_an_atlas_that_fails_near_the_end_does_not_prolong_the_wait(sandbox, clock, deferrable, fault, monkeypatch):
    sandbox.change_seconds, began, look, faults = 10**6, clock.now, Watch.look, [fault]

    def failing(watch, hook):
        if clock.now - began > 850 and faults:
            sandbox.fail_next("api", times=400, **faults.pop())
        return look(watch, hook)

    monkeypatch.setattr(Watch, "look", failing)
    with pytest.raises(AtlasJobTimeout):
        run(call(method="PATCH", json={"paused": True}, until={"paused": False}, max_wait=1000, deferrable=deferrable))
    assert clock.now - began <= 1000 + 60
