"""Backups of clusters: snapshots on demand, restores, export buckets and exports."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_atlas.sandbox import jobs
from airflow_provider_atlas.sandbox.bodies import HEX_ID, read_body
from airflow_provider_atlas.sandbox.clusters import CLUSTER_NAME, SHARED_SIZES, Cluster, find, find_named
from airflow_provider_atlas.sandbox.refusals import Refusal
from airflow_provider_atlas.sandbox.resources import PROJECT_IDS, check_owner, self_link
from airflow_provider_atlas.sandbox.responses import AtlasResponse, page, timestamp

if TYPE_CHECKING:
    from airflow_provider_atlas.sandbox.jobs import Job, Kind
    from airflow_provider_atlas.sandbox.requests import AtlasRequest
    from airflow_provider_atlas.sandbox.responses import Handler, Routes
    from airflow_provider_atlas.sandbox.state import AtlasState

DAY = 24 * 3600
#: Where a sharded cluster's snapshots are.
SHARDED = "/shardedCluster"
#: How far back a point in time may be, and how long a finished download stays.
WINDOW, DOWNLOAD = 7 * DAY, DAY
BUCKET_IDS = 0x6D00_0000_0000_0000_0000_0000
SNAPSHOT_STATES = {"queued": "queued", "running": "inProgress", "done": "completed"}
EXPORT_STATES = {"queued": "Queued", "running": "InProgress", "done": "Successful", "cancelled": "Cancelled"}
#: Seconds since the epoch, not before 2008: MongoDB has no older backups.
MOMENT = range(1_199_145_600, 2**31)
RESTORE = {
    "deliveryType!": ("automated", "download", "pointInTime"),
    "snapshotId": HEX_ID,
    "targetClusterName": CLUSTER_NAME,
    "targetGroupId": HEX_ID,
    "pointInTimeUTCSeconds": MOMENT,
    "oplogTs": MOMENT,
    "oplogInc": range(1, 2**31),
}
EXPORT = {"snapshotId!": HEX_ID, "exportBucketId!": HEX_ID, "customData": [{"key!": str, "value!": str}]}


def create_snapshot(atlas: AtlasState, request: AtlasRequest) -> AtlasResponse:
    cluster, now = find(atlas, request), atlas.clock()
    body = read_body(request, {"description": str, "retentionInDays": range(1, 36501)})
    if any(job.is_open(now) for job in jobs.of_cluster(atlas, "snapshot", cluster)):
        raise Refusal("UNFINISHED_ON_DEMAND_SNAPSHOT", cluster.name)
    job = jobs.start(atlas, request, "snapshot", cluster, body)
    return AtlasResponse(200, _snapshot(job, atlas, request))


def _delete_snapshot(*, sharded: bool) -> Handler:
    def handler(atlas: AtlasState, request: AtlasRequest) -> AtlasResponse:
        _check_kind(atlas, request, sharded)
        job = jobs.find(atlas, request, "snapshot", find(atlas, request), request.ids["snapshotId"])
        if job.is_open(atlas.clock()):
            raise Refusal("CANNOT_DELETE_IN_PROGRESS_SNAPSHOT", job.id)
        del atlas.jobs[job.id]
        return AtlasResponse(204)

    return handler


def _snapshot(job: Job, atlas: AtlasState, request: AtlasRequest) -> dict[str, Any]:
    phase, sharded = job.phase(atlas.clock()), job.cluster.is_sharded
    return {
        "id": job.id,
        "snapshotType": "onDemand",
        "type": "shardedCluster" if sharded else "replicaSet",
        "status": SNAPSHOT_STATES.get(phase, "failed"),
        "description": job.given.get("description", ""),
        "createdAt": timestamp(job.began),
        "expiresAt": timestamp(job.began + job.given.get("retentionInDays", 1) * DAY),
        "mongodVersion": "8.0.12",
        "storageSizeBytes": 1_000_000 if phase == "done" else 0,
        "policyItems": [],
        "links": self_link(request, _path(job, "backup/snapshots" + SHARDED * sharded)),
    }


def create_restore(atlas: AtlasState, request: AtlasRequest) -> AtlasResponse:
    cluster, now = find(atlas, request), atlas.clock()
    body = read_body(request, RESTORE)
    point_in_time = body["deliveryType"] == "pointInTime"
    required = [] if body["deliveryType"] == "download" else ["targetClusterName", "targetGroupId"]
    required += [] if point_in_time else ["snapshotId"]
    moment = body.get("pointInTimeUTCSeconds", body.get("oplogTs"))
    wrong = {name: f"is required for {body['deliveryType']}" for name in required if name not in body}
    if point_in_time and moment is None:
        wrong["pointInTimeUTCSeconds"] = "or oplogTs is required for pointInTime"
    if wrong:
        raise Refusal("INVALID_ATTRIBUTE", ", ".join(wrong), fields=wrong)
    if not point_in_time:
        _completed(atlas, request, cluster, body, "CANNOT_START_RESTORE_JOB_FOR_INCOMPLETE_CLUSTER_SNAPSHOT")
    elif moment is not None and not now - WINDOW <= moment <= now:
        raise Refusal("NO_CHECKPOINT_FOR_PIT_RESTORE", moment)
    if "targetClusterName" in required:
        target = _target(atlas, body["targetGroupId"], body["targetClusterName"])
        target.start("UPDATING", now, atlas.job_seconds, atlas.stale_seconds, restoring=True)
    return AtlasResponse(200, _restore(jobs.start(atlas, request, "restore", cluster, body), atlas, request))


def _completed(atlas: AtlasState, request: AtlasRequest, cluster: Cluster, body: dict[str, Any], code: str) -> None:
    snapshot = jobs.find(atlas, request, "snapshot", cluster, body["snapshotId"])
    if snapshot.phase(atlas.clock()) != "done":
        raise Refusal(code, snapshot.id)


def _target(atlas: AtlasState, group_id: str, name: str) -> Cluster:
    """Return the cluster that a restore overwrites."""
    project, now = int(group_id, 16) - PROJECT_IDS, atlas.clock()
    if not 0 <= project < atlas.page_total:
        raise Refusal("GROUP_NOT_FOUND", group_id)
    target = find_named(atlas, project, name)
    if target.size in SHARED_SIZES:
        raise Refusal("CANNOT_RESTORE_TO_TARGET", name)
    if target.is_paused(now):
        raise Refusal("CLUSTER_PAUSED_CANNOT_RESTORE", name)
    if target.is_busy(now):
        raise Refusal(
            "ATLAS_CLUSTER_RESTORE_IN_PROGRESS" if target.restoring else "OPERATION_INVALID_MEMBER_REPLICATION_LAG",
            name,
        )
    return target


def cancel_restore(atlas: AtlasState, request: AtlasRequest) -> AtlasResponse:
    job = jobs.find(atlas, request, "restore", find(atlas, request), request.ids["restoreJobId"])
    if job.given["deliveryType"] != "download":
        raise Refusal("CANNOT_CANCEL_AUTOMATED_RESTORE")
    job.end, job.seconds = "cancelled", min(job.seconds, atlas.clock() - job.began)
    return AtlasResponse(204)


def _restore(job: Job, atlas: AtlasState, request: AtlasRequest) -> dict[str, Any]:
    now = atlas.clock()
    phase, download = job.phase(now), job.given["deliveryType"] == "download"
    snapshot = atlas.jobs.get(job.given.get("snapshotId", ""))
    described = {
        **job.given,
        "id": job.id,
        "cancelled": phase == "cancelled",
        "expired": phase == "done" and download and now >= job.ended + DOWNLOAD,
        "failed": phase == "failed",
        "timestamp": timestamp(snapshot.began if snapshot else job.began),
        "links": self_link(request, _path(job, "backup/restoreJobs")),
    }
    if phase in ("done", "failed"):
        described["finishedAt"] = timestamp(job.ended)
    if phase == "done" and download:
        described["expiresAt"] = timestamp(job.ended + DOWNLOAD)
        # Whoever has the link has the data, as in Atlas: a test can look for it in logs.
        described["deliveryUrl"] = [f"https://restore.sandbox.invalid/{job.ticket}.tar.gz"]
    return described


def create_export(atlas: AtlasState, request: AtlasRequest) -> AtlasResponse:
    cluster, body = find(atlas, request), read_body(request, EXPORT)
    if body["exportBucketId"] != _bucket(cluster.project, request)["_id"]:
        raise Refusal("RESOURCE_NOT_FOUND", body["exportBucketId"])
    _completed(atlas, request, cluster, body, "CANNOT_EXPORT_INCOMPLETE_SNAPSHOT")
    return AtlasResponse(200, _export(jobs.start(atlas, request, "export", cluster, body), atlas, request))


def _export(job: Job, atlas: AtlasState, request: AtlasRequest) -> dict[str, Any]:
    phase = job.phase(atlas.clock())
    described = {
        "customData": [],
        **job.given,
        "id": job.id,
        "createdAt": timestamp(job.began),
        "state": EXPORT_STATES.get(phase, "Failed"),
        "exportStatus": {"exportedCollections": 10 if phase == "done" else 0, "totalCollections": 10},
        "links": self_link(request, _path(job, "backup/exports")),
    }
    if phase in ("done", "failed", "cancelled"):
        described["finishedAt"] = timestamp(job.ended)
    if phase == "failed":
        described["stateReason"] = {"errorCode": "EXPORT_FAILED", "message": "The sandbox was told to let it fail."}
    return described


def list_buckets(atlas: AtlasState, request: AtlasRequest) -> AtlasResponse:
    project = check_owner(atlas, request)
    return page(request, 1, lambda _: _bucket(project, request))


def get_bucket(atlas: AtlasState, request: AtlasRequest) -> AtlasResponse:
    bucket = _bucket(check_owner(atlas, request), request)
    if bucket["_id"] != request.ids["exportBucketId"]:
        raise Refusal("RESOURCE_NOT_FOUND", request.path)
    return AtlasResponse(200, bucket)


def _bucket(project: int, request: AtlasRequest) -> dict[str, Any]:
    bucket_id = f"{BUCKET_IDS + project:024x}"
    return {
        "_id": bucket_id,
        "bucketName": f"sandbox-exports-{project}",
        "cloudProvider": "AWS",
        "iamRoleId": f"{BUCKET_IDS:024x}",
        "links": self_link(request, f"/groups/{PROJECT_IDS + project:024x}/backup/exportBuckets/{bucket_id}"),
    }


def _path(job: Job, rest: str) -> str:
    return f"/groups/{job.cluster.group_id}/clusters/{job.cluster.name}/{rest}/{job.id}"


def _check_kind(atlas: AtlasState, request: AtlasRequest, sharded: bool | None) -> None:
    """Refuse a snapshot of a sharded cluster where those of replica sets are, and the other way round."""
    if sharded not in (None, find(atlas, request).is_sharded):
        raise Refusal("RESOURCE_NOT_FOUND", request.path)


DESCRIBE = {"snapshot": _snapshot, "restore": _restore, "export": _export}


def _list(kind: Kind, *, sharded: bool | None = None) -> Handler:
    def handler(atlas: AtlasState, request: AtlasRequest) -> AtlasResponse:
        cluster = find(atlas, request)
        found = jobs.of_cluster(atlas, kind, cluster) if sharded in (None, cluster.is_sharded) else []
        return page(request, len(found), lambda index: DESCRIBE[kind](found[index], atlas, request))

    return handler


def _get(kind: Kind, name: str, *, sharded: bool | None = None) -> Handler:
    def handler(atlas: AtlasState, request: AtlasRequest) -> AtlasResponse:
        _check_kind(atlas, request, sharded)
        job = jobs.find(atlas, request, kind, find(atlas, request), request.ids[name])
        return AtlasResponse(200, DESCRIBE[kind](job, atlas, request))

    return handler


def _snapshot_routes(*, sharded: bool) -> dict[str, Handler]:
    return {"GET": _get("snapshot", "snapshotId", sharded=sharded), "DELETE": _delete_snapshot(sharded=sharded)}


BACKUP = "/groups/{groupId}/clusters/{clusterName}/backup"
ROUTES: Routes = {
    f"{BACKUP}/snapshots": {"GET": _list("snapshot", sharded=False), "POST": create_snapshot},
    f"{BACKUP}/snapshots/{{snapshotId}}": _snapshot_routes(sharded=False),
    f"{BACKUP}/snapshots{SHARDED}s": {"GET": _list("snapshot", sharded=True)},
    f"{BACKUP}/snapshots{SHARDED}/{{snapshotId}}": _snapshot_routes(sharded=True),
    f"{BACKUP}/restoreJobs": {"GET": _list("restore"), "POST": create_restore},
    f"{BACKUP}/restoreJobs/{{restoreJobId}}": {"GET": _get("restore", "restoreJobId"), "DELETE": cancel_restore},
    f"{BACKUP}/exports": {"GET": _list("export"), "POST": create_export},
    f"{BACKUP}/exports/{{exportId}}": {"GET": _get("export", "exportId")},
    "/groups/{groupId}/backup/exportBuckets": {"GET": list_buckets},
    "/groups/{groupId}/backup/exportBuckets/{exportBucketId}": {"GET": get_bucket},
}
