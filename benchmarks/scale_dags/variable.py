"""A fleet whose tasks read the connection, and a token that somebody else keeps in a Variable, in plain text."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from airflow.providers.common.compat.sdk import BaseHook, Variable, dag, task


@dag(schedule=None, start_date=datetime(2025, 1, 1))
def variable() -> None:
    @task
    def numbers(**context: Any) -> list[int]:
        return list(range(context["dag_run"].conf["size"]))

    @task(retries=0)
    def call(number: int, **context: Any) -> None:
        import requests

        conf = context["dag_run"].conf
        conn = BaseHook.get_connection(conf["conn"])
        token = Variable.get(f"token_{conf['conn']}")
        headers = {"Accept": "application/vnd.atlas.2025-03-12+json", "Authorization": f"Bearer {token}"}
        requests.get(f"{conn.host}/api/atlas/v2/groups", headers=headers, timeout=30).raise_for_status()

    call.expand(number=numbers())


variable()
