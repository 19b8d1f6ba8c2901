"""A fleet of tasks that each generate a token, and are deferred for as long as Atlas limits the rate."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from airflow.providers.common.compat.sdk import dag, task

from airflow_provider_atlas.operators.token import GenerateTokenOperator


@dag(schedule=None, start_date=datetime(2025, 1, 1))
def deferred() -> None:
    @task
    def connections(**context: Any) -> list[str]:
        return [context["dag_run"].conf["conn"]] * context["dag_run"].conf["size"]

    generate = GenerateTokenOperator.partial(task_id="call", deferrable=True, max_wait=7200, retries=0)
    generate.expand(atlas_conn_id=connections())


deferred()
