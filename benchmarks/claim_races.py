"""How often the claim fails: races of two workers for a token that is not in the deployment's store.

Run ``python -m benchmarks.claim_races [--races 200]``; it takes about five minutes. The workers are two tasks of a real
Airflow, so that reads and writes of Variables go through supervisor and API server to the database: the claim's pause
must be longer than that takes. Both workers start each race at the same time of the machine's monotonic clock. The
parent clears the store between races. A race is lost if both workers request a token. That can only happen if a worker
needs longer than the pause from a read to the write that follows.
"""

from __future__ import annotations

import argparse
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
    The result of one worker in one race.

    :param generated: how many tokens it requested.
    :param seconds: how long ``get()`` took.
    :param stall: the longest time from the start of a read of the store to the end of the write that followed.
    """

    generated: int
    seconds: float
    stall: float


class Timed(Variables):
    """Variables that measure the time from a read to the next write, which the claim assumes to be short."""

    read_at = stall = 0.0

    def read(self, name: str) -> str | None:
        self.read_at = time.monotonic()
        return super().read(name)

    def write(self, name: str, text: str) -> None:
        super().write(name, text)
        self.stall = max(self.stall, time.monotonic() - self.read_at)


def work(address: str) -> None:
    """Run a race for each start time that the parent sends, until it sends `None`."""
    client = TokenClient(AtlasServiceAccountHook().settings.account)
    with Client(address, "AF_UNIX") as parent:
        while start := parent.recv():
            requests = 0

            def generate(generated: list[AccessToken]) -> AccessToken:
                nonlocal requests
                requests += 1
                generated.append(client.generate())
                return generated[-1]

            store = Timed()
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
                # The masker keeps each value of a Variable with such a name, and each value makes every search slower.
                # These races make as many renewals in minutes as a deployment makes in weeks.
                "AIRFLOW__CORE__HIDE_SENSITIVE_VAR_CONN_FIELDS": "False",
            },
            slots=2,
        ) as airflow,
    ):
        run_id = airflow.trigger("claim_races")
        workers = [listener.accept() for _ in range(2)]
        results = []
        for _ in range(races + 1):
            airflow.database.write("DELETE FROM variable WHERE key LIKE 'atlas_%'")
            start = time.monotonic() + 0.1
            for worker in workers:
                worker.send(start)
            results.append([worker.recv() for worker in workers])
        for worker in workers:
            worker.send(None)
        airflow.wait("claim_races", run_id)
    return results[1:]  # in the first race the workers still load their modules


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--races", type=int, default=200)
    races = parser.parse_args().races
    with (
        Sandbox(rate_limit=10 * races, token_cap=10 * races) as sandbox,
        tempfile.TemporaryDirectory(prefix="races-") as home,
    ):
        results = run(races, sandbox, Path(home))
    lost = sum(all(result.generated for result in race) for race in results)
    all_results = [result for race in results for result in race]
    print(f"two tokens generated    {lost} of {races} races")
    print(f"tokens generated        {sum(result.generated for result in all_results)}")
    for name, generated in (("winner", True), ("loser", False)):
        seconds = [result.seconds for result in all_results if bool(result.generated) is generated]
        print(f"get(), {name:<16} {statistics.median(seconds):.2f} s (median; max {max(seconds):.2f})")
    stalls = [result.stall * 1000 for result in all_results]
    print(f"from read to write      {statistics.median(stalls):.0f} ms (median of the longest in each race; ", end="")
    print(f"max {max(stalls):.0f}), of a pause of {PAUSE * 1000:.0f} ms")


if __name__ == "__main__":
    main()
