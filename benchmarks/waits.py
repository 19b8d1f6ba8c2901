"""10, 100 and 1,000 waits for Atlas's work in one real triggerer: event loop, memory, and how late each look is.

Run ``python -m benchmarks.waits [SIZE ...]``; it takes about nine minutes a size. As many mapped sensors wait, each for
a cluster of its own, with a look every 30 s. To start a thousand tasks takes longer than that and is not what is
measured: so the benchmark writes into the database what a thousand deferrals leave there. Once the triggerer has all
triggers, it watches for three minutes, and then pauses all clusters at one moment, so that all waits end with their
next look. Airflow's own watchdog logs when the event loop was blocked for over 0.2 s: it is asked while the waits
start, while they wait and end, and before that while as many of Airflow's own ``DateTimeTrigger`` start, sleep and end.
A look is late by the time from when it was due to when its request began. What both cost is kept in ``docs/measured``
for ``benchmarks.growth``.
"""

from __future__ import annotations

import json
import sqlite3
import statistics
import sys
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from airflow.providers.standard.triggers.temporal import DateTimeTrigger
from airflow.serialization.serialized_objects import BaseSerialization

from airflow_provider_atlas.hooks.watch import Watch
from airflow_provider_atlas.sandbox import Sandbox
from airflow_provider_atlas.triggers.job import AtlasJobTrigger
from benchmarks import looks, processes
from benchmarks.processes import cpu_seconds, resident
from benchmarks.results import keep, read
from harness.airflow import PrivateAirflow

SIZES, INTERVAL, WATCHED = (10, 100, 1000), 30.0, 180.0
CLUSTERS = "/api/atlas/v2/groups/6b0000000000000000000000/clusters"
#: Bounds: median and worst lateness in seconds.
MEDIAN, WORST = 1.0, 10.0
KEPT = "waits.json"
OURS, THEIRS = "waits for clusters", "Airflow's DateTimeTrigger"


@dataclass(frozen=True)
class Cost:
    """
    What a triggerer pays for as many triggers.

    :param memory_kib: of the triggerer, more than before any triggers; ours come after Airflow's own
    :param cpu_seconds: of the triggerer in ``WATCHED`` seconds, while all of them wait
    """

    triggers: str
    size: int
    memory_kib: float
    cpu_seconds: float


def kept() -> list[Cost]:
    """The costs that an earlier run measured."""
    return read(KEPT, Cost)


def watch(airflow: PrivateAirflow, triggers: str, size: int, before: float) -> Cost:
    """Watch a triggerer in which all triggers wait."""
    used = cpu_seconds(airflow, "triggerer")
    time.sleep(WATCHED)
    used = cpu_seconds(airflow, "triggerer") - used
    return Cost(triggers, size, round(resident(airflow, "triggerer") - before, 1), round(used, 2))


def ours(number: int, size: int, now: float) -> tuple[str, str]:
    """The trigger of a sensor that has looked once. A thirtieth of them look each second."""
    path, kwargs = AtlasJobTrigger.of(
        Watch(f"{CLUSTERS}/cluster-{number}", {"paused": True}, started=now),
        atlas_conn_id="atlas_jobs",
        moment=now + INTERVAL * (1 + number / size),
        deadline=now + 3600,
        poll_interval=INTERVAL,
        longest=INTERVAL,
        job={"started": now},
    ).serialize()
    return path, json.dumps(kwargs)


def airflows_own(number: int, size: int, now: float) -> tuple[str, str]:
    """A trigger that only sleeps, for comparison."""
    path, kwargs = DateTimeTrigger(datetime.fromtimestamp(now + INTERVAL + WATCHED, UTC)).serialize()
    return path, json.dumps(BaseSerialization.serialize(kwargs))


def defer_all(airflow: PrivateAirflow, size: int, trigger: Callable[[int, int, float], tuple[str, str]]) -> str:
    """Let as many sensors wait with these triggers, until a triggerer has them all; return the run's id."""
    run_id, end = airflow.trigger("waits", {"size": size}), time.monotonic() + 600
    sql = "SELECT count(*) AS n FROM task_instance WHERE run_id = ? AND map_index >= 0"
    while airflow.query(sql, (run_id,))[0]["n"] < size and time.monotonic() < end:
        time.sleep(0.5)
    now = time.time()
    with closing(sqlite3.connect(airflow.home / "airflow.db", timeout=60)) as database, database:
        sql = "SELECT id, map_index FROM task_instance WHERE run_id = ? AND task_id = 'wait' ORDER BY map_index"
        for task, number in database.execute(sql, (run_id,)).fetchall():
            sql = "INSERT INTO trigger (classpath, kwargs, created_date) VALUES (?, ?, ?)"
            row = database.execute(sql, (*trigger(number, size, now), f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S.%f}"))
            sql = """UPDATE task_instance SET state = 'deferred', trigger_id = ?, try_number = 1,
                     next_method = 'execute_complete' WHERE id = ?"""
            database.execute(sql, (row.lastrowid, task))
    sql = "SELECT count(*) AS n FROM trigger WHERE triggerer_id IS NOT NULL"
    while airflow.query(sql)[0]["n"] < size and time.monotonic() < end:
        time.sleep(0.5)
    return run_id


def say(what: str, value: str) -> None:
    print(f"{what:<45}{value}", flush=True)


def main(size: int) -> int:
    with Sandbox(page_total=size) as sandbox:
        extra = {"extra": {"cache_scope": "deployment"}}
        airflow = PrivateAirflow(
            Path(__file__).parent / "dags",
            connections={"atlas_jobs": sandbox.connection | extra},
            environment={"AIRFLOW__TRIGGERER__CAPACITY": str(2 * size)},
        )
        looks.prepare(airflow, preload=True)
        with airflow:
            started = time.monotonic()
            airflow.rest.request("POST", "/pools", {"name": "closed", "slots": 0})
            before = resident(airflow, "triggerer")
            defer_all(airflow, size, airflows_own)
            peer = watch(airflow, THEIRS, size, before)
            time.sleep(2 * INTERVAL)
            theirs = processes.blocked(airflow)
            run_id = defer_all(airflow, size, ours)
            sql = "SELECT count(*) AS n FROM task_instance WHERE run_id = ? AND state = 'deferred'"
            waiting = airflow.query(sql, (run_id,))[0]["n"]
            time.sleep(INTERVAL)
            loading = processes.blocked(airflow)[len(theirs) :]
            say("waits in the triggerer at once", f"{waiting}")
            since, requests = time.time(), sandbox.counters.api_requests
            cost = watch(airflow, OURS, size, before)
            keep(KEPT, [*(row for row in kept() if row.size != size), cost, peer])
            seen = [look for look in looks.read(airflow) if look.began >= since]
            late = sorted(look.late for look in seen)
            say("the triggerer's memory, more than before", f"{cost.memory_kib / 1024:.0f} MiB")
            say("the same, Airflow's DateTimeTrigger", f"{peer.memory_kib / 1024:.0f} MiB")
            say(f"looks in {WATCHED:.0f} s", f"{len(seen)}, at {len({look.path for look in seen})} clusters")
            say("lateness of a look, median", f"{statistics.median(late) * 1000:.0f} ms")
            say("lateness of a look, 99 of 100 below", f"{late[len(late) * 99 // 100] * 1000:.0f} ms")
            say("lateness of a look, worst", f"{late[-1] * 1000:.0f} ms")
            for what, each in (
                ("processor time of the triggerer", cost),
                ("the same, Airflow's DateTimeTrigger", peer),
            ):
                say(what, f"{each.cpu_seconds / WATCHED * 100:.1f} % of one core")
            say("requests at the sandbox meanwhile", f"{sandbox.counters.api_requests - requests}")
            for cluster in sandbox.clusters[0].values():
                cluster.paused_since = time.time()
            paused, left = time.monotonic(), size
            while left and time.monotonic() < paused + 120:
                left = airflow.query(sql, (run_id,))[0]["n"]
                time.sleep(0.5)
            say("waits that ended, once all clusters paused", f"{size - left} in {time.monotonic() - paused:.0f} s")
            failed = airflow.query("SELECT 1 FROM task_instance WHERE run_id = ? AND state = 'failed'", (run_id,))
            say("tasks that failed", f"{len(failed)}")
            blocked = processes.blocked(airflow)[len(theirs) + len(loading) :]
            say("token requests", f"{sandbox.counters.token_requests}")
            for what, seconds in (("while they wait and end", blocked), ("as they start", loading)):
                say(f"event loop blocked {what}", f"{len(seconds)} times {' '.join(seconds)}".strip())
            say("the same, Airflow's DateTimeTrigger", f"{len(theirs)} times {' '.join(theirs)}".strip())
            say("wall", f"{time.monotonic() - started:.0f} s")
            print()
    on_time = statistics.median(late) <= MEDIAN and late[-1] <= WORST
    return (
        0
        if waiting == size
        and not left
        and not failed
        and len(blocked) + len(loading) <= len(theirs)
        and on_time
        and sandbox.counters.token_requests <= 2
        else 1
    )


if __name__ == "__main__":
    sys.exit(max([main(int(size)) for size in sys.argv[1:] or SIZES]))
