"""How often the claim fails: races of two workers for a token that the deployment's store does not hold.

Run ``python -m benchmarks.claim_races [--races 200]``; some five minutes. The workers are two tasks of a real Airflow,
so that their Variables go the whole way, through supervisor and API server to the database: what the claim's pause has
to outlast is that way. Both start each race at one moment of the machine's monotonic clock; the parent clears the store
between races. A race is lost if both mint, which takes more than the pause from a look to the write that follows it.
"""

from __future__ import annotations

import argparse
import contextlib
import sqlite3
import statistics
import tempfile
import time
from multiprocessing.connection import Client, Listener
from pathlib import Path
from typing import NamedTuple

from airflow_provider_atlas.cache.claim import PAUSE
from airflow_provider_atlas.cache.deployment import SharedToken
from airflow_provider_atlas.cache.variables import Variables
from airflow_provider_atlas.hooks.service_account import AtlasServiceAccountHook
from airflow_provider_atlas.oauth.client import TokenClient
from airflow_provider_atlas.oauth.token import AccessToken
from airflow_provider_atlas.sandbox import Sandbox
from harness.airflow import PrivateAirflow

DAG = """
from airflow.providers.common.compat.sdk import dag, task

@dag(schedule=None)
def claim_races():
    @task(retries=0)
    def run(address):
        from benchmarks.claim_races import work
        work(address)
    run.expand(address=[{address!r}] * 2)

claim_races()
"""


class Result(NamedTuple):
    """
    What one worker saw of one race.

    :param minted: how many tokens it asked Atlas for.
    :param seconds: how long ``get()`` took.
    :param stall: the longest time from the start of a look at the store to the end of the write that followed it.
    """

    minted: int
    seconds: float
    stall: float


class Watched(Variables):
    """Variables that tell how close a worker came to breaking the claim's one assumption."""

    looked = stall = 0.0

    def read(self, name: str) -> str | None:
        self.looked = time.monotonic()
        return super().read(name)

    def write(self, name: str, text: str) -> None:
        super().write(name, text)
        self.stall = max(self.stall, time.monotonic() - self.looked)


def work(address: str) -> None:
    """Race whenever the parent names a moment, until it names none."""
    client = TokenClient(AtlasServiceAccountHook().settings.account)
    with Client(address, "AF_UNIX") as parent:
        while start := parent.recv():
            requests = 0

            def generate(generated: list[AccessToken]) -> AccessToken:
                nonlocal requests
                requests += 1
                generated.append(client.generate())
                return generated[-1]

            store = Watched()
            time.sleep(start - time.monotonic())
            SharedToken(client.account, store, generate, lambda token: client.revoke(token.value), max_wait=60).get()
            parent.send(Result(requests, time.monotonic() - start, store.stall))


def run(races: int, sandbox: Sandbox, home: Path) -> list[list[Result]]:
    dags, address = home / "dags", str(home / "races")
    dags.mkdir()
    (dags / "claim_races.py").write_text(DAG.format(address=address))
    with (
        Listener(address, "AF_UNIX") as listener,
        PrivateAirflow(
            dags,
            connections={"atlas_default": sandbox.connection},
            environment={
                "PYTHONPATH": str(Path(__file__).parent.parent),
                # The masker keeps each text that it has seen in a Variable of such a name, and every process that looks
                # for all of them grows slower with each. These races are weeks of renewals, in minutes.
                "AIRFLOW__CORE__HIDE_SENSITIVE_VAR_CONN_FIELDS": "False",
            },
            slots=2,
        ) as airflow,
    ):
        run_id = airflow.trigger("claim_races")
        workers = [listener.accept() for _ in range(2)]
        results = []
        for _ in range(races + 1):
            with contextlib.closing(sqlite3.connect(airflow.database, timeout=30)) as database, database:
                database.execute("DELETE FROM variable WHERE key LIKE 'atlas_%'")
            start = time.monotonic() + 0.1
            for worker in workers:
                worker.send(start)
            results.append([worker.recv() for worker in workers])
        for worker in workers:
            worker.send(None)
        airflow.wait("claim_races", run_id)
    return results[1:]  # in the first each worker still loads its modules


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--races", type=int, default=200)
    races = parser.parse_args().races
    with (
        Sandbox(rate_limit=10 * races, token_cap=10 * races) as sandbox,
        tempfile.TemporaryDirectory(prefix="races-") as home,
    ):
        results = run(races, sandbox, Path(home))
    lost = sum(all(result.minted for result in race) for race in results)
    everybody = [result for race in results for result in race]
    print(f"two tokens minted       {lost} of {races} races")
    print(f"tokens minted           {sum(result.minted for result in everybody)}")
    for name, minted in (("winner", True), ("loser", False)):
        seconds = [result.seconds for result in everybody if bool(result.minted) is minted]
        print(f"get(), {name:<16} {statistics.median(seconds):.2f} s (median; max {max(seconds):.2f})")
    stalls = [result.stall * 1000 for result in everybody]
    print(f"from look to write      {statistics.median(stalls):.0f} ms (median of each race's longest; ", end="")
    print(f"max {max(stalls):.0f}), of a pause of {PAUSE * 1000:.0f} ms")


if __name__ == "__main__":
    main()
