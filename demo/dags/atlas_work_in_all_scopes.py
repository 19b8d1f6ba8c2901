"""Tasks in each scope that call the Administration API for a while: the client secret is rotated beneath them."""

from __future__ import annotations

import time
from datetime import datetime

from airflow.providers.common.compat.sdk import dag, task

from airflow_provider_atlas.hooks.service_account import AtlasServiceAccountHook
from airflow_provider_atlas.operators.token import GenerateTokenOperator, RevokeTokenOperator

SECONDS = 45.0


def call_for(seconds: float, **arguments: str) -> int:
    hook = AtlasServiceAccountHook(**arguments)
    end, calls = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        hook.run("/api/atlas/v2/groups")
        calls += 1
        time.sleep(1)
    return calls


@dag(schedule=None, start_date=datetime(2025, 1, 1), default_args={"retries": 0}, tags=["atlas", "demo"])
def atlas_work_in_all_scopes() -> None:
    generate = GenerateTokenOperator(task_id="generate")
    revoke = RevokeTokenOperator(task_id="revoke", token=generate.output["token"])

    @task
    def in_scope(scope: str) -> int:
        return call_for(SECONDS, cache_scope=scope)

    @task
    def in_run(token: str) -> int:
        return call_for(SECONDS, token=token)

    in_scope.expand(scope=["task", "task", "deployment", "deployment"])
    generate.as_setup() >> in_run(generate.output["token"]) >> revoke.as_teardown(setups=generate)


atlas_work_in_all_scopes()
