"""Pauses every cluster that has the tag ``schedule: office`` in the evening, and resumes it in the morning.

One mapped task for each cluster, deferred: however many clusters there are, and however long Atlas takes, no worker
waits. Set ``cache_scope=deployment`` on the connection, so that all tasks share one token.

The Variable ``atlas_project_id`` names the project.
"""

from __future__ import annotations

from datetime import datetime

from airflow.providers.common.compat.sdk import dag, task

from airflow_provider_atlas.hooks.service_account import AtlasServiceAccountHook
from airflow_provider_atlas.operators.cluster import AtlasPauseClusterOperator, AtlasResumeClusterOperator

PROJECT_ID = "{{ var.value.atlas_project_id }}"
NAME = "{{ task.cluster_name }}"  # instead of a number, in Airflow's list of the mapped tasks
TAG = {"key": "schedule", "value": "office"}


@task
def clusters_with_the_tag(project_id: str) -> list[str]:
    hook = AtlasServiceAccountHook()
    clusters = hook.paginate("/api/atlas/v2/groups/{groupId}/clusters", path={"groupId": project_id})
    return [cluster["name"] for cluster in clusters if TAG in cluster.get("tags", [])]


@dag(schedule="0 19 * * 1-5", start_date=datetime(2025, 1, 1), catchup=False, tags=["atlas", "example"])
def atlas_clusters_night() -> None:
    AtlasPauseClusterOperator.partial(
        task_id="pause", project_id=PROJECT_ID, deferrable=True, map_index_template=NAME
    ).expand(cluster_name=clusters_with_the_tag(PROJECT_ID))


@dag(schedule="0 6 * * 1-5", start_date=datetime(2025, 1, 1), catchup=False, tags=["atlas", "example"])
def atlas_clusters_morning() -> None:
    AtlasResumeClusterOperator.partial(
        task_id="resume", project_id=PROJECT_ID, deferrable=True, map_index_template=NAME
    ).expand(cluster_name=clusters_with_the_tag(PROJECT_ID))


atlas_clusters_night()
atlas_clusters_morning()
