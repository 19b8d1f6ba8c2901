"""Snapshots, restores and exports: how they move with the clock, and what Atlas refuses."""

from __future__ import annotations

import pytest
import requests

from airflow_provider_atlas.sandbox.clusters import find_named
from airflow_provider_atlas.sandbox.responses import timestamp

GROUP = "/groups/6b0000000000000000000000"
BACKUP = f"{GROUP}/clusters/cluster-0/backup"
TARGET = f"{GROUP}/clusters/cluster-1"
UNKNOWN = "0" * 24
DOWNLOAD = {"deliveryType": "download"}


def error(response):
    return response.status, response.content["errorCode"]


def moves(api, clock, path, field, seconds=(0, 0.9, 0.1, 3.9, 0.1)):
    """Read a field of a job after each of some seconds."""
    seen = []
    for wait in seconds:
        clock.now += wait
        seen.append(api.get(path).content.get(field))
    return seen


@pytest.fixture
def snapshot(api, clock):
    """The id of a snapshot that is complete."""
    taken = api("POST", f"{BACKUP}/snapshots", {"description": "before", "retentionInDays": 2}).content
    clock.now += 5
    return taken["id"]


@pytest.fixture
def restore(api, snapshot):
    """Restore the snapshot into the second cluster, unless told otherwise."""
    to = {"deliveryType": "automated", "targetGroupId": GROUP[-24:], "targetClusterName": "cluster-1"}

    def start(job_end="done", **more):
        body = {**to, "snapshotId": snapshot, **more}
        body = {name: value for name, value in body.items() if value is not None}
        return api("POST", f"{BACKUP}/restoreJobs", body, job_end=job_end)

    return start


@pytest.fixture
def export(api, snapshot):
    (bucket,) = api.get(f"{GROUP}/backup/exportBuckets").content["results"]

    def start(job_end="done", **more):
        body = {"snapshotId": snapshot, "exportBucketId": bucket["_id"], **more}
        return api("POST", f"{BACKUP}/exports", body, job_end=job_end)

    return start


@pytest.mark.parametrize(("end", "last"), [("done", "completed"), ("failed", "failed"), ("cancelled", "failed")])
def test_snapshot_is_queued_then_in_progress_then_ended(api, clock, end, last):
    taken = api("POST", f"{BACKUP}/snapshots", {"description": "before"}, job_end=end)
    assert (taken.status, taken.content["status"], taken.content["description"]) == (200, "queued", "before")
    path = f"{BACKUP}/snapshots/{taken.content['id']}"
    assert moves(api, clock, path, "status") == ["queued", "queued", "inProgress", "inProgress", last]


def test_one_snapshot_on_demand_at_a_time_for_each_cluster(api, state, clock):
    first = api("POST", f"{BACKUP}/snapshots", {}).content["id"]
    assert error(api("POST", f"{BACKUP}/snapshots", {})) == (400, "UNFINISHED_ON_DEMAND_SNAPSHOT")
    assert error(api("DELETE", f"{BACKUP}/snapshots/{first}")) == (400, "CANNOT_DELETE_IN_PROGRESS_SNAPSHOT")
    assert api("POST", f"{TARGET}/backup/snapshots", {}).status == 200
    clock.now += 5
    second = api("POST", f"{BACKUP}/snapshots", {}).content["id"]
    listed = api.get(f"{BACKUP}/snapshots").content["results"]
    assert ([each["id"] for each in listed], state.counters.jobs) == ([first, second], 3)


def test_snapshot_expires_after_its_retention(api, snapshot, clock):
    content = api.get(f"{BACKUP}/snapshots/{snapshot}").content
    assert content["expiresAt"] == timestamp(clock() - 5 + 2 * 86400)


def test_deleted_snapshot_is_gone(api, snapshot):
    assert api("DELETE", f"{BACKUP}/snapshots/{snapshot}").status == 204
    assert error(api.get(f"{BACKUP}/snapshots/{snapshot}")) == (404, "RESOURCE_NOT_FOUND")


def test_restore_says_when_it_is_finished_and_its_target_is_busy_meanwhile(api, clock, restore):
    started = restore().content
    path = f"{BACKUP}/restoreJobs/{started['id']}"
    assert (started["failed"], started["cancelled"], started["expired"]) == (False, False, False)
    assert "finishedAt" not in started
    begin, states = clock(), []
    for wait in (0, 1, 3.9, 0.1, 1):
        clock.now += wait
        states.append((api.get(path).content.get("finishedAt"), api.get(TARGET).content["stateName"]))
    end = timestamp(begin + 5)
    assert states == [(None, "IDLE"), (None, "UPDATING"), (None, "UPDATING"), (end, "UPDATING"), (end, "IDLE")]


@pytest.mark.parametrize(("end", "flag", "finished"), [("failed", "failed", True), ("cancelled", "cancelled", False)])
def test_restore_that_ends_badly_says_so(api, clock, restore, end, flag, finished):
    job = restore(end).content["id"]
    clock.now += 5
    content = api.get(f"{BACKUP}/restoreJobs/{job}").content
    assert (content[flag], "finishedAt" in content) == (True, finished)


def test_target_of_a_restore_refuses_changes_and_other_restores(api, restore):
    restore()
    assert error(api("PATCH", TARGET, {"paused": True})) == (400, "CLUSTER_RESTORE_IN_PROGRESS_CANNOT_UPDATE")
    assert error(restore()) == (409, "ATLAS_CLUSTER_RESTORE_IN_PROGRESS")
    assert restore(targetClusterName="cluster-2").status == 200


def test_restore_to_a_point_in_time(restore, clock):
    moment = int(clock()) - 60
    job = restore(deliveryType="pointInTime", snapshotId=None, pointInTimeUTCSeconds=moment)
    assert (job.status, job.content["pointInTimeUTCSeconds"]) == (200, moment)


@pytest.mark.parametrize("seconds", [60, -8 * 86400])
def test_point_in_time_without_a_backup_is_refused(restore, clock, seconds):
    response = restore(deliveryType="pointInTime", snapshotId=None, oplogTs=int(clock()) + seconds, oplogInc=1)
    assert error(response) == (409, "NO_CHECKPOINT_FOR_PIT_RESTORE")


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"targetClusterName": None}, (400, "INVALID_ATTRIBUTE")),
        ({"snapshotId": None}, (400, "INVALID_ATTRIBUTE")),
        ({"deliveryType": "pointInTime"}, (400, "INVALID_ATTRIBUTE")),
        ({"deliveryType": "elsewhere"}, (400, "INVALID_ATTRIBUTE")),
        ({"confirm": True}, (400, "INVALID_ATTRIBUTE")),
        ({"snapshotId": UNKNOWN}, (404, "RESOURCE_NOT_FOUND")),
        ({"targetClusterName": "unknown"}, (404, "CLUSTER_NOT_FOUND")),
        ({"targetGroupId": UNKNOWN}, (404, "GROUP_NOT_FOUND")),
        ({"targetClusterName": "small"}, (403, "CANNOT_RESTORE_TO_TARGET")),
        ({"targetClusterName": "asleep"}, (400, "CLUSTER_PAUSED_CANNOT_RESTORE")),
        ({"targetClusterName": "busy"}, (400, "OPERATION_INVALID_MEMBER_REPLICATION_LAG")),
    ],
)
def test_restore_that_atlas_refuses_starts_no_job(api, state, restore, more, expected):
    state.add_cluster("small", size="M0")
    state.add_cluster("asleep", paused=True)
    state.add_cluster("busy")
    api("PATCH", f"{GROUP}/clusters/busy", {"tags": [{"key": "a", "value": "b"}]})
    assert error(restore(**more)) == expected
    assert api.get(f"{BACKUP}/restoreJobs").content["totalCount"] == 0


def test_incomplete_snapshot_is_neither_restored_nor_exported(api, restore, export):
    taken = api("POST", f"{BACKUP}/snapshots", {}).content["id"]
    code = "CANNOT_START_RESTORE_JOB_FOR_INCOMPLETE_CLUSTER_SNAPSHOT"
    assert error(restore(snapshotId=taken)) == (409, code)
    assert error(export(snapshotId=taken)) == (409, "CANNOT_EXPORT_INCOMPLETE_SNAPSHOT")


def test_automated_restore_cannot_be_cancelled(api, restore):
    path = f"{BACKUP}/restoreJobs/{restore().content['id']}"
    assert error(api("DELETE", path)) == (400, "CANNOT_CANCEL_AUTOMATED_RESTORE")


def test_download_has_a_link_when_it_is_finished_and_expires(api, clock, restore):
    path = f"{BACKUP}/restoreJobs/{restore(targetClusterName=None, targetGroupId=None, **DOWNLOAD).content['id']}"
    assert "deliveryUrl" not in api.get(path).content
    clock.now += 5
    finished = api.get(path).content
    assert finished["deliveryUrl"] == api.get(path).content["deliveryUrl"]
    assert finished["finishedAt"] == timestamp(clock())
    clock.now += 86400
    assert (finished["expired"], api.get(path).content["expired"]) == (False, True)
    assert api.get(TARGET).content["stateName"] == "IDLE"


def test_download_can_be_cancelled(api, restore):
    path = f"{BACKUP}/restoreJobs/{restore(**DOWNLOAD).content['id']}"
    assert api("DELETE", path).status == 204
    assert api.get(path).content["cancelled"] is True


@pytest.mark.parametrize("last", ["Successful", "Failed", "Cancelled"])
def test_export_moves_through_its_states(api, clock, export, last):
    started = export({"Successful": "done", "Failed": "failed", "Cancelled": "cancelled"}[last])
    path = f"{BACKUP}/exports/{started.content['id']}"
    assert (started.status, "finishedAt" in started.content) == (200, False)
    assert moves(api, clock, path, "state") == ["Queued", "Queued", "InProgress", "InProgress", last]
    finished = api.get(path).content
    assert (finished["finishedAt"], "stateReason" in finished) == (timestamp(clock()), last == "Failed")


@pytest.mark.parametrize("more", [{"exportBucketId": UNKNOWN}, {"snapshotId": UNKNOWN}])
def test_export_of_or_to_what_does_not_exist_gets_a_404(export, more):
    assert error(export(**more)) == (404, "RESOURCE_NOT_FOUND")


def test_each_self_link_leads_to_what_has_it(api, restore, export):
    restore()
    export()
    lists = [f"{BACKUP}/{kind}" for kind in ("snapshots", "restoreJobs", "exports")] + [f"{GROUP}/backup/exportBuckets"]
    for path in lists:
        (result,) = api.get(path).content["results"]
        link = result["links"][0]["href"].partition("/api/atlas/v2")[2]
        assert api.get(link).content == result


@pytest.mark.parametrize("kind", ["snapshots", "restoreJobs", "exports"])
def test_job_of_another_cluster_or_kind_gets_a_404(api, snapshot, kind):
    for path in (f"{TARGET}/backup/{kind}/{snapshot}", f"{BACKUP}/{kind}/{UNKNOWN}"):
        assert error(api.get(path)) == (404, "RESOURCE_NOT_FOUND")
    assert error(api.get(f"{GROUP}/clusters/unknown/backup/{kind}")) == (404, "CLUSTER_NOT_FOUND")


def test_unknown_export_bucket_gets_a_404(api):
    assert error(api.get(f"{GROUP}/backup/exportBuckets/{UNKNOWN}")) == (404, "RESOURCE_NOT_FOUND")


def test_snapshots_of_a_deleted_cluster_are_not_those_of_its_successor(api, snapshot, clock):
    api("DELETE", f"{GROUP}/clusters/cluster-0")
    clock.now += 10
    cluster = api.get(TARGET).content
    body = {name: cluster[name] for name in ("clusterType", "replicationSpecs")}
    assert api("POST", f"{GROUP}/clusters", {**body, "name": "cluster-0"}).status == 201
    assert api.get(f"{BACKUP}/snapshots").content["totalCount"] == 0


@pytest.mark.parametrize(("kind", "state"), [("fail_job", "failed"), ("lost", "completed")])
def test_job_can_be_told_to_fail_and_its_response_can_be_lost(sandbox, generate, clock, kind, state):
    headers = {"Accept": "application/vnd.atlas.2025-03-12+json"}
    headers["Authorization"] = f"Bearer {generate().json()['access_token']}"
    url = f"{sandbox.url}/api/atlas/v2{BACKUP}/snapshots"
    sandbox.fail_next("api", kind=kind, method="POST", path="/backup/snapshots", status=503)
    response = requests.post(url, json={}, headers=headers, timeout=10)
    clock.now += 5
    (made,) = requests.get(url, headers=headers, timeout=10).json()["results"]
    assert (response.status_code, made["status"]) == (503 if kind == "lost" else 200, state)


def test_snapshots_of_sharded_clusters_have_paths_of_their_own(api, state):
    find_named(state, 0, "cluster-0").settings["clusterType"] = "SHARDED"
    made = api("POST", f"{BACKUP}/snapshots", {}).content
    assert made["type"] == "shardedCluster"
    one = f"{BACKUP}/snapshots/shardedCluster/{made['id']}"
    assert [link["href"].endswith(one) for link in made["links"] if link["rel"] == "self"] == [True]
    assert error(api.get(f"{BACKUP}/snapshots/{made['id']}")) == (404, "RESOURCE_NOT_FOUND")
    lists = [api.get(f"{BACKUP}/snapshots{rest}").content["totalCount"] for rest in ("", "/shardedClusters")]
    assert (api.get(one).content["id"], lists) == (made["id"], [0, 1])
