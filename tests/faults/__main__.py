"""
Kills, faults of Atlas and pauses of the database, under a real Airflow with Celery, Redis and PostgreSQL.

Run ``make test-faults``, or ``python -m tests.faults --seed 1 --rounds 10``. In each round, fleets in deployment scope,
fleets in DAG run scope and rotations of the deployment's token run while Atlas fails at random. A worker, the
triggerer, the scheduler and the API server are killed twice each, with all their child processes, and the database is
stopped once. After the round, the end of every try of every task is classified, and a rotation without faults shows
which tokens are left. The counts go to ``docs/measured/faults.md``. The exit status is 1 if a guarantee was broken.

With ``--slow`` most faults are responses after 14 s, which is longer than a claim without a holder's statement lasts.

Airflow is configured to detect killed processes within 20 s instead of 300, so that a round takes four minutes.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from random import Random

import pytest
from cryptography.fernet import Fernet

from airflow_provider_atlas.cache.deployment import SharedToken
from airflow_provider_atlas.cache.sealing import unseal
from airflow_provider_atlas.oauth.account import ServiceAccount
from airflow_provider_atlas.oauth.token import fingerprint
from airflow_provider_atlas.sandbox import Sandbox
from harness.airflow import PrivateAirflow, with_examples
from harness.commands import AirflowFailed
from harness.services import Services
from tests.faults.outcomes import is_breach, outcome
from tests.fleets.conftest import ROOT

ROTATION = "atlas_token_rotation"
#: DAG and conf of the runs that begin before each disturbance.
WORK = (
    ("fleet_run", {"size": 2}),
    ("fleet_deployment", {"size": 5, "seconds": 8}),
    (ROTATION, {}),
    ("fleet_run", {"size": 2}),
)
PROCESSES = ("worker", "triggerer", "scheduler", "api-server")
DEADLINE = 300.0
"""Seconds after the last disturbance in which all work of the round must end."""
FAULTS = {
    "500": {},
    "503": {"status": 503, "headers": {"Retry-After": "2"}},
    "429": {"status": 429, "headers": {"Retry-After": "12"}},
    "reset": {"kind": "drop"},
    "garbage": {"status": 200, "body": b"\x00\xff<html>{"},
    "silence": {"kind": "silence", "seconds": 8.0},
}
SLOW = {"kind": "silence", "seconds": 14.0}
DETECT_SOON = {
    "CORE__DEFAULT_TASK_RETRIES": 2,
    "CORE__DEFAULT_TASK_RETRY_DELAY": 3,
    "OPERATORS__DEFAULT_DEFERRABLE": True,
    "CELERY__WORKER_CONCURRENCY": 5,
    "CELERY_BROKER_TRANSPORT_OPTIONS__VISIBILITY_TIMEOUT": 60,
    "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": 20,
    "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": 5,
    "SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": 10,
    "SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": 15,
    "SCHEDULER__TASK_QUEUED_TIMEOUT": 30,
    "SCHEDULER__TASK_QUEUED_TIMEOUT_CHECK_INTERVAL": 5,
    "TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": 15,
    "TRIGGERER__JOB_HEARTBEAT_SEC": 2,
}


class Driver:
    """Rounds of work and disturbances, and the counts of their results."""

    def __init__(
        self, airflow: PrivateAirflow, services: Services, sandbox: Sandbox, seed: int, slow: bool = False
    ) -> None:
        self.kills: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()
        self.ends: Counter[str] = Counter()
        self.tokens: Counter[str] = Counter()
        self.breaches: list[str] = []
        self.hit = {"running": 0, "deferred": 0}
        self.pauses = 0
        self._airflow, self._services, self._sandbox = airflow, services, sandbox
        self._random, self._seed = Random(seed), seed  # noqa: S311 - repeatable, not for security
        self._account = ServiceAccount(sandbox.client_id, sandbox.client_secret, sandbox.url)
        self._store = SharedToken(self._account, self, pytest.fail, pytest.fail, max_wait=0)
        self._known = FAULTS | ({"silence": SLOW} if slow else {})
        self._drawn = [*sorted(FAULTS), *(["silence"] * 6 if slow else [])]

    def round(self, number: int) -> None:
        runs = []
        with self._failing_atlas(number):
            disturbances = (*PROCESSES, *PROCESSES, "database")
            for what in self._random.sample(disturbances, len(disturbances)):
                if what == "triggerer":
                    self._fail("token", "429", times=3)
                runs += [(dag_id, self._airflow.trigger(dag_id, conf)) for dag_id, conf in WORK]
                self._await_work("deferred" if what == "triggerer" else "running")
                time.sleep(self._random.uniform(0, 8))
                self._disturb(what)
        deadline = time.monotonic() + DEADLINE
        for dag_id, run_id in runs:
            with contextlib.suppress(AirflowFailed):  # its tasks are counted as not ended
                self._airflow.wait(dag_id, run_id, deadline - time.monotonic())
        for dag_id, run_id in runs:
            self._classify_tasks(number, dag_id, run_id)
        self._classify_tokens(number, [run_id for dag_id, run_id in runs if dag_id == "fleet_run"])

    def _await_work(self, state: str) -> None:
        """Wait until there is something to disturb, but not for long: Airflow may be slow, or Atlas may fail."""
        deadline = time.monotonic() + 20
        while not self._count(state) and time.monotonic() < deadline:
            time.sleep(0.2)

    def _count(self, state: str) -> int:
        return len(self._airflow.query("SELECT 1 FROM task_instance WHERE state = ?", (state,)))

    def _disturb(self, what: str) -> None:
        if what == "database":
            self.pauses += 1
            self._services.pause_database(self._random.uniform(2, 10))
            return
        self.kills[what] += 1
        for state in self.hit:
            self.hit[state] += self._count(state)
        role = self._random.choice(("celery-worker", "celery-worker.2")) if what == "worker" else what
        self._airflow.components.kill(role)
        time.sleep(self._random.uniform(0, 4))
        self._airflow.components.restart(role, 120)

    @contextlib.contextmanager
    def _failing_atlas(self, number: int):
        stop = threading.Event()

        def fail() -> None:
            chance = Random(f"{self._seed} {number}")  # noqa: S311 - as above
            before = self._sandbox.counters.faults
            while not stop.wait(chance.uniform(0.3, 1.5)):
                # Faults that are not used up in this round would hit the rotation without faults.
                if sum(self.faults.values()) - begun < self._sandbox.counters.faults - before + 6:
                    self._fail(chance.choice(("token", "token", "revoke", "api")), chance.choice(self._drawn))

        begun = sum(self.faults.values())
        thread = threading.Thread(target=fail)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def _fail(self, endpoint: str, name: str, times: int = 1) -> None:
        fault = self._known[name]
        if endpoint == "revoke" and name == "garbage":  # a 200 would report a revocation that did not happen
            fault = fault | {"status": 502}
        self.faults[name] += times
        self._sandbox.fail_next(endpoint, times, **fault)

    def _classify_tasks(self, number: int, dag_id: str, run_id: str) -> None:
        logs = {path: text for path, text in self._airflow.logs() if f"run_id={run_id}" in path.parts}
        where = "dag_id = ? AND run_id = ?"
        tasks = f"SELECT task_id, map_index, try_number, state FROM task_instance WHERE {where}"
        for task_id, map_index, tries, state in self._airflow.query(tasks, (dag_id, run_id)):
            mine = {f"task_id={task_id}", f"map_index={map_index}"} if map_index >= 0 else {f"task_id={task_id}"}
            audit = f"SELECT event, extra FROM log WHERE {where} AND task_id = ? AND map_index = ?"
            events = [
                " ".join(map(str, row)) for row in self._airflow.query(audit, (dag_id, run_id, task_id, map_index))
            ]
            for attempt in range(1, max(tries, 1) + 1):
                log = b"\n".join(
                    text
                    for path, text in sorted(logs.items())
                    if mine <= set(path.parts) and path.name.startswith(f"attempt={attempt}.")
                )
                end = outcome(state if attempt == max(tries, 1) else "failed", log, events)
                self.ends[end] += 1
                if is_breach(end):
                    self.breaches.append(f"round {number}: {dag_id} {task_id} {map_index} try {attempt}: {end}")
                    print(self.breaches[-1], *events, log.decode(errors="replace")[-3000:], sep="\n")

    def _classify_tokens(self, number: int, run_ids: list[str]) -> None:
        """Rotate without faults. Each token that is active then, except the deployment's, needs an explanation."""
        for _ in range(3):  # a fault may be left for the next request
            if self._airflow.run_dag(ROTATION, timeout=DEADLINE).state == "success":
                break
        current = self._store.read().token
        active = {token for token in self._sandbox.issued if self._sandbox.is_active(token)}
        if current is None or current.value not in active:
            self.breaches.append(f"round {number}: the deployment's token is not active")
        left = active - {current.value if current else ""}
        logs = b"\n".join(text for _, text in self._airflow.logs() if b" its own" in text or b" of its own" in text)
        given = {value: run_id for run_id in run_ids for value in self._given(run_id)}
        for token in left:
            if token in given:
                why = "given to other tasks, and the task that should revoke it failed"
                if self._revoke_states(given[token]) == {"success"}:
                    self.breaches.append(f"round {number}: a revoke task succeeded, but its token is active")
            elif fingerprint(token).encode() in logs:
                why = "a task's own while the store was unavailable, as its log says"
            else:
                why = "orphaned by a kill"
            self.tokens[why] += 1
            self._sandbox.expire(token)  # so that it is counted once

    def _given(self, run_id: str) -> list[str]:
        sql = "SELECT value FROM xcom WHERE dag_id = 'fleet_run' AND key = 'token' AND run_id = ?"
        return [unseal(self._account, row["value"]).value for row in self._airflow.query(sql, (run_id,))]

    def _revoke_states(self, run_id: str) -> set[str]:
        sql = "SELECT state FROM task_instance WHERE dag_id = 'fleet_run' AND task_id = 'revoke' AND run_id = ?"
        return {row["state"] for row in self._airflow.query(sql, (run_id,))}

    def read(self, name: str) -> str | None:
        """A Variable, read from the database: the driver is a store for `SharedToken`."""
        rows = self._airflow.query("SELECT val FROM variable WHERE key = ?", (name,))
        return Fernet(self._airflow.fernet_key).decrypt(rows[0]["val"]).decode() if rows else None

    def table(self) -> str:
        """The counts as Markdown."""
        orphans, kills = self.tokens["orphaned by a kill"], sum(self.kills.values())
        if orphans > kills:
            self.breaches.append(f"{orphans} orphans after {kills} kills")
        lines = [("event", "count")]
        lines += [(f"`kill -9`: {name}", self.kills[name]) for name in PROCESSES]
        lines += [(f"tasks {state} at these moments", count) for state, count in self.hit.items()]
        lines += [("database stopped for 2 to 10 s", self.pauses)]
        lines += [(f"fault of Atlas: {name}", self.faults[name]) for name in FAULTS]
        lines += [(f"tries of tasks: {name}", count) for name, count in self.ends.most_common()]
        lines += [("tokens issued", len(self._sandbox.issued))]
        lines += [(f"tokens not revoked: {name}", count) for name, count in self.tokens.most_common()]
        lines += [("guarantees broken", len(self.breaches))]
        rows = [f"| {what} | {count} |\n" for what, count in lines]
        return "".join([rows[0], "|---|---|\n", *rows[1:]])


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__.partition("\n\n")[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=10, help="each kills every process twice")
    parser.add_argument("--slow", action="store_true", help="most faults are responses after 14 s")
    parser.add_argument("--write", type=Path, help="file for the counts")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as dags,
        Services() as services,
        Sandbox(rate_limit=10, window=6.0, token_cap=100) as sandbox,
    ):
        extra = {"max_wait": 60, "timeout": 20} if options.slow else {"max_wait": 45, "timeout": 5}
        detection = {f"AIRFLOW__{name}": str(value) for name, value in DETECT_SOON.items()}
        with PrivateAirflow(
            with_examples(ROOT / "tests" / "fleets" / "dags", Path(dags)),
            connections={"atlas_default": sandbox.connection | {"extra": extra}},
            environment=detection,
            database=services,
            slots=10,
            celery_workers=2,
        ) as airflow:
            driver = Driver(airflow, services, sandbox, options.seed, options.slow)
            for number in range(1, options.rounds + 1):
                started = time.monotonic()
                driver.round(number)
                print(f"round {number}: {time.monotonic() - started:.0f} s, {dict(driver.ends)}", flush=True)
    table = driver.table()
    print(table, *driver.breaches, sep="\n")
    if options.write:
        options.write.write_text(table)
    return 1 if driver.breaches else 0


if __name__ == "__main__":
    sys.exit(main())
