"""
``kill -9`` of worker, triggerer and scheduler while snapshots and restores run, on Celery, Redis and PostgreSQL.

Run ``make test-kills``, or ``python -m tests.faults.jobs --seed 1``. Before each kill a DAG run asks for some snapshots
and restores, each of a cluster of its own. At a random moment a worker, the triggerer or the scheduler is killed with
all its child processes, and started again. In the end every task must have succeeded, the sandbox must hold one job for
each, and each task must have returned the id of its own. The exit status is 1 if that is not so.

Airflow is configured to detect killed processes within 20 s instead of 300.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
from collections import Counter
from pathlib import Path
from random import Random

from airflow_provider_atlas.sandbox import Sandbox, clusters
from airflow_provider_atlas.sandbox.jobs import Job
from harness.airflow import PrivateAirflow
from harness.commands import AirflowFailed
from harness.services import Services
from tests.faults.__main__ import DETECT_SOON

PROCESSES = ("worker", "triggerer", "scheduler")
KILLS = 3
"""So many of each."""
SIZE = 3
"""Snapshots, and as many restores, of each run: 27 of both in all."""
JOB_SECONDS = 15.0
DEADLINE = 240.0
"""Seconds after the last kill in which all work must end."""
RUNS = KILLS * len(PROCESSES)
DAG = "jobs"


class Driver:
    """The runs and the kills, and the counts of their results."""

    def __init__(self, airflow: PrivateAirflow, sandbox: Sandbox, seed: int) -> None:
        self.kills: Counter[str] = Counter()
        self.hit = {"running": 0, "deferred": 0}
        self.breaches: list[str] = []
        self._airflow, self._sandbox = airflow, sandbox
        self._random = Random(seed)  # noqa: S311 - repeatable, not for security
        # What is restored, each time into another cluster.
        source = clusters.of_project(sandbox, 0)["cluster-0"]
        old = Job("snapshot", source, {}, sandbox.clock() - 3600, JOB_SECONDS)
        sandbox.jobs[old.id] = old
        self._snapshot = old.id
        self._runs: list[str] = []

    def go(self) -> None:
        order = list(PROCESSES * KILLS)
        self._random.shuffle(order)
        for number, what in enumerate(order):
            self._runs.append(self._airflow.trigger(DAG, self._conf(number)))
            self._await_work("deferred" if what == "triggerer" else "running")
            time.sleep(self._random.uniform(0, 10))
            self._kill(what)
            print(f"{what} killed, {self.hit}", flush=True)
        deadline = time.monotonic() + DEADLINE
        for run_id in self._runs:
            with contextlib.suppress(AirflowFailed):  # its tasks are counted as they are
                self._airflow.wait(DAG, run_id, deadline - time.monotonic())

    def _conf(self, run: int) -> dict[str, list]:
        first = 1 + 2 * SIZE * run
        sources, targets = (
            [f"cluster-{number}" for number in range(start, start + SIZE)] for start in (first, first + SIZE)
        )
        restores = [
            {"snapshot_id": self._snapshot, "target_cluster_name": name, "confirm_target": name} for name in targets
        ]
        return {"clusters": sources, "targets": restores}

    def _await_work(self, state: str) -> None:
        """Wait until there is something to kill, but not for long: Airflow may be slow."""
        deadline = time.monotonic() + 30
        while not self._count(state) and time.monotonic() < deadline:
            time.sleep(0.2)

    def _count(self, state: str) -> int:
        sql = "SELECT 1 FROM task_instance WHERE state = ? AND task_id IN ('snapshot', 'restore')"
        return len(self._airflow.query(sql, (state,)))

    def _kill(self, what: str) -> None:
        self.kills[what] += 1
        for state in self.hit:
            self.hit[state] += self._count(state)
        role = self._random.choice(("celery-worker", "celery-worker.2")) if what == "worker" else what
        self._airflow.components.kill(role)
        time.sleep(self._random.uniform(0, 4))
        self._airflow.components.restart(role, 120)

    def tally(self) -> str:
        """The counts as Markdown."""
        sql = "SELECT task_id, map_index, run_id, state, try_number FROM task_instance WHERE dag_id = ?"
        tasks = [row for row in self._airflow.query(sql, (DAG,)) if row["task_id"] in ("snapshot", "restore")]
        ends = Counter(f"{row['task_id']}: {row['state']}" for row in tasks)
        made = [job for job in self._sandbox.jobs.values() if job.id != self._snapshot]
        places = Counter((job.kind, job.given.get("targetClusterName", job.cluster.name)) for job in made)
        sql = "SELECT value FROM xcom WHERE dag_id = ? AND key IN ('snapshot_id', 'restore_job_id')"
        returned = Counter(str(row["value"]).strip('"') for row in self._airflow.query(sql, (DAG,)))
        self.breaches += [f"{count} jobs: {place}" for place, count in places.items() if count != 1]
        self.breaches += [f"task {tuple(row)}" for row in tasks if row["state"] != "success"]
        if returned != Counter(job.id for job in made):
            self.breaches.append(f"the tasks returned {sum(returned.values())} ids, {len(made)} jobs were made")
        if not len(tasks) == len(made) == 2 * SIZE * RUNS:
            self.breaches.append(f"{2 * SIZE * RUNS} jobs were wanted: {len(tasks)} tasks, {len(made)} jobs")
        lines = [("event", "count"), ("---", "---")]
        lines += [(f"`kill -9`: {name}", self.kills[name]) for name in PROCESSES]
        lines += [(f"tasks {state} at these moments", count) for state, count in self.hit.items()]
        lines += [(f"tasks that ended, {name}", count) for name, count in sorted(ends.items())]
        lines += [("tries beyond the first", sum(row["try_number"] - 1 for row in tasks))]
        kinds = Counter(job.kind for job in made)
        lines += [(f"jobs made in the sandbox, {kind}", count) for kind, count in sorted(kinds.items())]
        lines += [("jobs made twice", sum(count - 1 for count in places.values()))]
        lines += [("tasks without a job of their own", 2 * SIZE * RUNS - len(returned & Counter(j.id for j in made)))]
        lines += [("token requests", self._sandbox.counters.token_requests)]
        return "".join(f"| {what} | {count} |\n" for what, count in lines)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.jobs", description=__doc__.partition("\n\n")[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--write", type=Path, help="file for the counts")
    options = parser.parse_args()
    with Services() as services, Sandbox(page_total=1 + 2 * SIZE * RUNS, job_seconds=JOB_SECONDS) as sandbox:
        detection = {f"AIRFLOW__{name}": str(value) for name, value in DETECT_SOON.items()}
        with PrivateAirflow(
            Path(__file__).parent / "dags",
            connections={"atlas_default": sandbox.connection | {"extra": {"cache_scope": "deployment"}}},
            environment=detection,
            database=services,
            slots=10,
            celery_workers=2,
        ) as airflow:
            driver = Driver(airflow, sandbox, options.seed)
            started = time.monotonic()
            driver.go()
            tally = driver.tally()
            print(tally, f"{time.monotonic() - started:.0f} s", *driver.breaches, sep="\n", flush=True)
            if driver.breaches:
                for path, text in airflow.logs():
                    if {"task_id=snapshot", "task_id=restore"} & set(path.parts):
                        print(path, text.decode(errors="replace")[-3000:])
    if options.write:
        options.write.write_text(tally)
    return 1 if driver.breaches else 0


if __name__ == "__main__":
    sys.exit(main())
