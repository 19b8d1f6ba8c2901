"""A fleet in deployment scope."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from airflow.providers.common.compat.sdk import dag, task

from airflow_provider_atlas.hooks.service_account import AtlasServiceAccountHook


@dag(schedule=None, start_date=datetime(2025, 1, 1))
def deployment() -> None:
    @task
    def numbers(**context: Any) -> list[int]:
        return list(range(context["dag_run"].conf["size"]))

    @task(retries=0)
    def call(number: int, **context: Any) -> None:
        hook = AtlasServiceAccountHook(context["dag_run"].conf["conn"], cache_scope="deployment")
        hook.run("/api/atlas/v2/groups")

    call.expand(number=numbers())


deployment()
