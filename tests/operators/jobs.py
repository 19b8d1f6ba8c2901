"""Runs a job operator to its end against the sandbox, deferred or not, on a clock that only tests move."""

from __future__ import annotations

import asyncio
import json
import time
from types import SimpleNamespace
from typing import Any

from airflow.providers.common.compat.sdk import TaskDeferred

from airflow_provider_atlas.api import calls, session
from airflow_provider_atlas.hooks import watch
from airflow_provider_atlas.operators import base, job
from airflow_provider_atlas.triggers import job as trigger
from airflow_provider_atlas.triggers.job import AtlasJobTrigger

PROJECT = "6b0000000000000000000000"
CLUSTERS = f"/api/atlas/v2/groups/{PROJECT}/clusters"
MODULES = (base, job, watch, trigger, calls, session)


def on_clock(clock, sandbox, monkeypatch) -> None:
    """Let the sandbox, the operators and the trigger use one clock. Nothing sleeps."""
    clock.now = time.time()
    ours = SimpleNamespace(time=clock, monotonic=clock, sleep=clock.sleep)
    for module in MODULES:
        monkeypatch.setattr(module, "time", ours)

    async def sleep_until(moment: float, longest: float) -> None:
        clock.now = max(clock.now, moment)

    monkeypatch.setattr(trigger, "sleep_until", sleep_until)
    sandbox.clock, sandbox.token_life, sandbox.token_cap = clock, 86_000, 10**6
    sandbox.rate_limit = 10**6
    sandbox.change_seconds, sandbox.stale_seconds, sandbox.job_seconds = 120.0, 5.0, 300.0


class Ti:
    """What the operators read of a task instance."""

    dag_id, run_id = "dag", "manual__1"

    def __init__(self, task, *, try_number: int = 1, max_tries: int | None = None, map_index: int = -1) -> None:
        self.task = task
        self.task_id = task.task_id
        self.try_number = try_number
        self.max_tries = task.retries if max_tries is None else max_tries
        self.map_index = map_index
        self.xcoms: dict[str, Any] = {}

    def xcom_push(self, key, value) -> None:
        json.dumps(value)
        self.xcoms[key] = value


def context_of(task, **kwargs) -> dict[str, Any]:
    from datetime import UTC, datetime

    started, notes = kwargs.pop("run_started", None) or job.time.time() - 5, kwargs.pop("notes", None)
    return {
        "ti": Ti(task, **kwargs),
        "dag_run": SimpleNamespace(start_date=datetime.fromtimestamp(started, UTC)),
        **({} if notes is None else {"task_state_store": notes}),
    }


class Notes(dict[str, Any]):
    """Airflow's store of a task instance's notes, which outlive its tries and its clears (3.3)."""

    def set(self, key: str, value: Any) -> None:
        self[key] = json.loads(json.dumps(value))


def fire(deferred: TaskDeferred) -> Any:
    """Run the trigger of a deferral as a triggerer would, from what the database holds of it."""
    path, kwargs = deferred.trigger.serialize()
    assert path.endswith("AtlasJobTrigger")

    async def run() -> list[Any]:
        return [event.payload async for event in AtlasJobTrigger(**json.loads(json.dumps(kwargs))).run()]

    (event,) = asyncio.run(run())
    return json.loads(json.dumps(event))


class Killed(BaseException):
    """SIGTERM, in the middle of a wait."""


def kill(task, clock, monkeypatch, after: float) -> None:
    """Run a task on the worker, and kill it once it has waited for some seconds."""
    sleep, began = clock.sleep, clock.now

    def interrupted(seconds: float) -> None:
        sleep(seconds)
        if clock.now - began >= after:
            raise Killed

    monkeypatch.setattr(job.time, "sleep", interrupted)
    try:
        run(task)
    except Killed:
        task.on_kill()
    else:
        raise AssertionError("The task ended before it was killed")


def run(task, context=None, seen: list[Any] | None = None) -> Any:
    """Run a task through all its deferrals. ``seen`` gets each deferral's arguments and event."""
    context = context_of(task) if context is None else context
    step = lambda: task.execute(context)  # noqa: E731
    for _ in range(200):
        try:
            return step()
        except TaskDeferred as deferred:
            assert deferred.timeout.total_seconds() > 0
            event = fire(deferred)
            if seen is not None:
                seen += [deferred.trigger.serialize()[1], event]
            step = lambda event=event, name=deferred.method_name: getattr(task, name)(context, event)  # noqa: E731
    raise AssertionError("The task defers without end")
