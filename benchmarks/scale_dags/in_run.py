"""A fleet in DAG run scope."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from airflow.providers.common.compat.sdk import dag, task

from airflow_provider_atlas.hooks.service_account import AtlasServiceAccountHook
from airflow_provider_atlas.operators.token import GenerateTokenOperator, RevokeTokenOperator

CONN = "{{ dag_run.conf['conn'] }}"


@dag(schedule=None, start_date=datetime(2025, 1, 1))
def in_run() -> None:
    @task
    def numbers(**context: Any) -> list[int]:
        return list(range(context["dag_run"].conf["size"]))

    @task(retries=0)
    def call(number: int, token: str, **context: Any) -> None:
        AtlasServiceAccountHook(context["dag_run"].conf["conn"], token=token).run("/api/atlas/v2/groups")

    generate = GenerateTokenOperator(task_id="generate", atlas_conn_id=CONN)
    token = generate.output["token"]  # type: ignore[index]
    revoke = RevokeTokenOperator(task_id="revoke", token=token, atlas_conn_id=CONN)
    setup = generate.as_setup()  # type: ignore[no-untyped-call]
    setup >> call.partial(token=token).expand(number=numbers()) >> revoke.as_teardown(setups=generate)


in_run()
