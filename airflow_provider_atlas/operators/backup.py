"""Snapshots, restores and exports of clusters.

None of these requests is idempotent. A retry finds the task's own job: a snapshot and an export have a mark of the task
instance, a restore is told by what is restored, where to and since when.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow_provider_atlas.conditions import get
from airflow_provider_atlas.exceptions import InvalidCall
from airflow_provider_atlas.operators.cluster import IDLE, cluster_path
from airflow_provider_atlas.operators.job import AtlasJobOperator, Plan, mark

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

_THERE = {"$exists": True}


class _ClusterJobOperator(AtlasJobOperator):
    def __init__(self, *, project_id: str, cluster_name: str, multiple_outputs: bool = True, **kwargs: Any) -> None:
        super().__init__(multiple_outputs=multiple_outputs, **kwargs)  # output["snapshot_id"] works
        self.project_id = project_id
        self.cluster_name = cluster_name

    def _path(self, rest: str) -> str:
        return cluster_path(self.project_id, self.cluster_name, rest)


class AtlasCreateSnapshotOperator(_ClusterJobOperator):
    """
    Take a snapshot of a cluster on demand, and wait until it is complete. Atlas takes one at a time of each cluster.
    The snapshots of sharded clusters have paths of their own.

    Returns ``snapshot_id``, ``status``, ``created_at`` and ``expires_at``.

    .. seealso:: MongoDB Atlas documentation, "Create One Cluster Snapshot".

    :param project_id: the cluster's project.
    :param cluster_name: the cluster's name.
    :param description: shown in Atlas, followed by a mark by which a retry knows the snapshot.
    :param retention_days: days until Atlas deletes the snapshot.
    :param atlas_conn_id: id of the connection.
    :param poll_interval: seconds between two looks; it grows slowly, up to four times itself.
    :param max_wait: seconds for everything.
    :param deferrable: wait in the triggerer; default from ``[operators] default_deferrable``.
    :raises AtlasJobFailed: if the snapshot fails.
    """

    template_fields: Sequence[str] = ("project_id", "cluster_name", "description", "retention_days", "atlas_conn_id")

    def __init__(self, *, description: str, retention_days: int = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.description = description
        self.retention_days = retention_days

    def _plan(self, context: Context) -> Plan:
        description = f"{self.description} [{mark(context)}]"
        return Plan(
            endpoint=self._path("/backup/snapshots"),
            method="POST",
            json={"description": description, "retentionInDays": int(self.retention_days)},
            until={"status": "completed"},
            fail_if={"status": "failed"},
            returns=("id", "status", "createdAt", "expiresAt"),
            same={"description": description},
            kinds={"shardedCluster": ("/shardedCluster", "/shardedClusters")},
            marked=("description", mark(context)),
            cancels=True,
        )

    def _result(self, body: Any) -> dict[str, Any]:
        names = {"snapshot_id": "id", "status": "status", "created_at": "createdAt", "expires_at": "expiresAt"}
        return {name: get(body, field) for name, field in names.items()}


class AtlasRestoreSnapshotOperator(_ClusterJobOperator):
    """
    Restore a snapshot, or a point in time, into a cluster, and wait until the cluster is idle again.

    **Atlas deletes the data of the target first**, and does not tell whether there is any. So ``confirm_target`` must
    repeat the target's name. An automated restore cannot be cancelled. Returns ``restore_job_id`` and ``finished_at``.

    .. seealso:: MongoDB Atlas documentation, "Create One Restore Job of One Cluster".

    :param project_id: the project of the cluster that the snapshot is of.
    :param cluster_name: the cluster that the snapshot is of.
    :param snapshot_id: what to restore, or
    :param point_in_time: a time within the cluster's restore window: epoch seconds, a ``datetime`` or ISO 8601.
    :param target_project_id: project of the target.
    :param target_cluster_name: the cluster whose data is replaced.
    :param confirm_target: the name of the target, again.
    :param atlas_conn_id: id of the connection.
    :param poll_interval: seconds between two looks; it grows slowly, up to four times itself.
    :param max_wait: seconds for everything.
    :param deferrable: wait in the triggerer; default from ``[operators] default_deferrable``.
    :raises InvalidCall: if ``confirm_target`` is not the target's name. Nothing was sent.
    :raises AtlasJobFailed: if the restore fails or is cancelled.
    """

    template_fields: Sequence[str] = (
        "project_id",
        "cluster_name",
        "snapshot_id",
        "point_in_time",
        "target_project_id",
        "target_cluster_name",
        "confirm_target",
        "atlas_conn_id",
    )

    def __init__(
        self,
        *,
        target_project_id: str,
        target_cluster_name: str,
        snapshot_id: str | None = None,
        point_in_time: float | str | datetime | None = None,
        confirm_target: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if (snapshot_id is None) is (point_in_time is None):
            raise ValueError("Give one of snapshot_id and point_in_time")
        if confirm_target is None:
            raise ValueError("confirm_target must be the target's name: a restore deletes all data of the target first")
        self.target_project_id = target_project_id
        self.target_cluster_name = target_cluster_name
        self.snapshot_id = snapshot_id
        self.point_in_time = point_in_time
        self.confirm_target = confirm_target

    def _plan(self, context: Context) -> Plan:
        if self.confirm_target != self.target_cluster_name:
            raise InvalidCall(
                f"confirm_target must be {self.target_cluster_name!r}, the cluster whose data the restore deletes"
            )
        target = {"targetGroupId": self.target_project_id, "targetClusterName": self.target_cluster_name}
        what: dict[str, Any] = (
            {"deliveryType": "automated", "snapshotId": self.snapshot_id}
            if self.point_in_time is None
            else {"deliveryType": "pointInTime", "pointInTimeUTCSeconds": _epoch(self.point_in_time)}
        )
        into = cluster_path(self.target_project_id, self.target_cluster_name)
        return Plan(
            endpoint=self._path("/backup/restoreJobs"),
            method="POST",
            json={**what, **target},
            until={"finishedAt": _THERE},
            fail_if=[{"failed": True}, {"cancelled": True}, {"expired": True}],
            returns=("id", "finishedAt"),
            ready=(into, IDLE),
            same={**what, **target},
            then=(into, IDLE),
        )

    def _result(self, body: Any) -> dict[str, Any]:
        return {"restore_job_id": get(body, "id"), "finished_at": get(body, "finishedAt")}


class AtlasExportSnapshotOperator(_ClusterJobOperator):
    """
    Export a snapshot into a bucket, and wait until it is there. Returns ``export_id``, ``state`` and ``finished_at``.

    .. seealso:: MongoDB Atlas documentation, "Create One Snapshot Export Job".

    :param project_id: the cluster's project.
    :param cluster_name: the cluster that the snapshot is of.
    :param snapshot_id: what to export.
    :param export_bucket_id: id of the bucket in Atlas, see "Return All Snapshot Export Buckets".
    :param atlas_conn_id: id of the connection.
    :param poll_interval: seconds between two looks; it grows slowly, up to four times itself.
    :param max_wait: seconds for everything.
    :param deferrable: wait in the triggerer; default from ``[operators] default_deferrable``.
    :raises AtlasJobFailed: if the export fails or is cancelled.
    """

    template_fields: Sequence[str] = (
        "project_id",
        "cluster_name",
        "snapshot_id",
        "export_bucket_id",
        "atlas_conn_id",
    )

    def __init__(self, *, snapshot_id: str, export_bucket_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.snapshot_id = snapshot_id
        self.export_bucket_id = export_bucket_id

    def _plan(self, context: Context) -> Plan:
        what = {"snapshotId": self.snapshot_id, "exportBucketId": self.export_bucket_id}
        return Plan(
            endpoint=self._path("/backup/exports"),
            method="POST",
            json={**what, "customData": [{"key": "airflow", "value": mark(context)}]},
            until={"state": "Successful"},
            fail_if={"state": ["Failed", "Cancelled"]},
            returns=("id", "state", "finishedAt"),
            show=("exportStatus.exportedCollections", "exportStatus.totalCollections"),
            same=what,
            marked=("customData.0.value", mark(context)),
        )

    def _result(self, body: Any) -> dict[str, Any]:
        names = {"export_id": "id", "state": "state", "finished_at": "finishedAt"}
        return {name: get(body, field) for name, field in names.items()}


def _epoch(moment: float | str | datetime) -> int:
    """Epoch seconds. A time without a zone is UTC, as Airflow's templates write it."""
    try:
        if isinstance(moment, str):
            try:
                return int(float(moment))
            except ValueError:
                moment = datetime.fromisoformat(moment)
        if isinstance(moment, datetime):
            return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
        return int(moment)
    except (TypeError, ValueError, OverflowError):
        pass
    raise InvalidCall("point_in_time must be a time: epoch seconds, or ISO 8601 such as 2026-01-31T04:00:00Z")
