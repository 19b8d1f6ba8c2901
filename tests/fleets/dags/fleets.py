"""Fleets of mapped tasks that all call the Administration API, one DAG per scope. The size is in the run's conf."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Any

from airflow.providers.common.compat.sdk import dag, task

from airflow_provider_atlas.hooks.service_account import AtlasServiceAccountHook
from airflow_provider_atlas.operators.token import GenerateTokenOperator, RevokeTokenOperator

GROUPS = "/api/atlas/v2/groups"


class Reading(AtlasServiceAccountHook):
    """Prints each read of the connection."""

    @classmethod
    def get_connection(cls, conn_id: str) -> Any:
        print(f"Reads {conn_id}")
        return super().get_connection(conn_id)


@task
def numbers(**context: Any) -> list[int]:
    return list(range(context["dag_run"].conf["size"]))


@dag(schedule=None, start_date=datetime(2025, 1, 1), max_active_tasks=16)
def fleet_deployment():
    @task(retries=0)
    def call(number: int, **context: Any) -> int:
        conf = context["dag_run"].conf
        hook = Reading(conf.get("conn", "atlas_default"), cache_scope=conf.get("scope", "deployment"))
        end = time.monotonic() + conf.get("seconds", 0)
        found = len(hook.run(GROUPS)["results"])
        while time.monotonic() < end:
            found = len(hook.run(GROUPS)["results"])
            time.sleep(0.2)
        return found

    call.expand(number=numbers())


@dag(schedule=None, start_date=datetime(2025, 1, 1), max_active_tasks=16)
def fleet_run():
    generate = GenerateTokenOperator(task_id="generate")

    @task(retries=0)
    def call(number: int, token: str) -> int:
        return len(AtlasServiceAccountHook(token=token).run(GROUPS)["results"])

    calls = call.partial(token=generate.output["token"]).expand(number=numbers())
    revoke = RevokeTokenOperator(task_id="revoke", token=generate.output["token"])
    generate.as_setup() >> calls >> revoke.as_teardown(setups=generate)


@dag(schedule=None, start_date=datetime(2025, 1, 1), max_active_tasks=16)
def fleet_task():
    @task(retries=0)
    def call(number: int) -> int:
        return len(AtlasServiceAccountHook("atlas_crowd").run(GROUPS)["results"])

    call.expand(number=numbers())


fleet_deployment()
fleet_run()
fleet_task()
