"""A task whose connection has a wrong client secret."""

from __future__ import annotations

from datetime import datetime

from airflow.providers.common.compat.sdk import dag, task

from airflow_provider_atlas.hooks.service_account import AtlasServiceAccountHook


@dag(schedule=None, start_date=datetime(2025, 1, 1))
def refused():
    @task(retries=0)
    def projects():
        return [project["name"] for project in AtlasServiceAccountHook("atlas_wrong").paginate("/api/atlas/v2/groups")]

    projects()


refused()
