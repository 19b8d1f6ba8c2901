"""
The deployment's token on PostgreSQL, where two processes write at once: SQLite serializes writes and hides collisions.

Airflow 2.11 writes a Variable as delete and insert, and so does the API server of 3.0. In one DAG run, eight mapped
tasks get the token of one service account at one moment, once a round. Each round has a service account of its own.
"""

from __future__ import annotations

import json
import socket
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from airflow_provider_atlas.sandbox import Sandbox
from harness.airflow import HANGS, PrivateAirflow
from harness.services import Postgres

WORKERS = 8
ROUNDS = {"cold": 20, "expired": 10, "stale": 10}
"""How many with an empty store, with an expired token in it, and with one that lives and is due for renewal."""


@dataclass(frozen=True)
class Round:
    """
    What came of one round.

    :param living: whether the store held a token that had not expired, at the start
    :param requests: to the token endpoint
    :param issued: tokens that Atlas issued
    :param distinct: tokens that the processes got
    :param wrong: what a process got that is neither a new token nor one that still lives: errors, expired tokens
    :param stored: whether a further process finds a new token in the store
    :param seconds: from the common start until each process had its token
    """

    living: bool
    requests: int
    issued: int
    distinct: int
    wrong: tuple[str, ...]
    stored: bool
    seconds: float


class Race:
    """
    The workers and the account of each round.

    :param sandbox: counts their requests
    :param workers: one connection to each
    """

    def __init__(self, sandbox: Sandbox, workers: list[Connection]) -> None:
        self._sandbox, self._workers = sandbox, workers
        self._seeds: dict[str, str] = {}

    def ask(self, *conns: str) -> list[str]:
        """Let as many workers get the token of a connection each, at one moment."""
        start = time.monotonic() + 0.2
        workers = self._workers[: len(conns)]
        for worker, conn in zip(workers, conns, strict=True):
            worker.send((conn, start))
        for worker in workers:
            assert worker.poll(HANGS), "a worker did not get its token in time"
        return [worker.recv() for worker in workers]

    def end(self) -> None:
        for worker in self._workers:
            worker.send(None)

    def seed(self, kind: str, life: int) -> float:
        """Put a token into the store of each of this kind's accounts, and tell the monotonic time after it."""
        self._sandbox.token_life = life
        for first in range(0, ROUNDS[kind], WORKERS):
            conns = names(kind)[first : first + WORKERS]
            self._seeds |= zip(conns, self.ask(*conns), strict=True)
        self._sandbox.token_life = 3600
        return time.monotonic()

    def run(self, kind: str) -> list[Round]:
        return [self._round(conn) for conn in names(kind)]

    def _round(self, conn: str) -> Round:
        sandbox, before = self._sandbox, len(self._sandbox.issued)
        sandbox.reset_counters()
        living = sandbox.is_active(self._seeds.get(conn, ""))
        start = time.monotonic()
        got = self.ask(*[conn] * WORKERS)
        seconds = time.monotonic() - start
        counters, new = sandbox.counters, sandbox.issued[before:]
        wrong = ["expired" if text in sandbox.issued else text for text in got if not sandbox.is_active(text)]
        (stored,) = self.ask(conn)
        return Round(
            living, counters.token_requests, counters.issued, len(set(got)), tuple(wrong), stored in new, seconds
        )


def names(kind: str) -> list[str]:
    return [f"atlas_{kind}_{number}" for number in range(1, ROUNDS[kind] + 1)]


@pytest.fixture(scope="module")
def played():
    """All rounds by kind."""
    with ExitStack() as stack:
        sandbox = stack.enter_context(Sandbox(rate_limit=1000, token_cap=1000))
        postgres = stack.enter_context(Postgres())
        server = stack.enter_context(socket.socket(socket.AF_UNIX))
        # Not in the folder that nox names: a socket's path has at most 107 bytes.
        address = str(Path(stack.enter_context(tempfile.TemporaryDirectory(dir="/tmp", prefix="rounds-")), "socket"))
        server.bind(address)
        server.listen()
        server.settimeout(HANGS)
        airflow = PrivateAirflow(
            Path(__file__).parent / "dags",
            connections={conn: connection(sandbox) for conn in ["atlas_modules", *chain(*map(names, ROUNDS))]},
            # The masker keeps each text of a Variable with such a name, and gets slower with each: by this many tokens
            # within minutes a round of 3.0 took 12 s instead of 2 s.
            environment={"AIRFLOW__CORE__HIDE_SENSITIVE_VAR_CONN_FIELDS": "False"},
            slots=WORKERS,
            database=postgres,
        )
        stack.enter_context(airflow)
        run_id = airflow.trigger("rounds", {"workers": WORKERS, "address": address})
        race = Race(sandbox, [Connection(server.accept()[0].detach()) for _ in range(WORKERS)])
        start = time.monotonic()
        rounds = {"cold": race.run("cold")}
        # A token is due for renewal after half its lifetime. The other half has to last for the rounds, twice as long
        # for a machine that gets slower.
        half = 2 * (time.monotonic() - start) / ROUNDS["cold"] * ROUNDS["stale"]
        due = race.seed("stale", round(2 * half)) + half
        time.sleep(max(0.0, race.seed("expired", 2) + 2 - time.monotonic()))
        rounds["expired"] = race.run("expired")
        time.sleep(max(0.0, due - time.monotonic()))
        rounds["stale"] = race.run("stale")
        race.end()
        assert airflow.wait("rounds", run_id).state == "success"
        yield rounds


def connection(sandbox: Sandbox) -> dict[str, str]:
    """A connection to a service account of its own, in deployment scope."""
    login, password = sandbox.add_account()
    extra = json.dumps({"cache_scope": "deployment"})
    return sandbox.connection | {"login": login, "password": password, "extra": extra}


@pytest.mark.parametrize("kind", ROUNDS)
def test_eight_processes_request_one_token_and_the_store_keeps_it(played, kind):
    print(f"\n{kind}")
    for number, one in enumerate(played[kind], 1):
        print(f"{number:3} {one}")
    stale = kind == "stale"
    assert {one.living for one in played[kind]} == {stale}
    most = 2 if stale else 1  # one process renews a token that has not expired, and others may go on with it
    assert [
        one
        for one in played[kind]
        if (one.requests, one.issued, one.wrong, one.stored) != (1, 1, (), True) or one.distinct > most
    ] == []
