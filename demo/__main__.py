"""
`python -m demo`: start a local Atlas and a private Airflow, run two example DAGs, and print a table of the results.

Every number in the table is measured: the sandbox counts its requests, the database lists the tasks that ran, and a
search of everything that Airflow wrote finds secrets. Exit status 0 means that all runs succeeded and no secret was
found. With `KEEP=1` in the environment, Airflow stays up until Ctrl-C.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from airflow_provider_atlas.sandbox import Sandbox
from demo.show import Show
from harness import leaks
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


def report(
    show: Show, sandbox: Sandbox, airflow: PrivateAirflow, runs: list[DagRunResult], found: leaks.Findings
) -> None:
    """Print the table, then every leak and every error."""
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
        for error in result.errors(airflow.logs()):
            print(f"  {error}")


def demo(show: Show, keep: bool) -> bool:
    """Run the demo. Return whether all runs succeeded and no secret was found."""
    with contextlib.ExitStack() as stack:
        log = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "sandbox.log"
        with show.step("Start a local Atlas") as outcome:
            sandbox = stack.enter_context(Sandbox(rate_limit=RATE_LIMIT, window=60.0, log_file=log))
            outcome.append(sandbox.url)
        # With the port stored as well: the Test button of Airflow 3.3.1 and 3.3.2 needs it.
        connection = {**sandbox.connection, "port": urlsplit(sandbox.url).port}
        airflow = PrivateAirflow(EXAMPLES, connections={"atlas_default": connection})
        with show.step(f"Start a private Airflow {airflow.version}", lambda: airflow.starting) as outcome:
            stack.enter_context(airflow)
            leaks.watch(airflow)
            outcome.append(airflow.url)
        runs = [
            run(show, airflow, "atlas_token_lifecycle", airflow.trigger, "triggered"),
            run(show, airflow, "atlas_token_rotation", airflow.schedule, "on schedule"),
            run(show, airflow, "atlas_token_rotation", airflow.trigger, "triggered: revokes the previous token"),
        ]
        with show.step("Search database, logs and output for secrets") as outcome:
            known = leaks.needles(sandbox.client_id, sandbox.client_secret, sandbox.issued)
            found = leaks.search(known, airflow, [log])
            outcome.append(f"{len(found.leaks)} found")
        if keep:
            report(show, sandbox, airflow, runs, found)
            print(f"  Airflow {airflow.version}   {airflow.url}   no login; the connection is atlas_default")
            print(f"  Local Atlas     {sandbox.url}   shows its requests as they arrive")
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
