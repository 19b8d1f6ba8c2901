"""Mapped tasks that get the deployment's token whenever the test names a moment, each time in a fresh process."""

from __future__ import annotations

import os
import time
from datetime import datetime
from multiprocessing.connection import Client
from typing import Any

from airflow.providers.common.compat.sdk import dag, task

from airflow_provider_atlas.hooks.service_account import AtlasServiceAccountHook


@dag(schedule=None, start_date=datetime(2025, 1, 1))
def rounds():
    @task
    def numbers(**context: Any) -> list[int]:
        return list(range(context["dag_run"].conf["workers"]))

    @task(retries=0)
    def work(number: int, **context: Any) -> None:
        # This loads every module, so that all processes of a round start at one moment. On 2.11 it also ends the task's
        # database session: the forks inherit no open connection.
        AtlasServiceAccountHook("atlas_modules").get_token()
        with Client(context["dag_run"].conf["address"], "AF_UNIX") as test:
            while order := test.recv():
                # A worker forks each task: no cache of one round is left in the next one.
                if child := os.fork():
                    os.waitpid(child, 0)
                    continue
                try:
                    test.send(get(*order))
                finally:
                    os._exit(0)

    work.expand(number=numbers())


def get(conn: str, start: float) -> str:
    """The token, or the error's type and text."""
    time.sleep(max(0.0, start - time.monotonic()))
    try:
        return AtlasServiceAccountHook(conn).get_token().value
    except Exception as error:  # noqa: BLE001 - the test shows it
        return f"{type(error).__name__}: {error}"


rounds()
