"""Replaces the client secret of a connection before it expires, once a week.

``rotate`` finishes or undoes what an earlier run left, deletes the old secret once nobody uses it, and creates and
stores a new one 30 days before the one in use expires. If there is nothing to do it is skipped, and ``verify`` with it.
Running tasks switch to the new secret by themselves.

It needs the extra ``airflow-api`` of this package, the Variable ``atlas_org_id``, and the connection ``airflow_api`` of
type ``http``: the URL of Airflow's API server, and login and password of a user who may edit connections. For
connections in a secrets manager, use its store instead.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow.providers.common.compat.sdk import dag, task

from airflow_provider_atlas.hooks.service_account import AtlasServiceAccountHook
from airflow_provider_atlas.operators.secret import RotateClientSecretOperator
from airflow_provider_atlas.stores.airflow import AirflowStore

ORG_ID = "{{ var.value.atlas_org_id }}"


@dag(
    schedule=timedelta(days=7),
    start_date=datetime(2025, 1, 1),
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 3, "retry_delay": timedelta(minutes=2)},
    tags=["atlas", "example"],
)
def atlas_secret_rotation() -> None:
    rotate = RotateClientSecretOperator(
        task_id="rotate",
        store=AirflowStore("airflow_api"),
        org_id=ORG_ID,
        expires_after=timedelta(days=90),
        rotate_before=timedelta(days=30),
    )

    @task
    def verify() -> int:
        with AtlasServiceAccountHook() as hook:  # with a new token, of the stored secret
            return len(hook.run("/api/atlas/v2/groups")["results"])

    rotate >> verify()


atlas_secret_rotation()
