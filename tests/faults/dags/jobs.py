"""Snapshots and restores of many clusters, one mapped and deferred task each. The run's conf lists the clusters."""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow.providers.common.compat.sdk import dag, task

from airflow_provider_atlas.operators.backup import AtlasCreateSnapshotOperator, AtlasRestoreSnapshotOperator

PROJECT = "6b0000000000000000000000"
HOW = {"poll_interval": 5, "max_wait": 1800, "deferrable": True, "retries": 5, "retry_delay": timedelta(seconds=3)}


@dag(schedule=None, start_date=datetime(2025, 1, 1), catchup=False)
def jobs() -> None:
    @task(retries=5, retry_delay=timedelta(seconds=3))
    def listed(name: str, **context) -> list:
        return context["dag_run"].conf[name]

    AtlasCreateSnapshotOperator.partial(
        task_id="snapshot", project_id=PROJECT, description="of a killed task", **HOW
    ).expand(cluster_name=listed.override(task_id="clusters")("clusters"))
    AtlasRestoreSnapshotOperator.partial(
        task_id="restore", project_id=PROJECT, cluster_name="cluster-0", target_project_id=PROJECT, **HOW
    ).expand_kwargs(listed.override(task_id="targets")("targets"))


jobs()
