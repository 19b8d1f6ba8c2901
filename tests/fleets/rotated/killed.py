"""One rotation for each connection, and kill -9 of the task's process at one step of its first try."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from airflow.providers.common.compat.sdk import dag, task

from airflow_provider_atlas.cache.variables import Variables
from airflow_provider_atlas.hooks import rotation
from airflow_provider_atlas.hooks.client_secrets import ClientSecrets
from airflow_provider_atlas.hooks.tokens import Tokens
from airflow_provider_atlas.operators.secret import RotateClientSecretOperator
from airflow_provider_atlas.stores.airflow import AirflowStore

#: What a rotation changes outside its process.
STEPS = (
    *((Variables, name) for name in ("write", "remove")),
    *((ClientSecrets, name) for name in ("create", "delete")),
    *((Tokens, name) for name in ("generate", "revoke")),
    *((AirflowStore, name) for name in ("check", "write")),
)

#: A killed run holds its claim for so many seconds, instead of 300.
rotation.HOLD, rotation.WRITE = 20.0, 5.0


def kill_at(number: int, when: str) -> None:
    """End this process before or after the step of that number."""
    done = iter(range(10_000))

    def die(step: str) -> None:
        print(f"Killed at step {number}, {when} {step}.", flush=True)
        os.kill(os.getpid(), signal.SIGKILL)

    def stepping(method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            strikes = next(done) == number
            if strikes and when == "before":
                die(method.__qualname__)
            result = method(*args, **kwargs)
            if strikes:
                die(method.__qualname__)
            return result

        return call

    for owner, name in STEPS:
        setattr(owner, name, stepping(getattr(owner, name)))


class Rotate(RotateClientSecretOperator):
    """:param kill: number of the step, and "before" or "after"."""

    def __init__(self, *, kill: tuple[int, str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.kill = kill

    def execute(self, context: Any) -> Any:
        if context["ti"].try_number == 1:
            kill_at(*self.kill)
        return super().execute(context)


@task
def kills(**context: Any) -> list[dict[str, Any]]:
    return context["dag_run"].conf["kills"]


@dag(schedule=None, start_date=datetime(2025, 1, 1), max_active_tasks=5)
def killed_rotations():
    Rotate.partial(
        task_id="rotate",
        store=AirflowStore("airflow_api"),
        org_id="{{ dag_run.conf['org_id'] }}",
        expires_after=timedelta(days=90),
        rotate_before=timedelta(days=60),
        retries=5,
        retry_delay=timedelta(seconds=1),
    ).expand_kwargs(kills())


killed_rotations()
