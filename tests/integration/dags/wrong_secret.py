"""Wrong credentials in an operator and in a @task, both with retries left."""

from __future__ import annotations

from datetime import datetime

from airflow.providers.common.compat.sdk import dag, task

from airflow_provider_atlas.hooks.service_account import AtlasServiceAccountHook
from airflow_provider_atlas.operators.token import GenerateTokenOperator


@dag(schedule=None, start_date=datetime(2025, 1, 1), default_args={"retries": 2, "retry_delay": 0})
def wrong_secret():
    @task
    def in_a_task():
        AtlasServiceAccountHook("atlas_wrong").get_token()

    in_a_task()
    GenerateTokenOperator(task_id="in_an_operator", atlas_conn_id="atlas_wrong")


wrong_secret()
