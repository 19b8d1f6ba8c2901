"""Deployment scope and deferral with separate workers and triggerers, which share only a database and a broker."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

from tests.distributed.conftest import TRIGGERS
from tests.fleets.test_scopes import rotating, states


def tasks_per_worker(airflow) -> dict[str, int]:
    """How many tasks each worker has run, according to its output."""
    outputs = {path.stem: text for path, text in airflow.logs() if path.stem.startswith("celery-worker")}
    return {name: len(re.findall(rb"Task .* succeeded in", text)) for name, text in outputs.items()}


def test_120_tasks_on_two_workers_share_a_token(airflow, sandbox):
    run = airflow.run_dag("fleet_deployment", {"size": 120})
    counters = sandbox.counters
    print(f"\n120 tasks: {counters.token_requests} token requests, {run.duration:.0f} s, {tasks_per_worker(airflow)}")
    assert states(run) == {"success": 120}
    assert counters.token_requests <= 3
    assert counters.rate_limited == 0
    assert min(tasks_per_worker(airflow).values()) >= 10


def test_rotation_during_60_running_tasks_on_two_workers_fails_no_task(airflow, sandbox):
    sandbox.reset_counters()
    with rotating(airflow) as rotations:
        run = airflow.run_dag("fleet_deployment", {"size": 60, "seconds": 6})
    counters = sandbox.counters
    runs = len(rotations)
    print(f"\n{runs} rotations during 60 tasks: {counters.token_requests} token requests, {run.duration:.0f} s")
    assert states(run) == {"success": 60}
    assert set(rotations) == {"success"}
    assert runs >= 1  # how many depends on the speed of the machine
    assert counters.token_requests <= runs + 1  # one more if the store was empty
    assert counters.rate_limited == 0
    assert counters.active <= 2


def test_deferred_tasks_get_their_tokens_from_two_triggerers_with_a_gate_each(airflow, slow_sandbox):
    size = 2 * (TRIGGERS + 2)
    run = airflow.run_dag("wait_deferred", {"size": size, "conn": "atlas_slow"})
    waited = [path.name for path, _ in airflow.logs() if ".trigger." in path.name]
    triggerers = {name.partition(".trigger.")[2] for name in waited}
    counters = slow_sandbox.counters
    print(f"\n{size} tasks: {len(waited)} deferred, {counters.token_requests} token requests, {run.duration:.0f} s")
    assert states(run) == {"success": size}
    assert len(waited) > TRIGGERS
    assert len(triggerers) == 2


def test_logs_and_process_arguments_hold_no_password_and_no_token(airflow, services, sandbox, slow_sandbox):
    secrets = [services.password]
    for box in (sandbox, slow_sandbox):
        secrets += [box.client_secret, *box.issued]
    texts = [text for _, text in airflow.logs()]
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            texts.append(path.read_bytes())
    assert not [secret[:4] for secret in secrets for text in texts if secret.encode() in text]
