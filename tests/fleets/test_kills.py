"""
A ``kill -9`` at each step of a rotation: the store's guarantees must hold for what a crash leaves behind.

Run as a module, this file is the driver. It forks workers that run the example DAG with ``dag.test()``, with the
Variables of a real metadata database. Before and after each step that others can see, a worker reports the step and
waits for a command: continue, or kill. It kills itself, so that the kill happens exactly at this step.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import select
import signal
import subprocess
import sys

import pytest
from cryptography.fernet import Fernet

from airflow_provider_atlas.cache import claim, deployment
from airflow_provider_atlas.cache.deployment import SharedToken
from airflow_provider_atlas.cache.variables import Variables
from airflow_provider_atlas.oauth.account import ServiceAccount
from airflow_provider_atlas.oauth.client import TokenClient
from airflow_provider_atlas.sandbox import Sandbox
from harness import processes
from harness.airflow import EXAMPLES
from harness.database import Sqlite
from harness.settings import environment
from tests.fleets.conftest import ROOT


def drive() -> None:
    """Fork a worker, and another after each one that is killed, until one ends by itself."""
    from example_dags.atlas_token_rotation import atlas_token_rotation

    # Airflow logs to the standard output, which is for the reports of the workers.
    reports = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    # With the default pauses the tests would mostly wait until the claims of killed workers are stale.
    claim.PAUSE, claim.STALE = 0.05, 1.0
    deployment.FIRST_POLL = deployment.LAST_POLL = 0.05
    deployment.STORE_TIME = 2.0
    for owner, name in ((Variables, "write"), (Variables, "remove"), (TokenClient, "_post")):
        _stop_around(owner, name, reports)
    with contextlib.suppress(ImportError):  # 2.11 has no such server
        import httpx
        from airflow.sdk.execution_time.supervisor import in_process_api_server

        # The first request takes seconds to set the server up. After the fork every worker would do that again.
        api = in_process_api_server().atransport
        asyncio.run(httpx.AsyncClient(transport=api, base_url="http://driver").get("/"))
    dag = atlas_token_rotation()
    while pid := os.fork():
        if os.waitpid(pid, 0)[1] != signal.SIGKILL:
            return
    print("ready", file=reports)
    while sys.stdin.readline() == "rotate\n":
        print("ended", dag.test().state, file=reports)
    os._exit(0)


def _stop_around(owner, name, reports) -> None:
    step = getattr(owner, name)

    def stop(when, what) -> None:
        # A Variable's name ends in the account's fingerprint.
        print(when, name, what.rpartition("_")[0] or what, file=reports)
        if sys.stdin.readline() != "continue\n":
            os.kill(os.getpid(), signal.SIGKILL)

    def stopping(self, what, *args, **kwargs):
        stop("before", what)
        result = step(self, what, *args, **kwargs)
        stop("after", what)
        return result

    setattr(owner, name, stopping)


class Driver:
    """The driver as the test sees it, with the deployment's store that its workers write."""

    def __init__(self, home, sandbox) -> None:
        account = ServiceAccount(sandbox.client_id, sandbox.client_secret, sandbox.url)
        self._deployment = SharedToken(account, self, pytest.fail, pytest.fail, max_wait=0)
        self._key = Fernet.generate_key()
        self._database, self._log = Sqlite(home / "airflow.db"), home / "driver.log"
        nowhere = "http://127.0.0.1:1"  # dag.test() has the execution API in its own process
        settings = environment(home, EXAMPLES, url=nowhere, fernet_key=self._key.decode(), slots=1)
        # A worker that makes no progress ends by itself, even if the test that started it has ended.
        # A holder that was killed holds the others up for as long as two time-outs last.
        conn = sandbox.connection | {"extra": {"max_wait": 30, "timeout": 2}}
        env = settings | self._database.environment | {"AIRFLOW_CONN_ATLAS_DEFAULT": json.dumps(conn)}
        with self._log.open("w") as log:
            migrate = [sys.executable, "-m", "airflow", "db", "migrate"]
            subprocess.run(migrate, env=env, stdout=log, stderr=log, check=True)
            self.process = subprocess.Popen(
                [sys.executable, "-m", __name__],
                cwd=ROOT,
                env=env,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                bufsize=1,
                start_new_session=True,
            )

    def rotate(self, kill_at=None) -> list[str]:
        """Run the DAG to its end, or kill its worker at this stop and wait for the next. Returns the stops passed."""
        stops = []
        self._send("rotate")
        while not (report := self.next_report()).startswith("ended"):
            stops.append(report)
            if kill_at == len(stops) - 1:
                self._send("kill")
                assert self.next_report() == "ready"
                return stops
            self._send("continue")
        assert report == "ended success", self._log.read_text()[-5000:]
        return stops

    def _send(self, what) -> None:
        self.process.stdin.write(f"{what}\n")

    def next_report(self) -> str:
        """The next report of a worker."""
        # A worker waits for a command after each report, so there is never a second one in the buffer.
        readable, _, _ = select.select([self.process.stdout], [], [], 90)
        line = self.process.stdout.readline() if readable else ""
        assert line, f"the driver sent no report within 90 s\n{self._log.read_text()[-5000:]}"
        return line.strip()

    def store(self) -> tuple[str, set[str]]:
        """The deployment's token, and all tokens in the store."""
        content = self._deployment.read()
        return content.token.value, {token.value for token in (content.token, *content.superseded)}

    def read(self, name) -> str:
        """A Variable, read from the database."""
        ((value,),) = self._database.query("SELECT val FROM variable WHERE key = ?", [name])
        return Fernet(self._key).decrypt(value).decode()


@pytest.fixture(scope="module")
def sandbox():
    with Sandbox(rate_limit=1000) as running:
        yield running


@pytest.fixture(scope="module")
def driver(sandbox, tmp_path_factory):
    running = Driver(tmp_path_factory.mktemp("airflow"), sandbox)
    try:
        assert running.next_report() == "ready"
        yield running
        running.process.stdin.close()
        assert running.process.wait(30) == 0
        assert processes.find({running.process.pid}) == []
    finally:
        processes.end({running.process.pid}, processes.AT_ONCE)
        running.process.wait()
        running.process.stdout.close()


def orphans_after_the_next_rotation(driver, sandbox, stored, killed) -> int:
    """Rotate, count the orphans, and expire them, so that each is counted once. None may have been in the store."""
    driver.rotate()
    current, held = driver.store()
    active = {token for token in sandbox.issued if sandbox.is_active(token)}
    orphans = active - {current}
    assert current in active, f"the store's token is not active after a kill {killed}"
    assert len(held) == 1, f"the store holds {len(held)} tokens after a kill {killed}"
    lost = len(orphans & stored)
    assert lost == 0, f"{lost} tokens that were in the store are still active after a kill {killed}"
    for orphan in orphans:
        sandbox.expire(orphan)
    return len(orphans)


def test_a_rotation_killed_at_any_step_is_completed_by_the_next_and_orphans_at_most_the_new_token(driver, sandbox):
    driver.rotate()  # the first has nothing to revoke
    stops, orphaning = driver.rotate(), []
    for number, stop in enumerate(stops):
        _, before = driver.store()
        assert driver.rotate(kill_at=number)[-1] == stop
        _, after = driver.store()
        orphaning += [stop] * orphans_after_the_next_rotation(driver, sandbox, before | after, stop)
    issued = sandbox.counters.issued
    print(f"\n{len(stops)} kills, each followed by a rotation: {len(orphaning)} orphans {orphaning}, {issued} tokens")
    assert orphaning == ["after _post token", "before write atlas_access_token"]


def test_one_rotation_completes_all_rotations_that_were_killed_before_it(driver, sandbox):
    driver.rotate()
    steps, stored = driver.rotate()[::2], set()  # the stop after a step is the stop before the next
    for number in range(len(steps)):
        driver.rotate(kill_at=2 * number)
        stored |= driver.store()[1]
    orphans = orphans_after_the_next_rotation(driver, sandbox, stored, steps)
    print(f"\n{len(steps)} kills, then one rotation: {orphans} orphan, {len(stored)} tokens were in the store")
    assert orphans == 1


if __name__ == "__main__":
    drive()
