"""A fleet of empty tasks."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from airflow.providers.common.compat.sdk import dag, task


@dag(schedule=None, start_date=datetime(2025, 1, 1))
def empty() -> None:
    @task
    def numbers(**context: Any) -> list[int]:
        return list(range(context["dag_run"].conf["size"]))

    @task(retries=0)
    def call(number: int) -> None:
        pass

    call.expand(number=numbers())


empty()
