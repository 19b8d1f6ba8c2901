"""Two fleets whose tasks read the connection and make one request with a token that somebody else has requested.

The run's conf has it at hand, or a Variable keeps it in plain text.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from airflow.providers.common.compat.sdk import BaseHook, Variable, dag, task


def fleet(name: str, *, stored: bool) -> None:
    @dag(name, schedule=None, start_date=datetime(2025, 1, 1))
    def bare() -> None:
        @task
        def numbers(**context: Any) -> list[int]:
            return list(range(context["dag_run"].conf["size"]))

        @task(retries=0)
        def call(number: int, **context: Any) -> None:
            import requests

            conf = context["dag_run"].conf
            conn = BaseHook.get_connection(conf["conn"])
            token = Variable.get(f"token_{conf['conn']}") if stored else conf["at_hand"]
            headers = {"Accept": "application/vnd.atlas.2025-03-12+json", "Authorization": f"Bearer {token}"}
            requests.get(f"{conn.host}/api/atlas/v2/groups", headers=headers, timeout=30).raise_for_status()

        call.expand(number=numbers())

    bare()


fleet("bare", stored=False)
fleet("variable", stored=True)
