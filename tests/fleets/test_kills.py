"""
A kill -9 at each step of a rotation, because what the store promises is what a crash leaves behind.

Run as a module this file is the driver: it forks workers that run the example DAG with ``dag.test()``, on the Variables
of a real metadata database. Before and after each step that others can see, a worker says where it is and waits to be
told whether to go on or to die. It dies by its own hand, so that the kill is nowhere else than where it was wanted.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import select
import signal
import sqlite3
import subprocess
import sys

import pytest
from cryptography.fernet import Fernet

from airflow_provider_atlas.cache import claim
from airflow_provider_atlas.cache.deployment import SharedToken
from airflow_provider_atlas.cache.variables import Variables
from airflow_provider_atlas.oauth.account import ServiceAccount
from airflow_provider_atlas.oauth.client import TokenClient
from airflow_provider_atlas.sandbox import Sandbox
from harness import processes
from harness.airflow import EXAMPLES
from harness.settings import environment
from tests.fleets.conftest import ROOT


def drive() -> None:
    """Fork a worker, and another for each that is killed, until one comes to its end."""
    from example_dags.atlas_token_rotation import atlas_token_rotation

    # Airflow logs to the standard output, which is for what the workers say.
    says = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    # With the pauses as shipped the suite would mostly wait for claims of the dead to go stale.
    claim.PAUSE, claim.STALE, claim.POLL = 0.05, 1.0, 0.05
    for owner, name in ((Variables, "write"), (Variables, "remove"), (TokenClient, "_post")):
        _stop_around(owner, name, says)
    with contextlib.suppress(ImportError):  # 2.11 has no such server
        import httpx
        from airflow.sdk.execution_time.supervisor import in_process_api_server

        # The first request, whatever it is, builds for seconds what every worker would build again after the fork.
        api = in_process_api_server().atransport
        asyncio.run(httpx.AsyncClient(transport=api, base_url="http://driver").get("/"))
    dag = atlas_token_rotation()
    while pid := os.fork():
        if os.waitpid(pid, 0)[1] != signal.SIGKILL:
            return
    print("ready", file=says)
    while sys.stdin.readline() == "rotate\n":
        print("ended", dag.test().state, file=says)
    os._exit(0)


def _stop_around(owner, name, says) -> None:
    step = getattr(owner, name)

    def stop(when, what) -> None:
        # A Variable's name ends in the account's fingerprint.
        print(when, name, what.rpartition("_")[0] or what, file=says)
        if sys.stdin.readline() != "go\n":
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
        self._deployment = SharedToken(account, self, mint=pytest.fail, max_wait=0)
        self._key = Fernet.generate_key()
        self._database, self._log = home / "airflow.db", home / "driver.log"
        nowhere = "http://127.0.0.1:1"  # dag.test() has the execution API in its own process
        settings = environment(home, EXAMPLES, url=nowhere, fernet_key=self._key.decode(), slots=1)
        # A worker that gets nowhere ends by itself, even if the test that started it is gone.
        conn = sandbox.connection | {"extra": {"max_wait": 30}}
        env = settings | {"AIRFLOW_CONN_ATLAS_DEFAULT": json.dumps(conn)}
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
        """Run the DAG to its end, or kill its worker at this stop and wait for the next one; the stops on the way."""
        stops = []
        self._tell("rotate")
        while not (said := self.hear()).startswith("ended"):
            stops.append(said)
            if kill_at == len(stops) - 1:
                self._tell("die")
                assert self.hear() == "ready"
                return stops
            self._tell("go")
        assert said == "ended success", self._log.read_text()[-5000:]
        return stops

    def _tell(self, what) -> None:
        self.process.stdin.write(f"{what}\n")

    def hear(self) -> str:
        """The next that a worker says."""
        # It never says two things unasked, so that none hides in the buffer.
        said, _, _ = select.select([self.process.stdout], [], [], 90)
        line = self.process.stdout.readline() if said else ""
        assert line, f"the driver says nothing more\n{self._log.read_text()[-5000:]}"
        return line.strip()

    def store(self) -> tuple[str, set[str]]:
        """The deployment's token, and all that the store knows of."""
        content = self._deployment.read()
        return content.token.value, {token.value for token in (content.token, *content.superseded)}

    def read(self, name) -> str:
        """A Variable, past Airflow."""
        with contextlib.closing(sqlite3.connect(self._database)) as database:
            ((value,),) = database.execute("SELECT val FROM variable WHERE key = ?", [name])
        return Fernet(self._key).decrypt(value).decode()


@pytest.fixture(scope="module")
def sandbox():
    with Sandbox(rate_limit=1000) as running:
        yield running


@pytest.fixture(scope="module")
def driver(sandbox, tmp_path_factory):
    running = Driver(tmp_path_factory.mktemp("airflow"), sandbox)
    try:
        assert running.hear() == "ready"
        yield running
        running.process.stdin.close()
        assert running.process.wait(30) == 0
        assert processes.find({running.process.pid}) == []
    finally:
        processes.end({running.process.pid}, processes.AT_ONCE)
        running.process.wait()
        running.process.stdout.close()


def orphans_after_the_next_rotation(driver, sandbox, known, killed) -> int:
    """Of the tokens that the store knew of only its own may live. The others are expired, to be counted once."""
    driver.rotate()
    current, held = driver.store()
    active = {token for token in sandbox.issued if sandbox.is_active(token)}
    orphans = active - {current}
    assert current in active, f"the store's token is dead after a kill {killed}"
    assert len(held) == 1, f"the store holds {len(held)} tokens after a kill {killed}"
    lost = len(orphans & known)
    assert lost == 0, f"{lost} tokens that the store knew of live on after a kill {killed}"
    for orphan in orphans:
        sandbox.expire(orphan)
    return len(orphans)


def test_a_rotation_killed_at_any_step_is_finished_by_the_next_and_orphans_at_most_the_token_on_its_way(
    driver, sandbox
):
    driver.rotate()  # the first has nothing to revoke
    stops, orphaning = driver.rotate(), []
    for number, stop in enumerate(stops):
        _, before = driver.store()
        assert driver.rotate(kill_at=number)[-1] == stop
        _, after = driver.store()
        orphaning += [stop] * orphans_after_the_next_rotation(driver, sandbox, before | after, stop)
    issued = sandbox.counters.issued
    print(f"\n{len(stops)} kills, each finished by the next: {len(orphaning)} orphans {orphaning}, {issued} tokens")
    assert orphaning == ["after _post token", "before write atlas_access_token"]


def test_rotations_killed_one_after_another_are_all_finished_by_one(driver, sandbox):
    driver.rotate()
    steps, known = driver.rotate()[::2], set()  # after a step is before the next
    for number in range(len(steps)):
        driver.rotate(kill_at=2 * number)
        known |= driver.store()[1]
    orphans = orphans_after_the_next_rotation(driver, sandbox, known, steps)
    print(f"\n{len(steps)} kills in a row, finished by one: {orphans} orphan, the store knew of {len(known)} tokens")
    assert orphans == 1


if __name__ == "__main__":
    drive()
