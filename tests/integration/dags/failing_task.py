"""A task that fails between generate and revoke."""

from __future__ import annotations

from datetime import datetime

from airflow.providers.common.compat.sdk import dag, task

from airflow_provider_atlas.hooks.service_account import AtlasServiceAccountHook
from airflow_provider_atlas.operators.token import GenerateTokenOperator, RevokeTokenOperator


@dag(schedule=None, start_date=datetime(2025, 1, 1))
def failing_task():
    generate = GenerateTokenOperator(task_id="generate")

    @task
    def fail(token: str):
        AtlasServiceAccountHook(token=token).get_token()
        raise ValueError("this task was written to fail")

    revoke = RevokeTokenOperator(task_id="revoke", token=generate.output["token"])
    generate.as_setup() >> fail(generate.output["token"]) >> revoke.as_teardown(setups=generate)


failing_task()
