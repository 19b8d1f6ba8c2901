"""Each operator for Atlas's long-running work: mapped, as setup and as teardown, deferrable and not.

Each task has a cluster of its own, called ``<operator>-<role>``. The run's conf has the id of a snapshot.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from airflow.providers.common.compat.sdk import dag

from airflow_provider_atlas.operators import cluster
from airflow_provider_atlas.operators.api import AtlasOperator
from airflow_provider_atlas.operators.backup import (
    AtlasCreateSnapshotOperator,
    AtlasExportSnapshotOperator,
    AtlasRestoreSnapshotOperator,
)
from airflow_provider_atlas.operators.cluster import (
    AtlasPauseClusterOperator,
    AtlasResumeClusterOperator,
    AtlasUpdateClusterOperator,
)
from airflow_provider_atlas.operators.search import AtlasCreateSearchIndexOperator
from airflow_provider_atlas.sensors.api import AtlasSensor

cluster.SETTLES = 3.0  # IDLE of this sandbox is stale for a second
PROJECT = "6b0000000000000000000001"
CLUSTERS = f"/api/atlas/v2/groups/{PROJECT}/clusters"
SNAPSHOT = "{{ dag_run.conf['snapshot'] }}"
JOB = {"atlas_conn_id": "atlas_jobs", "poll_interval": 3, "max_wait": 300}
SENSOR = {"atlas_conn_id": "atlas_jobs", "poke_interval": 3, "timeout": 300}
MAPPED = {"mapped-deferred": True, "mapped-on-the-worker": False}


def place(name: str) -> dict[str, Any]:
    return {"project_id": PROJECT, "cluster_name": name}


def change(name: str) -> dict[str, Any]:
    protected = {"terminationProtectionEnabled": True}
    until = {**protected, "stateName": "IDLE"}
    return {"endpoint": f"{CLUSTERS}/{name}", "method": "PATCH", "json": protected, "until": until}


def restore(name: str) -> dict[str, Any]:
    target = {"target_project_id": PROJECT, "target_cluster_name": name, "confirm_target": name}
    return {**place("source"), "snapshot_id": SNAPSHOT, **target}


def export(name: str) -> dict[str, Any]:
    return {**place("source"), "snapshot_id": SNAPSHOT, "export_bucket_id": "6d0000000000000000000001"}


def index(name: str) -> dict[str, Any]:
    names = {"database": "a", "collection": "b", "index_name": "c"}
    return {**place(name), **names, "definition": {"mappings": {"dynamic": True}}}


#: The operator, its arguments for a cluster, and those that all its tasks have.
OPERATORS: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "pause": (AtlasPauseClusterOperator, place, JOB),
    "resume": (AtlasResumeClusterOperator, place, JOB),
    "update": (AtlasUpdateClusterOperator, lambda name: {**place(name), "json": {"pitEnabled": False}}, JOB),
    "snapshot": (AtlasCreateSnapshotOperator, lambda name: {**place(name), "description": "x"}, JOB),
    "restore": (AtlasRestoreSnapshotOperator, restore, JOB),
    "export": (AtlasExportSnapshotOperator, export, JOB),
    "index": (AtlasCreateSearchIndexOperator, index, JOB),
    "any": (AtlasOperator, change, JOB),
    "wait": (AtlasSensor, lambda name: {"endpoint": f"{CLUSTERS}/{name}", "until": {"paused": True}}, SENSOR),
}


@dag(schedule=None, start_date=datetime(2025, 1, 1), catchup=False)
def every_job() -> None:
    for number, (name, (kind, arguments, common)) in enumerate(OPERATORS.items()):
        each = [{**arguments(f"{name}-{role}"), "deferrable": deferrable} for role, deferrable in MAPPED.items()]
        kind.partial(task_id=f"{name}-mapped", **common).expand_kwargs(each)
        begin, end = (
            kind(task_id=f"{name}-{role}", deferrable=deferrable, **arguments(f"{name}-{role}"), **common)
            for role, deferrable in (("setup", number % 2 == 0), ("teardown", number % 2 == 1))
        )
        begin.as_setup() >> end.as_teardown(setups=begin)


@dag(schedule=None, start_date=datetime(2025, 1, 1), catchup=False)
def restore_that_is_cleared() -> None:
    """The sensor keeps the run going while the test clears the restore."""
    again = {"retries": 1, "retry_delay": timedelta(seconds=1)}
    AtlasRestoreSnapshotOperator(task_id="restore", deferrable=False, **restore("restore-cleared"), **JOB, **again)
    paused = {"endpoint": f"{CLUSTERS}/wait-cleared", "until": {"paused": True}}
    AtlasSensor(task_id="wait", deferrable=True, **paused, **SENSOR)


every_job()
restore_that_is_cleared()
