"""One fleet for each way of waiting for Atlas; the run's conf has the size and the connection."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from airflow.providers.common.compat.sdk import dag, task
from airflow.providers.http.operators.http import HttpOperator

from airflow_provider_atlas.operators.token import GenerateTokenOperator

FLEET: dict[str, Any] = {"schedule": None, "start_date": datetime(2025, 1, 1), "max_active_tasks": 16}


@task
def connections(**context: Any) -> list[str]:
    conf = context["dag_run"].conf
    return [conf["conn"]] * conf["size"]


@dag(**FLEET)
def empty() -> None:
    @task(retries=0)
    def call(conn_id: str) -> None:
        pass

    call.expand(conn_id=connections())


@dag(**FLEET)
def deferred() -> None:
    GenerateTokenOperator.partial(task_id="call", deferrable=True, max_wait=600, retries=0).expand(
        atlas_conn_id=connections()
    )


@dag(**FLEET)
def tenacity() -> None:
    @task(retries=0)
    def call(conn_id: str) -> str:
        import requests
        from airflow.providers.common.compat.sdk import BaseHook
        from tenacity import retry, stop_after_delay, wait_exponential

        conn = BaseHook.get_connection(conn_id)

        @retry(wait=wait_exponential(max=60), stop=stop_after_delay(600))
        def generate() -> str:
            answer = requests.post(
                f"{conn.host}/api/oauth/token",
                data={"grant_type": "client_credentials"},
                auth=(conn.login or "", conn.password or ""),
                timeout=30,
            )
            answer.raise_for_status()
            return str(answer.json()["access_token"])

        return generate()

    call.expand(conn_id=connections())


@dag(**FLEET)
def http_operator() -> None:
    HttpOperator.partial(
        task_id="call",
        endpoint="/api/oauth/token",
        data={"grant_type": "client_credentials"},
        retries=12,
        retry_delay=timedelta(seconds=15),
    ).expand(http_conn_id=connections())


empty()
deferred()
tenacity()
http_operator()
