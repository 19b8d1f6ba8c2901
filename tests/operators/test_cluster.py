"""Clusters: done is the wished fields and IDLE. What passes is waited for, what is already so is left alone."""

from __future__ import annotations

import pytest
from airflow.providers.common.compat.sdk import TaskDeferred

from airflow_provider_atlas.api.codes import BUSY, REMEDIES
from airflow_provider_atlas.exceptions import (
    AtlasApiError,
    AtlasChangeRefused,
    AtlasJobFailed,
    AtlasJobTimeout,
    InvalidCall,
)
from airflow_provider_atlas.operators.cluster import (
    AtlasPauseClusterOperator,
    AtlasResumeClusterOperator,
    AtlasUpdateClusterOperator,
)
from airflow_provider_atlas.sandbox.refusals import CODES
from tests.operators.jobs import CLUSTERS, PROJECT, context_of, fire, kill, run

BIGGER = {"replicationSpecs": [{"regionConfigs": [{"electableSpecs": {"instanceSize": "M20"}}]}]}


def pause(kind=AtlasPauseClusterOperator, **kwargs):
    return kind(task_id="change", **{"project_id": PROJECT, "cluster_name": "cluster-0", **kwargs})


def changes(sandbox):
    return sandbox.counters.cluster_changes


def cluster(sandbox):
    return sandbox.clusters[0]["cluster-0"]


def test_a_pause_ends_once_the_cluster_is_paused_and_idle(sandbox, clock, deferrable):
    began = clock.now
    result = run(pause(deferrable=deferrable))
    assert (result["name"], result["paused"], result["stateName"]) == ("cluster-0", True, "IDLE")
    assert clock.now - began >= sandbox.change_seconds
    assert changes(sandbox) == 1


def test_a_stale_idle_after_the_change_does_not_count(sandbox, clock, deferrable):
    sandbox.stale_seconds = 29
    began = clock.now
    run(pause(deferrable=deferrable, poll_interval=5))
    assert clock.now - began >= 29 + sandbox.change_seconds


def test_a_resume_and_an_update(sandbox, clock, deferrable):
    cluster(sandbox).paused_since = clock.now
    assert run(pause(AtlasResumeClusterOperator, deferrable=deferrable))["paused"] is False
    run(pause(AtlasUpdateClusterOperator, json=BIGGER, deferrable=deferrable))
    assert cluster(sandbox).size == "M20"
    assert changes(sandbox) == 2


def test_what_is_already_so_is_not_changed(sandbox, clock, deferrable):
    cluster(sandbox).paused_since = clock.now
    tags = [{"key": "b", "value": "1"}, {"key": "a", "value": "2"}]
    cluster(sandbox).settings["tags"] = tags
    before = sandbox.counters.api_requests
    run(pause(deferrable=deferrable))
    assert sandbox.counters.api_requests == before + 1
    run(pause(AtlasUpdateClusterOperator, json={"tags": tags[::-1]}, deferrable=deferrable))
    assert changes(sandbox) == 0
    cluster(sandbox).paused_since = None
    run(pause(AtlasUpdateClusterOperator, json={"tags": tags[:1]}, deferrable=deferrable))
    assert changes(sandbox) == 1


def test_a_cluster_that_somebody_is_pausing_already_is_waited_for_without_a_change(sandbox, clock, hook, deferrable):
    hook.run(f"{CLUSTERS}/cluster-0", "PATCH", json={"paused": True})
    clock.now += 10
    began = clock.now
    run(pause(deferrable=deferrable))
    assert changes(sandbox) == 1
    assert clock.now - began >= 110


def test_a_busy_cluster_is_waited_for_first(sandbox, clock, hook, deferrable):
    hook.run(f"{CLUSTERS}/cluster-0", "PATCH", json=BIGGER)
    clock.now += 10
    patches = sandbox.counters.api_requests
    run(pause(deferrable=deferrable))
    assert cluster(sandbox).is_paused(clock.now)
    assert changes(sandbox) == 2
    assert sandbox.counters.api_requests - patches < 15


def test_a_resumed_cluster_is_paused_once_atlas_allows_it(sandbox, clock, deferrable):
    cluster(sandbox).resumed = clock.now
    began = clock.now
    run(pause(deferrable=deferrable))
    assert 3600 <= clock.now - began <= 3600 + 600 * 1.3 + 200


def test_a_refusal_that_does_not_pass_within_max_wait_is_raised_with_what_is_in_the_way(sandbox, clock, deferrable):
    cluster(sandbox).resumed = began = clock.now
    with pytest.raises(AtlasApiError, match="runs for 60 minutes before it can be paused") as caught:
        run(pause(deferrable=deferrable, max_wait=600))
    assert 500 <= clock.now - began <= 700
    assert caught.value.waited == pytest.approx(600, abs=100)


def test_a_change_that_takes_longer_than_max_wait_times_out_and_a_retry_makes_no_other(sandbox, clock, deferrable):
    task = pause(deferrable=deferrable, max_wait=60, retries=2)
    with pytest.raises(AtlasJobTimeout) as caught:
        run(task)
    assert caught.value.state == "paused True, stateName UPDATING"
    run(pause(deferrable=deferrable, retries=2), context_of(task, try_number=2))
    assert changes(sandbox) == 1


def test_a_value_that_atlas_stores_in_another_form_is_named_with_both_when_the_time_is_over(
    sandbox, clock, hook, deferrable, monkeypatch
):
    from airflow_provider_atlas.sandbox import clusters

    describe = clusters._describe
    stored = {"mongoDBMajorVersion": "8.0", "stateName": "IDLE"}
    monkeypatch.setattr(clusters, "_describe", lambda *args: {**describe(*args), **stored})
    with pytest.raises(AtlasJobTimeout, match=r"mongoDBMajorVersion is '8\.0', wanted '8'\. ") as caught:
        run(pause(AtlasUpdateClusterOperator, json={"mongoDBMajorVersion": "8"}, deferrable=deferrable, max_wait=300))
    assert caught.value.state == "mongoDBMajorVersion 8.0, stateName IDLE"
    assert changes(sandbox) == 1


KINDS = {
    "pause": (AtlasPauseClusterOperator, {}),
    "resume": (AtlasResumeClusterOperator, {}),
    "update": (AtlasUpdateClusterOperator, {"json": BIGGER}),
}


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("code", BUSY)
def test_a_refusal_that_passes_is_waited_for(sandbox, clock, deferrable, name, code):
    kind, kwargs = KINDS[name]
    if name == "resume":
        cluster(sandbox).paused_since = clock.now
    sandbox.refuse_next(code, times=2, method="PATCH")
    run(pause(kind, deferrable=deferrable, **kwargs))
    assert changes(sandbox) == 1


@pytest.mark.parametrize("code", ["CLUSTER_ALREADY_PAUSED"])
def test_what_atlas_says_to_be_so_already_is_looked_at(sandbox, clock, hook, deferrable, code):
    sandbox.refuse_next(code, method="PATCH")
    task = pause(deferrable=deferrable)
    with pytest.raises(AtlasJobTimeout):  # it is not so
        run(task)
    assert changes(sandbox) == 0
    sandbox.fail_next("api", kind="lost", error_code=code, method="PATCH")
    run(task)
    assert changes(sandbox) == 1


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("code", sorted({*REMEDIES} - {"USER_CANNOT_ACCESS_GROUP"}))
def test_a_final_refusal_fails_at_once_with_its_remedy(sandbox, clock, name, code):
    kind, kwargs = KINDS[name]
    if name == "resume":
        cluster(sandbox).paused_since = clock.now
    began = clock.now
    sandbox.refuse_next(code, method="PATCH", **({} if code in CODES else {"status": 400}))
    with pytest.raises(AtlasChangeRefused) as caught:
        run(pause(kind, deferrable=True, **kwargs))
    assert caught.value.error_code == code
    assert REMEDIES[code] in str(caught.value)
    assert clock.now == began
    assert changes(sandbox) == 0


def test_a_flex_cluster_says_what_it_is(sandbox, deferrable):
    sandbox.add_cluster("flexible", size="FLEX")
    with pytest.raises(AtlasChangeRefused, match="flexClusters"):
        run(pause(cluster_name="flexible", deferrable=deferrable))


@pytest.mark.parametrize(("size", "remedy"), [("M0", "M0, M2 and M5"), ("M40_NVME", "scale it down")])
def test_a_cluster_that_cannot_be_paused_says_so(sandbox, deferrable, size, remedy):
    sandbox.add_cluster("other", size=size)
    with pytest.raises(AtlasChangeRefused, match=remedy):
        run(pause(cluster_name="other", deferrable=deferrable))


def test_a_paused_cluster_refuses_another_change_with_its_remedy(sandbox, clock, deferrable):
    cluster(sandbox).paused_since = clock.now
    with pytest.raises(AtlasChangeRefused, match="Resume the cluster first"):
        run(pause(AtlasUpdateClusterOperator, json=BIGGER, deferrable=deferrable))


def test_a_cluster_that_is_being_deleted_fails(sandbox, clock, hook, deferrable):
    hook.run(f"{CLUSTERS}/cluster-0", "DELETE")
    with pytest.raises(AtlasJobFailed, match="DELETING"):
        run(pause(deferrable=deferrable))


def test_a_cluster_that_does_not_exist_fails(sandbox, deferrable):
    with pytest.raises(AtlasChangeRefused, match="CLUSTER_NOT_FOUND"):
        run(pause(cluster_name="nobody", deferrable=deferrable))


FAULTS = [
    {"status": 500},
    {"status": 503},
    {"status": 429, "headers": {"Retry-After": "20"}},
    {"kind": "drop"},
    {"kind": "lost"},
    {"kind": "lost", "status": 503},
    {"kind": "lost", "error_code": "UNEXPECTED_ERROR"},
    {"status": 200, "body": b"<html>"},
]


@pytest.mark.parametrize("fault", FAULTS, ids=str)
@pytest.mark.parametrize("method", ["GET", "PATCH"])
def test_a_fault_of_atlas_loses_no_change_and_makes_none_twice(sandbox, clock, deferrable, fault, method):
    sandbox.fail_next("api", method=method, **fault)
    assert run(pause(deferrable=deferrable))["paused"] is True
    assert changes(sandbox) == 1


def test_paused_beside_another_field_is_refused_when_the_dag_is_parsed():
    with pytest.raises(ValueError, match="paused must be the only field"):
        pause(AtlasUpdateClusterOperator, json={"paused": True, **BIGGER})
    with pytest.raises(ValueError, match="poll_interval"):
        pause(poll_interval=0)


def test_two_operators_on_one_cluster_do_not_deadlock(sandbox, clock):
    """A pause and an update are deferred side by side, each resumed when its trigger fires."""
    update, other = pause(AtlasUpdateClusterOperator, json=BIGGER, deferrable=True), pause(deferrable=True)
    contexts = [context_of(update), context_of(other)]
    steps = [lambda: update.execute(contexts[0]), lambda: other.execute(contexts[1])]
    results = [None, None]
    for _ in range(20):
        for number, task in enumerate((update, other)):
            if results[number] is None:
                try:
                    results[number] = steps[number]()
                except TaskDeferred as deferred:
                    event = fire(deferred)
                    steps[number] = lambda task=task, number=number, event=event: task.execute_complete(
                        contexts[number], event
                    )
    assert all(results)
    assert changes(sandbox) == 2
    assert (cluster(sandbox).size, cluster(sandbox).is_paused(clock.now)) == ("M20", True)


def test_a_task_says_where_to_look_before_it_defers(sandbox):
    task = pause(deferrable=True)
    context = context_of(task)
    with pytest.raises(TaskDeferred):
        task.execute(context)
    url = f"{sandbox.url}/v2/{PROJECT}#/clusters/detail/cluster-0"
    assert context["ti"].xcoms == {"_link_AtlasLink": url, "job": f"{CLUSTERS}/cluster-0"}
    (link,) = task.operator_extra_links
    assert link.get_link(task, ti_key=None) == url


def test_execution_timeout_limits_the_wait(sandbox, clock):
    from datetime import timedelta

    task = pause(deferrable=True, execution_timeout=timedelta(seconds=50))
    with pytest.raises(TaskDeferred) as caught:
        task.execute(context_of(task))
    assert caught.value.trigger.deadline == pytest.approx(clock.now + 50, abs=2)
    assert caught.value.timeout.total_seconds() <= 50


def test_a_killed_task_says_that_a_change_of_a_cluster_goes_on(sandbox, clock, caplog, monkeypatch):
    kill(pause(deferrable=False), clock, monkeypatch, after=40)
    assert "Atlas cannot cancel this job: it goes on at" in caplog.text
    pause().on_kill()


def test_an_event_that_is_not_of_our_trigger_is_an_error(sandbox):
    for event in (None, {}, {"status": "success"}, {"job": 1}, {"job": {"x": 1}}):
        with pytest.raises(Exception, match="without an event that this release"):
            pause().execute_complete({}, event)


SPEC = {"providerName": "AWS", "regionName": "US_EAST_1", "priority": 7, "electableSpecs": {"instanceSize": "M10"}}


def test_a_list_with_less_in_it_is_a_change(sandbox, clock, deferrable):
    regions = cluster(sandbox).settings["replicationSpecs"][0]["regionConfigs"]
    regions.append({**regions[0], "regionName": "US_WEST_2", "priority": 6})
    body = {"replicationSpecs": [{"regionConfigs": [SPEC]}]}
    run(pause(AtlasUpdateClusterOperator, json=body, deferrable=deferrable))
    (left,) = cluster(sandbox).settings["replicationSpecs"][0]["regionConfigs"]
    assert (left["regionName"], changes(sandbox)) == ("US_EAST_1", 1)


@pytest.mark.parametrize(("before", "sent"), [(24, 1), (None, 0)])
def test_null_is_a_change_of_what_is_set(sandbox, clock, deferrable, before, sent):
    cluster(sandbox).settings["advancedConfiguration"] = {"oplogMinRetentionHours": before}
    body = {"advancedConfiguration": {"oplogMinRetentionHours": None}}
    run(pause(AtlasUpdateClusterOperator, json=body, deferrable=deferrable))
    assert changes(sandbox) == sent


@pytest.mark.parametrize("body", [None, {}, []])
def test_a_change_of_nothing_is_an_invalid_call(sandbox, clock, deferrable, body):
    with pytest.raises(InvalidCall, match="json must be a mapping"):
        run(pause(AtlasUpdateClusterOperator, json=body, deferrable=deferrable))
