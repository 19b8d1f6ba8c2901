"""1,000 waits for Atlas's work in one real triggerer: event loop, memory, and how late each look is.

Run ``python -m benchmarks.waits [SIZE]``; it takes about six minutes. As many mapped sensors wait, each for a cluster
of its own, with a look every 30 s. To start a thousand tasks takes longer than that and is not what is measured: so the
benchmark writes into the database what a thousand deferrals leave there. Once the triggerer has all triggers, it
watches for three minutes, and then pauses all clusters at one moment, so that all waits end with their next look.
Airflow's own watchdog logs when the event loop was blocked for over 0.2 s. A look is late by the time from when it was
due to when its request began.
"""

from __future__ import annotations

import json
import sqlite3
import statistics
import sys
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from airflow_provider_atlas.hooks.watch import Watch
from airflow_provider_atlas.sandbox import Sandbox
from airflow_provider_atlas.triggers.job import AtlasJobTrigger
from benchmarks import looks, processes
from benchmarks.processes import cpu_seconds, resident
from harness.airflow import PrivateAirflow

SIZE, INTERVAL, WATCHED = 1000, 30.0, 180.0
CLUSTERS = "/api/atlas/v2/groups/6b0000000000000000000000/clusters"
#: Bounds: median and worst lateness in seconds.
MEDIAN, WORST = 1.0, 10.0


def defer_all(airflow: PrivateAirflow, run_id: str, size: int) -> None:
    """Let the run's sensors wait, as if each had looked once and deferred, a thirtieth of them each second."""
    now = time.time()
    with closing(sqlite3.connect(airflow.database, timeout=60)) as database, database:
        sql = "SELECT id, map_index FROM task_instance WHERE run_id = ? AND task_id = 'wait' ORDER BY map_index"
        for task, number in database.execute(sql, (run_id,)).fetchall():
            watch = Watch(f"{CLUSTERS}/cluster-{number}", {"paused": True}, started=now)
            path, kwargs = AtlasJobTrigger.of(
                watch,
                atlas_conn_id="atlas_jobs",
                moment=now + INTERVAL * (1 + number / size),
                deadline=now + 3600,
                poll_interval=INTERVAL,
                longest=INTERVAL,
                job={"started": now},
            ).serialize()
            sql = "INSERT INTO trigger (classpath, kwargs, created_date) VALUES (?, ?, ?)"
            row = database.execute(sql, (path, json.dumps(kwargs), f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S.%f}"))
            sql = """UPDATE task_instance SET state = 'deferred', trigger_id = ?, try_number = 1,
                     next_method = 'execute_complete' WHERE id = ?"""
            database.execute(sql, (row.lastrowid, task))


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
            run_id = airflow.trigger("waits", {"size": size})
            expanded = "SELECT count(*) AS n FROM task_instance WHERE run_id = ? AND map_index >= 0"
            while airflow.query(expanded, (run_id,))[0]["n"] < size and time.monotonic() < started + 300:
                time.sleep(0.5)
            before = resident(airflow, "triggerer")
            defer_all(airflow, run_id, size)
            waiting, taken = 0, "SELECT count(*) AS n FROM trigger WHERE triggerer_id IS NOT NULL"
            while waiting < size and time.monotonic() < started + 600:
                waiting = airflow.query(taken)[0]["n"]
                time.sleep(0.5)
            time.sleep(INTERVAL)
            say("waits in the triggerer at once", f"{waiting} after {time.monotonic() - started:.0f} s")
            since, used, requests = time.time(), cpu_seconds(airflow, "triggerer"), sandbox.counters.api_requests
            time.sleep(WATCHED)
            seen = [look for look in looks.read(airflow) if look.began >= since]
            late = sorted(look.late for look in seen)
            say(
                "memory of the triggerer per wait",
                f"{(resident(airflow, 'triggerer') - before) / max(waiting, 1):.1f} KiB",
            )
            say(f"looks in {WATCHED:.0f} s", f"{len(seen)}, at {len({look.path for look in seen})} clusters")
            say("lateness of a look, median", f"{statistics.median(late) * 1000:.0f} ms")
            say("lateness of a look, 99 of 100 below", f"{late[len(late) * 99 // 100] * 1000:.0f} ms")
            say("lateness of a look, worst", f"{late[-1] * 1000:.0f} ms")
            say(
                "processor time of the triggerer",
                f"{(cpu_seconds(airflow, 'triggerer') - used) / WATCHED * 100:.0f} % of one core",
            )
            say("requests at the sandbox meanwhile", f"{sandbox.counters.api_requests - requests}")
            for cluster in sandbox.clusters[0].values():
                cluster.paused_since = time.time()
            paused, left = time.monotonic(), size
            while left and time.monotonic() < paused + 120:
                sql = "SELECT count(*) AS n FROM task_instance WHERE run_id = ? AND state = 'deferred'"
                left = airflow.query(sql, (run_id,))[0]["n"]
                time.sleep(0.5)
            say("waits that ended, once all clusters paused", f"{size - left} in {time.monotonic() - paused:.0f} s")
            failed = airflow.query("SELECT 1 FROM task_instance WHERE run_id = ? AND state = 'failed'", (run_id,))
            say("tasks that failed", f"{len(failed)}")
            blocked = processes.blocked(airflow)
            say("token requests", f"{sandbox.counters.token_requests}")
            say("event loop blocked for over 0.2 s", f"{len(blocked)} times {', '.join(blocked)}".strip())
            say("wall", f"{time.monotonic() - started:.0f} s")
    on_time = statistics.median(late) <= MEDIAN and late[-1] <= WORST
    return (
        0
        if waiting == size
        and not left
        and not failed
        and not blocked
        and on_time
        and sandbox.counters.token_requests <= 2
        else 1
    )


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if sys.argv[1:] else SIZE))
