"""Fleets of pods that all make their first request at one moment, as after a deploy. The run's conf has the size."""

from __future__ import annotations

import tempfile
import time
from datetime import datetime
from pathlib import Path
from typing import Any

from airflow.providers.common.compat.sdk import dag, task

from airflow_provider_atlas.hooks.service_account import AtlasServiceAccountHook
from airflow_provider_atlas.operators.token import GenerateTokenOperator, RevokeTokenOperator

FLEET: dict[str, Any] = {"schedule": None, "start_date": datetime(2025, 1, 1), "max_active_tasks": 32}
CONN = "{{ dag_run.conf['conn'] }}"


@task
def numbers(**context: Any) -> list[int]:
    return list(range(context["dag_run"].conf["size"]))


def call_when_all_are_there(conf: dict[str, Any], **kwargs: Any) -> None:
    """Wait for the other pods; the directory above the pod's own is the one thing that they share here."""
    start = Path(tempfile.gettempdir()).parent / f"start-{conf['conn']}"
    start.mkdir(exist_ok=True)
    tempfile.mkstemp(dir=start)
    while len(list(start.iterdir())) < conf["size"]:
        time.sleep(0.1)
    AtlasServiceAccountHook(conf["conn"], **kwargs).run("/api/atlas/v2/groups")


@dag(**FLEET)
def in_task() -> None:
    @task(retries=0)
    def call(number: int, **context: Any) -> None:
        call_when_all_are_there(context["dag_run"].conf)

    call.expand(number=numbers())


@dag(**FLEET)
def in_deployment() -> None:
    @task(retries=0)
    def call(number: int, **context: Any) -> None:
        call_when_all_are_there(context["dag_run"].conf, cache_scope="deployment")

    call.expand(number=numbers())


@dag(**FLEET)
def in_run() -> None:
    @task(retries=0)
    def call(number: int, token: str, **context: Any) -> None:
        call_when_all_are_there(context["dag_run"].conf, token=token)

    generate = GenerateTokenOperator(task_id="generate", atlas_conn_id=CONN)
    token = generate.output["token"]  # type: ignore[index]
    revoke = RevokeTokenOperator(task_id="revoke", token=token, atlas_conn_id=CONN)
    setup = generate.as_setup()  # type: ignore[no-untyped-call]
    setup >> call.partial(token=token).expand(number=numbers()) >> revoke.as_teardown(setups=generate)


for make in (in_task, in_deployment, in_run):
    make()
