"""Scales a cluster up before the working day, and down after it.

A cluster that has the size already is left alone. A cluster that is busy with another change is waited for.

The Variables ``atlas_project_id`` and ``atlas_cluster_name`` name the cluster. Give its own region and node count:
Atlas replaces the whole list.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from airflow.providers.common.compat.sdk import dag

from airflow_provider_atlas.operators.cluster import AtlasUpdateClusterOperator

DAY, NIGHT = "M30", "M10"


def size(instance_size: str) -> dict[str, Any]:
    specs = {"instanceSize": instance_size, "nodeCount": 3}
    region = {"providerName": "AWS", "regionName": "US_EAST_1", "priority": 7, "electableSpecs": specs}
    return {"replicationSpecs": [{"regionConfigs": [region]}]}


def scale(instance_size: str) -> None:
    AtlasUpdateClusterOperator(
        task_id="scale",
        project_id="{{ var.value.atlas_project_id }}",
        cluster_name="{{ var.value.atlas_cluster_name }}",
        json=size(instance_size),
        deferrable=True,
    )


@dag(schedule="0 6 * * 1-5", start_date=datetime(2025, 1, 1), catchup=False, tags=["atlas", "example"])
def atlas_scale_for_the_day() -> None:
    scale(DAY)


@dag(schedule="0 19 * * 1-5", start_date=datetime(2025, 1, 1), catchup=False, tags=["atlas", "example"])
def atlas_scale_for_the_night() -> None:
    scale(NIGHT)


atlas_scale_for_the_day()
atlas_scale_for_the_night()
