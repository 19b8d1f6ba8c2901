"""Atlas sends no response, before or after the effect: each change is made once, and none is lost."""

from __future__ import annotations

import pytest

from airflow_provider_atlas.exceptions import AtlasUnreachable
from airflow_provider_atlas.operators.api import AtlasOperator
from airflow_provider_atlas.operators.backup import (
    AtlasCreateSnapshotOperator,
    AtlasExportSnapshotOperator,
    AtlasRestoreSnapshotOperator,
)
from airflow_provider_atlas.operators.cluster import (
    AtlasPauseClusterOperator,
    AtlasResumeClusterOperator,
    AtlasUpdateClusterOperator,
)
from airflow_provider_atlas.operators.search import AtlasCreateSearchIndexOperator
from tests.operators.jobs import CLUSTERS, PROJECT, on_clock, run

PLACE = {"project_id": PROJECT, "cluster_name": "cluster-0"}
TARGET = {"target_project_id": PROJECT, "target_cluster_name": "cluster-1", "confirm_target": "cluster-1"}
INDEX = {"database": "a", "collection": "b", "index_name": "c", "definition": {"mappings": {"dynamic": True}}}
CLUSTER = {"endpoint": f"{CLUSTERS}/cluster-0"}
SNAPSHOT = {
    "endpoint": f"{CLUSTERS}/cluster-0/backup/snapshots",
    "json": {"description": "of the operator", "retentionInDays": 1},
}
#: The operator, its arguments, and the method of its change.
CHANGES = {
    "pause": (AtlasPauseClusterOperator, PLACE, "PATCH"),
    "resume": (AtlasResumeClusterOperator, PLACE, "PATCH"),
    "update": (AtlasUpdateClusterOperator, {**PLACE, "json": {"pitEnabled": False}}, "PATCH"),
    "snapshot": (AtlasCreateSnapshotOperator, {**PLACE, "description": "of the operator"}, "POST"),
    "restore": (AtlasRestoreSnapshotOperator, {**PLACE, **TARGET}, "POST"),
    "restore of a time": (AtlasRestoreSnapshotOperator, {**PLACE, **TARGET}, "POST"),
    "export": (AtlasExportSnapshotOperator, {**PLACE, "export_bucket_id": "6d0000000000000000000000"}, "POST"),
    "index": (AtlasCreateSearchIndexOperator, {**PLACE, **INDEX}, "POST"),
    "any PATCH": (AtlasOperator, {**CLUSTER, "json": {"paused": True}, "until": {"paused": True}}, "PATCH"),
    "any POST": (AtlasOperator, {**SNAPSHOT, "until": {"status": "completed"}}, "POST"),
    "a POST that waits for nothing": (AtlasOperator, SNAPSHOT, "POST"),
    "any DELETE": (AtlasOperator, {**CLUSTER, "until": {"$found": False}}, "DELETE"),
}


@pytest.fixture
def sandbox(atlas_sandbox, clock, monkeypatch, hook):
    """The sandbox, with a snapshot that is complete. A request takes a second at most."""
    monkeypatch.setenv("AIRFLOW__ATLAS__TIMEOUT", "1")
    on_clock(clock, atlas_sandbox, monkeypatch)
    atlas_sandbox.snapshot_id = hook.run(SNAPSHOT["endpoint"], "POST", json={"description": "x"})["id"]
    clock.now += 400
    return atlas_sandbox


@pytest.fixture(params=CHANGES)
def change(request, sandbox, clock):
    """A function that makes the task, and the method of its change."""
    kind, kwargs, method = CHANGES[request.param]
    if request.param in ("restore", "export"):
        kwargs = {**kwargs, "snapshot_id": sandbox.snapshot_id}
    if request.param == "restore of a time":
        kwargs = {**kwargs, "point_in_time": clock.now - 1000}
    if request.param == "resume":
        sandbox.clusters[0]["cluster-0"].paused_since = clock.now
    if kind is AtlasOperator:
        kwargs = {**kwargs, "method": method}
    return lambda **more: kind(task_id="change", **kwargs, **more), method


def made(sandbox):
    """Jobs and changes of clusters."""
    return sandbox.counters.jobs - 1 + sandbox.counters.cluster_changes


SILENCES = {"before the effect": {"kind": "silence"}, "after the effect": {"kind": "lost", "seconds": 60}}


@pytest.mark.parametrize("silence", SILENCES)
def test_a_silence_of_atlas_makes_no_change_twice_and_loses_none(sandbox, clock, deferrable, change, silence):
    make, method = change
    sandbox.fail_next("api", method=method, **SILENCES[silence])
    run(make(deferrable=deferrable))
    assert (made(sandbox), sandbox.counters.faults) == (1, 1)


def test_a_silence_after_the_effect_and_one_at_the_look_for_it(sandbox, clock, change):
    make, method = change
    sandbox.fail_next("api", kind="lost", seconds=60, method=method)
    task, ask, silent = make(deferrable=True), AtlasOperator._ask, []

    def silent_at_the_second(self, *args):
        if len(silent) == 1:
            sandbox.fail_next("api", kind="silence", method="GET")
        silent.append(1)
        return ask(self, *args)

    task._ask = silent_at_the_second.__get__(task)
    run(task)
    assert (made(sandbox), sandbox.counters.faults) == (1, 2)


def test_a_silence_at_the_first_look_changes_nothing(sandbox, clock, change):
    make, _ = change
    sandbox.fail_next("api", kind="silence", method="GET")
    run(make(deferrable=True))
    assert made(sandbox) == 1


def test_an_atlas_that_stays_silent_is_unreachable_and_the_error_says_that_the_change_may_have_been_made(
    sandbox, clock, change
):
    make, method = change
    sandbox.fail_next("api", times=50, kind="drop", method=method)
    with pytest.raises(AtlasUnreachable, match="Atlas may have made the change"):
        run(make(deferrable=True, max_wait=300))
    assert made(sandbox) == 0
