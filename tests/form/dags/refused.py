"""Tasks that fail because of their connection or their token, as the run's conf says."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from airflow.providers.common.compat.sdk import dag, task

from airflow_provider_atlas.hooks.service_account import AtlasServiceAccountHook


@dag(schedule=None, start_date=datetime(2025, 1, 1))
def refused():
    @task
    def cases(**context: Any) -> list[dict[str, Any]]:
        return context["dag_run"].conf["cases"]

    @task(retries=0)
    def projects(case: dict[str, Any]) -> int:
        return len(list(AtlasServiceAccountHook(case["conn"], token=case["token"]).paginate("/api/atlas/v2/groups")))

    projects.expand(case=cases())


refused()
