"""Tasks in each scope that call the Administration API for some seconds, and the rotation of their client secret."""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from typing import Any

from airflow.providers.common.compat.sdk import dag, task

from airflow_provider_atlas.hooks.service_account import AtlasServiceAccountHook
from airflow_provider_atlas.operators.secret import RotateClientSecretOperator
from airflow_provider_atlas.operators.token import GenerateTokenOperator, RevokeTokenOperator
from airflow_provider_atlas.stores.airflow import AirflowStore

GROUPS = "/api/atlas/v2/groups"
NO_RETRIES = {"retries": 0}


def call_for(seconds: float, **kwargs: Any) -> int:
    hook = AtlasServiceAccountHook(**kwargs)
    end, calls = time.monotonic() + seconds, 0
    while calls == 0 or time.monotonic() < end:
        hook.run(GROUPS)
        calls += 1
        time.sleep(0.5)
    return calls


@task
def numbers(**context: Any) -> list[int]:
    return list(range(context["dag_run"].conf["size"]))


@dag(schedule=None, start_date=datetime(2025, 1, 1), max_active_tasks=4, default_args=NO_RETRIES)
def in_task():
    @task
    def call(number: int, **context: Any) -> int:
        return call_for(context["dag_run"].conf["seconds"])

    call.expand(number=numbers())


@dag(schedule=None, start_date=datetime(2025, 1, 1), max_active_tasks=4, default_args=NO_RETRIES)
def in_deployment():
    @task
    def call(number: int, **context: Any) -> int:
        return call_for(context["dag_run"].conf["seconds"], cache_scope="deployment")

    call.expand(number=numbers())


@dag(schedule=None, start_date=datetime(2025, 1, 1), max_active_tasks=4, default_args=NO_RETRIES)
def in_run():
    generate = GenerateTokenOperator(task_id="generate")

    @task
    def call(number: int, token: str, **context: Any) -> int:
        return call_for(context["dag_run"].conf["seconds"], token=token)

    calls = call.partial(token=generate.output["token"]).expand(number=numbers())
    revoke = RevokeTokenOperator(task_id="revoke", token=generate.output["token"])
    generate.as_setup() >> calls >> revoke.as_teardown(setups=generate)


@task
def connections(**context: Any) -> list[str]:
    return ["atlas_default"] * context["dag_run"].conf["size"]


@dag(schedule=None, start_date=datetime(2025, 1, 1), max_active_tasks=16, default_args=NO_RETRIES)
def deferred():
    GenerateTokenOperator.partial(task_id="call", deferrable=True, max_wait=600).expand(atlas_conn_id=connections())


@dag(schedule=None, start_date=datetime(2025, 1, 1), max_active_runs=1, default_args=NO_RETRIES)
def rotate_secret():
    lifetime = timedelta(days=90)
    RotateClientSecretOperator(
        task_id="rotate",
        store=AirflowStore("airflow_api"),
        org_id="{{ dag_run.conf['org_id'] }}",
        expires_after=lifetime,
        rotate_before=lifetime - timedelta(seconds=1),  # each run rotates
    )


in_task()
in_deployment()
in_run()
deferred()
rotate_secret()
