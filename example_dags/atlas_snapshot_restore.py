"""Takes a snapshot of a cluster, and restores it into staging.

**The restore deletes all data of the staging cluster first.** ``confirm_target`` repeats its name for that reason. A
retry finds the snapshot and the restore of an earlier try; clear a task to make a new one.

The Variables ``atlas_project_id`` and ``atlas_staging_project_id`` name the projects, ``atlas_cluster_name`` and
``atlas_staging_cluster_name`` the clusters.
"""

from __future__ import annotations

from datetime import datetime

from airflow.providers.common.compat.sdk import dag

from airflow_provider_atlas.operators.backup import AtlasCreateSnapshotOperator, AtlasRestoreSnapshotOperator

SOURCE = {"project_id": "{{ var.value.atlas_project_id }}", "cluster_name": "{{ var.value.atlas_cluster_name }}"}
STAGING = "{{ var.value.atlas_staging_cluster_name }}"


@dag(
    schedule="0 2 * * 0",
    start_date=datetime(2025, 1, 1),
    catchup=False,
    default_args={"retries": 2},
    tags=["atlas", "example"],
)
def atlas_snapshot_restore() -> None:
    snapshot = AtlasCreateSnapshotOperator(
        task_id="snapshot",
        **SOURCE,
        description="for staging, {{ ds }}",
        retention_days=1,
        deferrable=True,
    )
    AtlasRestoreSnapshotOperator(
        task_id="restore",
        **SOURCE,
        snapshot_id=snapshot.output["snapshot_id"],
        target_project_id="{{ var.value.atlas_staging_project_id }}",
        target_cluster_name=STAGING,
        confirm_target=STAGING,
        deferrable=True,
    )


atlas_snapshot_restore()
