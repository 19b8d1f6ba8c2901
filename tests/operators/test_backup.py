"""Snapshots, restores, exports and search indexes: each job is made once, whatever fails, and waited for."""

from __future__ import annotations

import asyncio
import json
from contextlib import nullcontext
from datetime import UTC, datetime

import pytest
from airflow.providers.common.compat.sdk import TaskDeferred

from airflow_provider_atlas.api.codes import BUSY, DONE, REMEDIES
from airflow_provider_atlas.cache import task
from airflow_provider_atlas.exceptions import AtlasChangeRefused, AtlasJobFailed, AtlasJobTimeout, InvalidCall
from airflow_provider_atlas.operators.backup import (
    AtlasCreateSnapshotOperator,
    AtlasExportSnapshotOperator,
    AtlasRestoreSnapshotOperator,
)
from airflow_provider_atlas.operators.search import AtlasCreateSearchIndexOperator
from airflow_provider_atlas.sandbox.refusals import CODES
from tests.operators.jobs import CLUSTERS, PROJECT, Notes, context_of, fire, kill, run

BUCKET = "6d0000000000000000000000"
PLACE = {"task_id": "job", "project_id": PROJECT, "cluster_name": "cluster-0"}
TARGET = {"target_project_id": PROJECT, "target_cluster_name": "cluster-1", "confirm_target": "cluster-1"}


@pytest.fixture
def snapshot_id(sandbox, clock, hook):
    made = hook.run(f"{CLUSTERS}/cluster-0/backup/snapshots", "POST", json={"description": "x", "retentionInDays": 1})
    clock.now += 400
    return made["id"]


def snapshot(**kwargs):
    return AtlasCreateSnapshotOperator(**{**PLACE, "description": "nightly", **kwargs})


def restore(**kwargs):
    return AtlasRestoreSnapshotOperator(**{**PLACE, **TARGET, **kwargs})


def export(**kwargs):
    return AtlasExportSnapshotOperator(**{**PLACE, "export_bucket_id": BUCKET, **kwargs})


def index(**kwargs):
    names = {"database": "shop", "collection": "items & more", "index_name": "default"}
    return AtlasCreateSearchIndexOperator(**{**PLACE, **names, "definition": {"mappings": {"dynamic": True}}, **kwargs})


KINDS = {"snapshot": snapshot, "restore": restore, "export": export, "index": index}


@pytest.fixture(params=KINDS)
def make(request, snapshot_id):
    def make(**kwargs):
        given = {"snapshot_id": snapshot_id} if request.param in ("restore", "export") else {}
        return KINDS[request.param](**given, **kwargs)

    make.kind = request.param
    return make


def jobs(sandbox, kind):
    found = [job for job in sandbox.jobs.values() if job.kind == kind]
    return [job for job in found if job.given.get("description") != "x"]


def test_a_job_is_made_once_and_waited_for(sandbox, clock, make, deferrable):
    began = clock.now
    result = run(make(deferrable=deferrable))
    (job,) = jobs(sandbox, make.kind)
    assert job.id in result.values()
    assert clock.now - began >= sandbox.job_seconds


def test_a_snapshot_says_what_it_made(sandbox, clock, deferrable):
    result = run(snapshot(deferrable=deferrable, retention_days=3))
    assert set(result) == {"snapshot_id", "status", "created_at", "expires_at"}
    (job,) = jobs(sandbox, "snapshot")
    assert job.given["description"].startswith("nightly [airflow-")
    assert job.given["retentionInDays"] == 3


def test_a_restore_waits_until_its_target_is_idle(sandbox, clock, snapshot_id, deferrable):
    sandbox.stale_seconds = 100
    run(restore(snapshot_id=snapshot_id, deferrable=deferrable))
    assert not sandbox.clusters[0]["cluster-1"].is_busy(clock.now)


def test_a_rate_limit_after_the_restore_loses_nothing(sandbox, clock, hook, snapshot_id, deferrable):
    task = restore(snapshot_id=snapshot_id, deferrable=deferrable)
    see, limits = task._see, [1]

    def once_limited(hook, *args):
        if jobs(sandbox, "restore") and limits:
            sandbox.fail_next("api", status=429, headers={"Retry-After": str(60 * limits.pop())})
        return see(hook, *args)

    task._see = once_limited
    assert run(task)["finished_at"]
    assert len(jobs(sandbox, "restore")) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_the_fields_of_a_result_are_outputs(kind, snapshot_id):
    given = {"snapshot_id": snapshot_id} if kind in ("restore", "export") else {}
    assert KINDS[kind](**given).multiple_outputs is True


@pytest.mark.parametrize("form", [float, str, lambda at: datetime.fromtimestamp(at, UTC).isoformat()])
def test_a_point_in_time_is_restored(sandbox, clock, deferrable, form):
    at = int(clock.now - 1000)
    run(restore(point_in_time=form(at), deferrable=deferrable))
    (job,) = jobs(sandbox, "restore")
    assert (job.given["deliveryType"], job.given["pointInTimeUTCSeconds"]) == ("pointInTime", at)


def test_a_vector_index_is_built(sandbox, clock, deferrable):
    fields = [{"type": "vector", "path": "v", "numDimensions": 3, "similarity": "cosine"}]
    result = run(index(index_type="vectorSearch", definition={"fields": fields}, deferrable=deferrable))
    assert result["status"] == "READY"


def test_an_index_that_is_there_already_is_taken_if_it_is_the_same(sandbox, clock, deferrable):
    run(index(deferrable=deferrable))
    run(index(deferrable=deferrable))
    assert len(jobs(sandbox, "index")) == 1
    with pytest.raises(AtlasJobFailed, match="exists with another definition"):
        run(index(deferrable=deferrable, definition={"mappings": {"dynamic": False}}))


def test_a_job_that_fails_fails_the_task(sandbox, clock, make, deferrable):
    sandbox.fail_next("api", kind="fail_job", method="POST")
    with pytest.raises(AtlasJobFailed) as caught:
        run(make(deferrable=deferrable))
    assert caught.value.seconds >= 300


@pytest.mark.parametrize("kind", ["restore", "export"])
def test_a_job_that_is_cancelled_fails_the_task(sandbox, clock, snapshot_id, deferrable, kind):
    sandbox.fail_next("api", kind="cancel_job", method="POST")
    with pytest.raises(AtlasJobFailed, match=r"(?i)cancelled"):
        run(KINDS[kind](snapshot_id=snapshot_id, deferrable=deferrable))


def test_a_snapshot_that_somebody_cancels_fails_the_task_and_no_other_is_made(sandbox, clock, monkeypatch, deferrable):
    sandbox.fail_next("api", kind="cancel_job", method="POST")
    with pytest.raises(AtlasJobFailed, match="status failed"):
        run(snapshot(deferrable=deferrable))
    clock.now += 1000
    task = snapshot(deferrable=deferrable)
    made = task._made

    def deleted_meanwhile(*args):
        step = made(*args)
        del sandbox.jobs[jobs(sandbox, "snapshot")[-1].id]
        return step

    monkeypatch.setattr(task, "_made", deleted_meanwhile)
    with pytest.raises(AtlasChangeRefused, match="404"):
        run(task)
    assert len(jobs(sandbox, "snapshot")) == 1


def test_a_failed_export_says_why_in_atlas_s_words(sandbox, clock, snapshot_id, deferrable):
    sandbox.fail_next("api", kind="fail_job", method="POST")
    with pytest.raises(AtlasJobFailed, match="The sandbox was told to let it fail"):
        run(export(snapshot_id=snapshot_id, deferrable=deferrable))


def test_a_retry_takes_up_its_own_job_and_a_clear_makes_another(sandbox, clock, make, deferrable):
    task = make(deferrable=deferrable, max_wait=100, retries=2)
    run_started = clock.now - 3
    with pytest.raises(AtlasJobTimeout):
        run(task)
    task.max_wait = 3600
    run(task, context_of(task, try_number=2, run_started=run_started))
    assert len(jobs(sandbox, make.kind)) == 1
    clock.now += 4000
    run(task, context_of(task, try_number=3, max_tries=4))
    assert len(jobs(sandbox, make.kind)) == (1 if make.kind == "index" else 2)


class Killed(BaseException):
    """The end of a worker."""


@pytest.mark.parametrize("request_was_sent", [True, False])
def test_a_retry_after_a_clear_within_one_run_does_not_take_the_job_of_before(
    sandbox, clock, monkeypatch, make, deferrable, request_was_sent
):
    if make.kind == "index":
        pytest.skip("an index is told by its name")
    task, notes, run_started = make(deferrable=deferrable, retries=1), Notes(), clock.now - 3
    run(task, context_of(task, notes=notes, run_started=run_started))
    assert notes == {}  # a task that was not cleared needs none

    def killed(*args):
        raise Killed

    cleared = {"notes": notes, "run_started": run_started, "max_tries": 2}
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(task, "_made" if request_was_sent else "_ask", killed)
        run(task, context_of(task, try_number=2, **cleared))
    result = run(task, context_of(task, try_number=3, **cleared))
    first, second = jobs(sandbox, make.kind)
    assert (first.id in result.values(), second.id in result.values()) == (False, True)


def test_a_task_that_cannot_note_its_request_does_not_make_it(sandbox, clock, snapshot_id):
    task, notes = restore(snapshot_id=snapshot_id), Notes()
    notes.set = None
    with pytest.raises(TypeError):
        run(task, context_of(task, try_number=3, max_tries=2, notes=notes))
    assert jobs(sandbox, "restore") == []


def test_a_restore_of_a_minute_before_is_not_taken_for_one_whose_response_was_lost(sandbox, clock, snapshot_id):
    sandbox.job_seconds = 70.0
    task = restore(snapshot_id=snapshot_id)
    run(task)
    clock.now = sandbox.clusters[0]["cluster-1"].until + 1
    sandbox.fail_next("api", kind="drop", method="POST")
    run(task, context_of(task, try_number=2, max_tries=1))
    assert len(jobs(sandbox, "restore")) == 2


def test_a_retry_does_not_take_another_task_s_job(sandbox, clock, make, deferrable):
    if make.kind in ("index", "restore"):  # told by name; told by what is restored and where to
        pytest.skip("these have no mark")
    first = make(deferrable=deferrable, retries=1)
    run(first, context_of(first, map_index=0))
    run(first, context_of(first, map_index=1, try_number=2))
    assert len(jobs(sandbox, make.kind)) == 2


FAULTS = [
    {"status": 500},
    {"status": 503},
    {"status": 429, "headers": {"Retry-After": "20"}},
    {"kind": "drop"},
    {"kind": "lost"},
    {"kind": "lost", "status": 503},
    {"kind": "lost", "status": 500},
    {"kind": "lost", "error_code": "UNEXPECTED_ERROR"},
    {"kind": "lost", "status": 200, "body": b"<html>"},
]


@pytest.mark.parametrize("fault", FAULTS, ids=str)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_fault_of_atlas_makes_no_job_twice_and_loses_none(sandbox, clock, make, deferrable, fault, method):
    sandbox.fail_next("api", method=method, **fault)
    run(make(deferrable=deferrable))
    assert len(jobs(sandbox, make.kind)) == 1


@pytest.mark.parametrize("code", BUSY)
def test_a_refusal_that_passes_is_waited_for(sandbox, clock, make, code):
    sandbox.refuse_next(code, times=3, method="POST")
    run(make(deferrable=True))
    assert len(jobs(sandbox, make.kind)) == 1


@pytest.mark.parametrize("code", sorted({*REMEDIES} - {"USER_CANNOT_ACCESS_GROUP"}))
def test_a_final_refusal_fails_at_once_with_its_remedy(sandbox, clock, make, code):
    began = clock.now
    sandbox.refuse_next(code, method="POST", **({} if code in CODES else {"status": 400}))
    with pytest.raises(AtlasChangeRefused) as caught:
        run(make(deferrable=True))
    assert REMEDIES[code] in str(caught.value)
    assert clock.now == began
    assert jobs(sandbox, make.kind) == []


@pytest.mark.parametrize("code", DONE)
def test_already_so_is_never_taken_for_a_job_that_is_not_there(sandbox, clock, make, code):
    sandbox.refuse_next(code, method="POST")
    with pytest.raises(AtlasChangeRefused):
        run(make(deferrable=True))
    assert jobs(sandbox, make.kind) == []


@pytest.mark.parametrize("busy", ["change", "snapshot", "restore"])
def test_a_busy_cluster_is_waited_for(sandbox, clock, hook, make, deferrable, snapshot_id, busy):
    for name in ("cluster-0", "cluster-1"):
        if busy == "change":
            hook.run(f"{CLUSTERS}/{name}", "PATCH", json={"paused": True})
            clock.now += 130
            hook.run(f"{CLUSTERS}/{name}", "PATCH", json={"paused": False})
        elif busy == "snapshot":
            body = {"description": "x", "retentionInDays": 1}
            hook.run(f"{CLUSTERS}/{name}/backup/snapshots", "POST", json=body)
        else:
            target = {"targetGroupId": PROJECT, "targetClusterName": name}
            body = {"deliveryType": "automated", "snapshotId": snapshot_id, **target}
            hook.run(f"{CLUSTERS}/cluster-0/backup/restoreJobs", "POST", json=body)
    before = len(jobs(sandbox, make.kind))
    clock.now += 61
    run(make(deferrable=deferrable))
    assert len(jobs(sandbox, make.kind)) == before + 1


def test_a_restore_wants_its_target_confirmed(sandbox, snapshot_id):
    with pytest.raises(ValueError, match="confirm_target must be the target's name"):
        restore(snapshot_id=snapshot_id, confirm_target=None)
    with pytest.raises(InvalidCall, match="confirm_target must be 'cluster-1'"):
        run(restore(snapshot_id=snapshot_id, confirm_target="cluster-2"))
    assert jobs(sandbox, "restore") == []


@pytest.mark.parametrize("kwargs", [{}, {"snapshot_id": "1", "point_in_time": 1}])
def test_a_restore_is_of_one_thing(kwargs):
    with pytest.raises(ValueError, match="one of snapshot_id and point_in_time"):
        restore(**kwargs)


def test_a_time_that_is_none_is_refused(sandbox):
    with pytest.raises(InvalidCall, match="must be a time"):
        run(restore(point_in_time="yesterday"))


def test_a_paused_target_fails_with_its_remedy(sandbox, clock, snapshot_id, deferrable):
    sandbox.clusters[0]["cluster-1"].paused_since = clock.now
    with pytest.raises(AtlasChangeRefused, match="Resume the cluster first"):
        run(restore(snapshot_id=snapshot_id, deferrable=deferrable))


@pytest.mark.parametrize(
    ("kind", "cancelled"), [("index", True), ("restore", False), ("export", False), ("snapshot", False)]
)
def test_a_killed_task_cancels_what_can_be_cancelled(sandbox, clock, snapshot_id, caplog, monkeypatch, kind, cancelled):
    given = {"snapshot_id": snapshot_id} if kind in ("restore", "export") else {}
    kill(KINDS[kind](deferrable=False, **given), clock, monkeypatch, after=100)
    assert (jobs(sandbox, kind) == []) is cancelled
    said = {"index": "Cancelled the job at", "snapshot": "The job was not cancelled and goes on at"}
    assert said.get(kind, "cannot cancel this job") in caplog.text


def test_an_index_that_another_made_is_not_cancelled(sandbox, clock, monkeypatch):
    run(index())
    (job,) = jobs(sandbox, "index")
    job.seconds = 10_000
    kill(index(deferrable=False), clock, monkeypatch, after=100)
    assert len(jobs(sandbox, "index")) == 1


@pytest.mark.parametrize("ends", ["in time", "too late"])
def test_a_task_that_has_ended_leaves_its_job_alone(sandbox, clock, ends):
    task = index(deferrable=False, max_wait=100 if ends == "too late" else 1000)
    with pytest.raises(AtlasJobTimeout) if ends == "too late" else nullcontext():
        run(task)
    task.on_kill()
    assert len(jobs(sandbox, "index")) == 1


def test_a_token_request_that_a_proxy_answers_does_not_make_an_older_restore_this_task_s(
    sandbox, clock, snapshot_id, deferrable
):
    run(restore(snapshot_id=snapshot_id))
    clock.now += 86_400
    task._caches.clear()
    sandbox.fail_next("token", status=200, body=b"<html>", times=8)
    run(restore(snapshot_id=snapshot_id, deferrable=deferrable))
    assert len(jobs(sandbox, "restore")) == 2


def test_a_cleared_restore_whose_first_look_failed_notes_its_request_all_the_same(sandbox, clock, snapshot_id):
    notes, operator = Notes(), restore(snapshot_id=snapshot_id, retries=1)
    cleared = {"max_tries": 3, "notes": notes, "run_started": clock.now - 5000}
    task._caches.clear()
    sandbox.fail_next("token", status=200, body=b"<html>", times=8)
    run(operator, context_of(operator, try_number=3, **cleared))
    assert notes
    run(operator, context_of(operator, try_number=4, **cleared))
    assert len(jobs(sandbox, "restore")) == 1


@pytest.mark.parametrize("make", [snapshot, index], ids=["snapshot", "index"])
@pytest.mark.parametrize("kills", ["the deferred task", "the worker, after the end"])
def test_a_kill_deletes_no_job_that_is_done(sandbox, clock, make, kills):
    operator = make(deferrable=kills == "the deferred task")
    if operator.deferrable:
        with pytest.raises(TaskDeferred) as deferred:
            operator.execute(context_of(operator))
        clock.now += sandbox.job_seconds + 1
        asyncio.run(deferred.value.trigger.on_kill())
    else:
        run(operator)
        operator.on_kill()
    assert len(jobs(sandbox, make.__name__)) == 1


def test_a_snapshot_is_known_by_its_mark_whatever_else_its_description_says(sandbox, clock, deferrable):
    for number in (1, 2):
        operator = snapshot(description=f"try {number}", deferrable=deferrable, retries=1)
        run(operator, context_of(operator, try_number=number, run_started=clock.now - 1000))
    assert len(jobs(sandbox, "snapshot")) == 1


def test_a_marked_job_is_found_though_the_worker_s_clock_is_ahead(sandbox, clock):
    sandbox.clock = lambda: clock.now - 120
    sandbox.fail_next("api", kind="lost", method="POST")
    run(snapshot())
    assert len(jobs(sandbox, "snapshot")) == 1


VECTOR = {"type": "vector", "numDimensions": 256, "similarity": "cosine"}


@pytest.mark.parametrize(
    ("kind", "existing", "wanted"),
    [
        (
            "vectorSearch",
            {"fields": [{**VECTOR, "path": "v"}, {**VECTOR, "path": "w"}]},
            {"fields": [{**VECTOR, "path": "v"}]},
        ),
        (
            "search",
            {"mappings": {"dynamic": True, "fields": {"a": {"type": "string"}, "b": {"type": "string"}}}},
            {"mappings": {"dynamic": True, "fields": {"a": {"type": "string"}}}},
        ),
    ],
    ids=["vectors", "static fields"],
)
def test_an_index_with_more_than_was_asked_for_is_another_one(sandbox, clock, kind, existing, wanted):
    run(index(index_type=kind, definition=existing))
    with pytest.raises(AtlasJobFailed, match="another definition"):
        run(index(index_type=kind, definition=wanted))
    run(index(index_type=kind, definition=existing))


def test_names_of_fields_may_have_dots(sandbox, clock):
    definition = {"mappings": {"dynamic": False, "fields": {"a.b": {"type": "string"}}}}
    for _ in range(2):
        run(index(definition=definition))
    assert len(jobs(sandbox, "index")) == 1


def test_an_index_that_is_being_deleted_is_waited_for(sandbox, clock, deferrable):
    run(index())
    (job,) = jobs(sandbox, "index")
    shown = {"indexID": job.id, "type": "search", "status": "DELETING", "latestDefinition": {"mappings": {}}}
    sandbox.fail_next("api", status=200, body=json.dumps(shown).encode(), method="GET", path="/default")
    assert run(index(deferrable=deferrable))["index_id"] == job.id


def test_the_link_is_there_after_a_deferral_that_failed(sandbox, clock):
    sandbox.fail_next("api", kind="fail_job", method="POST")
    operator = index(deferrable=True)
    context = context_of(operator)
    with pytest.raises(TaskDeferred) as deferred:
        operator.execute(context)
    resumed = index(deferrable=True)  # in another process
    with pytest.raises(AtlasJobFailed):
        resumed.execute_complete(context, fire(deferred.value))
    assert "cluster-0" in resumed.operator_extra_links[0].get_link(resumed, ti_key=None)


@pytest.mark.parametrize("lost", [False, True], ids=["retried", "response lost"])
def test_a_snapshot_of_a_sharded_cluster_is_made_once_and_waited_for(sandbox, clock, deferrable, lost):
    sandbox.clusters[0]["cluster-0"].settings["clusterType"] = "SHARDED"
    if lost:
        sandbox.fail_next("api", kind="lost", method="POST")
    results = []
    for number in (1, 2):
        operator = snapshot(deferrable=deferrable, retries=1)
        results.append(run(operator, context_of(operator, try_number=number, run_started=clock.now - 1000)))
    (job,) = jobs(sandbox, "snapshot")
    assert [(each["snapshot_id"], each["status"]) for each in results] == [(job.id, "completed")] * 2


def test_a_kill_deletes_no_sharded_snapshot_that_is_done(sandbox, clock, caplog):
    sandbox.clusters[0]["cluster-0"].settings["clusterType"] = "SHARDED"
    operator = snapshot(deferrable=True)
    with pytest.raises(TaskDeferred) as deferred:
        operator.execute(context_of(operator))
    clock.now += sandbox.job_seconds + 1
    with caplog.at_level("INFO"):
        asyncio.run(deferred.value.trigger.on_kill())
    assert "is done, and stays" in caplog.text
