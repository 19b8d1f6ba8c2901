"""Waits and pauses of many clusters, one mapped task each, and a pause as a peer would write it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from airflow.providers.common.compat.sdk import BaseHook, dag, task

from airflow_provider_atlas.operators.cluster import AtlasPauseClusterOperator
from airflow_provider_atlas.sensors.api import AtlasSensor

FLEET: dict[str, Any] = {"schedule": None, "start_date": datetime(2025, 1, 1), "max_active_tasks": 16}
PROJECT = "6b0000000000000000000000"
CLUSTERS = f"/api/atlas/v2/groups/{PROJECT}/clusters"
ACCEPT = "application/vnd.atlas.2025-03-12+json"


@task
def names(prefix: str, **context: Any) -> list[str]:
    return [f"{prefix}cluster-{number}" for number in range(context["dag_run"].conf["size"])]


@dag(**FLEET)
def waits() -> None:
    """No task of a pool without slots starts: ``benchmarks.waits`` puts them into the state deferred."""
    AtlasSensor.partial(
        task_id="wait", until={"paused": True}, atlas_conn_id="atlas_jobs", deferrable=True, pool="closed"
    ).expand(endpoint=names(f"{CLUSTERS}/"))


@dag(**FLEET)
def pauses() -> None:
    AtlasPauseClusterOperator.partial(
        task_id="pause", project_id=PROJECT, atlas_conn_id="atlas_jobs", deferrable=True
    ).expand(cluster_name=names(""))


@dag(**FLEET)
def loops() -> None:
    @task
    def pause(cluster_name: str) -> None:
        import time

        import requests

        conn = BaseHook.get_connection("atlas_loops")
        response = requests.post(
            f"{conn.host}/api/oauth/token",
            auth=(conn.login or "", conn.password or ""),
            data={"grant_type": "client_credentials"},
            timeout=60,
        )
        response.raise_for_status()
        headers = {"Authorization": f"Bearer {response.json()['access_token']}", "Accept": ACCEPT}
        url = f"{conn.host}{CLUSTERS}/{cluster_name}"
        requests.patch(url, headers=headers, json={"paused": True}, timeout=60).raise_for_status()
        while True:
            time.sleep(10)
            cluster = requests.get(url, headers=headers, timeout=60).json()
            if cluster["paused"] and cluster["stateName"] == "IDLE":
                break

    pause.expand(cluster_name=names(""))


for make in (waits, pauses, loops):
    make()
