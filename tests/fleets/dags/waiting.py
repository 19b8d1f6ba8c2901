"""Mapped generate tasks at Atlas's rate limit: deferred, and with the retry policy."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from airflow.providers.common.compat.sdk import dag, task

from airflow_provider_atlas.hooks.service_account import AtlasServiceAccountHook
from airflow_provider_atlas.operators.token import GenerateTokenOperator
from airflow_provider_atlas.retry_policy import atlas_retry


@task
def connections(**context: Any) -> list[str]:
    conf = context["dag_run"].conf
    return [conf["conn"]] * conf["size"]


@dag(schedule=None, start_date=datetime(2025, 1, 1), max_active_tasks=16)
def wait_deferred():
    GenerateTokenOperator.partial(task_id="call", deferrable=True, max_wait=600, retries=0).expand(
        atlas_conn_id=connections()
    )


@dag(schedule=None, start_date=datetime(2025, 1, 1), max_active_tasks=16)
def wait_by_policy():
    @task(retries=8, **atlas_retry())
    def call(conn_id: str) -> str:
        return AtlasServiceAccountHook(conn_id, max_wait=0).get_token().fingerprint

    call.expand(conn_id=connections())


wait_deferred()
wait_by_policy()
