"""Pauses many clusters, one mapped and deferred task each."""

from __future__ import annotations

from datetime import datetime

from airflow.providers.common.compat.sdk import dag, task

from airflow_provider_atlas.operators.cluster import AtlasPauseClusterOperator

PROJECT = "6b0000000000000000000000"


@dag(schedule=None, start_date=datetime(2025, 1, 1), params={"size": 20}, catchup=False)
def pauses() -> None:
    @task
    def names(params: dict | None = None) -> list[str]:
        return [f"cluster-{number}" for number in range((params or {})["size"])]

    AtlasPauseClusterOperator.partial(
        task_id="pause",
        project_id=PROJECT,
        atlas_conn_id="atlas_jobs",
        deferrable=True,
        poll_interval=10,
        max_active_tis_per_dag=16,
    ).expand(cluster_name=names())


pauses()
