"""
`python -m demo`: start a local Atlas and a private Airflow, run three example DAGs, and print a table of the results.

The third rotates the client secret twice while tasks in each scope use it; the old secret is deleted each time.

Every number in the table is measured: the sandbox counts its requests, the database lists the tasks that ran, and a
search of everything that Airflow wrote finds secrets. Exit status 0 means that all runs succeeded and no secret was
found. With `KEEP=1` in the environment, Airflow stays up until Ctrl-C.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_provider_atlas.sandbox import Sandbox
from demo import clusters
from demo.show import Show
from harness import api_user, leaks
from harness.airflow import EXAMPLES, PrivateAirflow
from harness.commands import AirflowFailed

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.runs import DagRunResult

RATE_LIMIT = 10


def run(show: Show, airflow: PrivateAirflow, dag_id: str, begin: Callable[[str], str], how: str) -> DagRunResult:
    """Run a DAG and show how many of its tasks have ended."""

    def progress() -> str:
        rows = airflow.query(
            "SELECT count(*), coalesce(sum(state IN ('success', 'skipped', 'failed')), 0) FROM task_instance"
            " WHERE dag_id = ? AND run_id = (SELECT run_id FROM dag_run WHERE dag_id = ? ORDER BY id DESC LIMIT 1)",
            (dag_id, dag_id),
        )
        return "{1} of {0} tasks".format(*rows[0])

    with show.step(f"{dag_id}, {how}", progress) as outcome:
        result = airflow.wait(dag_id, begin(dag_id))
        outcome.append(f"{result.state}, {len(result.tasks)} tasks")
    return result


def rotations(show: Show, airflow: PrivateAirflow, sandbox: Sandbox, secrets: list[str]) -> list[DagRunResult]:
    """
    Rotate the client secret twice beneath tasks of all scopes.

    :param secrets: gets the new secrets, to search for
    """
    account = sandbox.accounts[sandbox.client_id]
    api_user.connect(airflow)
    done = []
    for number in ("first", "second"):
        work = airflow.trigger("atlas_work_in_all_scopes")
        old = account.secrets[0]
        old.expires = time.time() + 86_400 * 20  # soon enough for the DAG to rotate
        done.append(
            run(show, airflow, "atlas_secret_rotation", airflow.trigger, f"{number} time, beneath tasks in all scopes")
        )
        secrets.append(account.secrets[-1].value)
        sandbox.delete_secret(old.value)
        with show.step("atlas_work_in_all_scopes, with a deleted secret") as outcome:
            done.append(airflow.wait("atlas_work_in_all_scopes", work))
            outcome.append(f"{done[-1].state}, {len(done[-1].tasks)} tasks")
    return done


def report(
    show: Show, sandbox: Sandbox, airflow: PrivateAirflow, runs: list[DagRunResult], found: leaks.Findings
) -> None:
    """Print the table, then every leak, every error and every warning."""
    states = Counter(str(state) for result in runs for state in result.tasks.values())
    counters = sandbox.counters
    rows = {
        "DAG runs": f"{sum(result.state == 'success' for result in runs)} of {len(runs)} succeeded",
        "Task instances": ", ".join(f"{count} {state}" for state, count in sorted(states.items())),
        "Worker slot-seconds": f"{sum(airflow.slots.seconds[run.dag_id, run.run_id] for run in runs):.1f}",
        "Token requests": f"{counters.token_requests} (Atlas allows {RATE_LIMIT} a minute)",
        "Refused for the rate limit (429)": counters.rate_limited,
        "Tokens issued": counters.issued,
        "Tokens revoked": counters.revoked,
        "Tokens still active": counters.active,
        "Plain-text tokens and secrets": f"{len(found.leaks)} in {found.searched / 1e6:.1f} MB of database and logs",
        "Time": f"{show.elapsed:.0f} s",
    }
    print("\n" + "\n".join(f"  {name:<34}{value}" for name, value in rows.items()) + "\n")
    for leak in found.leaks:
        print(f"  {leak.what} in {leak.place}")
    for result in runs:
        for told in (*result.errors(airflow.logs()), *result.warnings(airflow.logs())):
            print(f"  {told}")


def demo(show: Show, keep: bool) -> bool:
    """Run the demo. Return whether all runs succeeded and no secret was found."""
    with contextlib.ExitStack() as stack:
        log = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "sandbox.log"
        with show.step("Start a local Atlas") as outcome:
            sandbox = stack.enter_context(Sandbox(rate_limit=RATE_LIMIT, window=60.0, log_file=log))
            outcome.append(sandbox.url)
        dags = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        for folder in (EXAMPLES, Path(__file__).parent / "dags"):
            shutil.copytree(folder, dags, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
        connections = {"atlas_default": sandbox.connection}
        user = api_user.settings(Path(stack.enter_context(tempfile.TemporaryDirectory())))
        airflow = PrivateAirflow(dags, connections=connections, environment=user, by_schedule=True)
        with show.step(f"Start a private Airflow {airflow.version}", lambda: airflow.starting) as outcome:
            stack.enter_context(airflow)
            leaks.watch(airflow)
            clusters.prepare(airflow, sandbox)
            outcome.append(airflow.url)
        runs = [
            run(show, airflow, "atlas_token_lifecycle", airflow.trigger, "triggered"),
            run(show, airflow, "atlas_token_rotation", airflow.schedule, "on schedule"),
            run(show, airflow, "atlas_token_rotation", airflow.trigger, "triggered: revokes the previous token"),
        ]
        secrets: list[str] = []
        if not airflow.version.startswith("2."):  # the store is the API of Airflow 3
            runs += rotations(show, airflow, sandbox, secrets)
        with show.step("Search database, logs and output for secrets") as outcome:
            known = leaks.needles(sandbox.client_id, sandbox.client_secret, sandbox.issued)
            known |= {f"new client secret {number}": leaks.forms(new) for number, new in enumerate(secrets, 1)}
            found = leaks.search(known, airflow, [log])
            outcome.append(f"{len(found.leaks)} found")
        if keep:
            report(show, sandbox, airflow, runs, found)
            print(f"  Airflow {airflow.version}   {airflow.url}   no login; the connection is atlas_default")
            print(f"  Local Atlas     {sandbox.url}   shows its requests as they arrive, and its clusters")
            print("  Trigger atlas_clusters_night, and see the clusters reports, search and sessions pause.")
            print("\nBoth stay up until Ctrl-C.", flush=True)
            with contextlib.suppress(KeyboardInterrupt):
                signal.pause()
        with show.step("Stop Airflow"):
            airflow.stop()
        if not keep:
            # Processes may write a secret while they stop.
            found = leaks.Findings(sorted({*found.leaks, *leaks.search(known, airflow, [log]).leaks}), found.searched)
            report(show, sandbox, airflow, runs, found)
        return not found.leaks and all(result.state == "success" for result in runs)


def main() -> int:
    """Return the exit status: 0, 1 for a failed run or a secret that was found, 130 for Ctrl-C."""
    # By default, SIGTERM ends this process without a clean-up.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        return 0 if demo(Show(), keep=os.environ.get("KEEP") == "1") else 1
    except KeyboardInterrupt:
        print("Interrupted. All processes have ended.")
        return 130
    except AirflowFailed as err:
        print(err, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
