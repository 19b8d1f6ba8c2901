"""Takes a snapshot of a cluster each week, and exports it into a bucket.

The Variables ``atlas_project_id`` and ``atlas_cluster_name`` name the cluster, ``atlas_export_bucket_id`` the bucket
that Atlas may write to.
"""

from __future__ import annotations

from datetime import datetime

from airflow.providers.common.compat.sdk import dag

from airflow_provider_atlas.operators.backup import AtlasCreateSnapshotOperator, AtlasExportSnapshotOperator

CLUSTER = {"project_id": "{{ var.value.atlas_project_id }}", "cluster_name": "{{ var.value.atlas_cluster_name }}"}


@dag(
    schedule="0 3 * * 6",
    start_date=datetime(2025, 1, 1),
    catchup=False,
    default_args={"retries": 2},
    tags=["atlas", "example"],
)
def atlas_weekly_export() -> None:
    snapshot = AtlasCreateSnapshotOperator(
        task_id="snapshot", **CLUSTER, description="weekly export, {{ ds }}", retention_days=2, deferrable=True
    )
    AtlasExportSnapshotOperator(
        task_id="export",
        **CLUSTER,
        snapshot_id=snapshot.output["snapshot_id"],
        export_bucket_id="{{ var.value.atlas_export_bucket_id }}",
        max_wait=12 * 3600,
        deferrable=True,
    )


atlas_weekly_export()
