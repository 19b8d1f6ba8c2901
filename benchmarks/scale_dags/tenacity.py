"""A fleet as people write it: each task requests a token and waits for Atlas with tenacity."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from airflow.providers.common.compat.sdk import BaseHook, dag, task


@dag(schedule=None, start_date=datetime(2025, 1, 1))
def tenacity() -> None:
    @task
    def numbers(**context: Any) -> list[int]:
        return list(range(context["dag_run"].conf["size"]))

    @task(retries=0)
    def call(number: int, **context: Any) -> None:
        import requests
        from tenacity import retry, stop_after_delay, wait_exponential

        conn = BaseHook.get_connection(context["dag_run"].conf["conn"])

        @retry(wait=wait_exponential(max=60), stop=stop_after_delay(180))
        def generate() -> str:
            response = requests.post(
                f"{conn.host}/api/oauth/token",
                data={"grant_type": "client_credentials"},
                auth=(conn.login or "", conn.password or ""),
                timeout=30,
            )
            response.raise_for_status()
            return str(response.json()["access_token"])

        headers = {"Accept": "application/vnd.atlas.2025-03-12+json", "Authorization": f"Bearer {generate()}"}
        requests.get(f"{conn.host}/api/atlas/v2/groups", headers=headers, timeout=30).raise_for_status()

    call.expand(number=numbers())


tenacity()
