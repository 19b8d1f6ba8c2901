"""
A private Airflow, because only a real one shows what scheduler, triggerer and workers do with a token.

Scheduler, triggerer, DAG processor and API server run on SQLite and LocalExecutor, in their own home directory and on a
free loopback port. They are separate processes, which can be killed and started again. With another database and a
broker, there can be Celery workers and several triggerers as well.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
import shutil
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from harness.commands import AirflowFailed, free_port
from harness.components import Components
from harness.database import Dags, Sqlite
from harness.rest import RestClient
from harness.settings import environment as settings
from harness.slots import SlotSampler

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from harness.database import Database
    from harness.runs import DagRunResult

EXAMPLES = Path(__file__).parent.parent / "example_dags"
#: Seconds after which something hangs, on the slowest machine.
HANGS = 500.0


class PrivateAirflow:
    """
    A context manager around one Airflow, 2.11 or 3.x. Linux only: it finds its processes in `/proc`. Every method that
    waits raises :class:`AirflowFailed` if a component ends or the time is over.

    :param dags_folder: the DAG files
    :param connections: connections by id, each in the format of `airflow connections import`
    :param environment: more environment variables for every component
    :param slots: how many tasks run at the same time
    :param database: another database than a SQLite file in the home directory
    :param triggerers: how many
    :param celery_workers: how many; the database must be :class:`~harness.services.Services`, which has a broker
    :param by_schedule: whether DAGs run by their schedules too; otherwise the clock starts nothing that a test counts

    `home` is AIRFLOW_HOME, a temporary directory. `url` is the address of the user interface and of the API. `starting`
    is the component that :meth:`start` waits for at the moment.
    """

    def __init__(
        self,
        dags_folder: str | Path,
        *,
        connections: Mapping[str, Mapping[str, Any]] | None = None,
        environment: Mapping[str, str] | None = None,
        slots: int = 16,
        database: Database | None = None,
        triggerers: int = 1,
        celery_workers: int = 0,
        by_schedule: bool = False,
    ) -> None:
        self.version = version("apache-airflow")
        self.url = f"http://127.0.0.1:{free_port()}"
        self.fernet_key = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
        self.home = Path(tempfile.mkdtemp(prefix="airflow-")).resolve()
        self.database = database or Sqlite(self.home / "airflow.db")
        self.query = self.database.query
        self.starting = ""
        self._connections = connections
        self._version_2 = self.version.startswith("2.")
        dags_folder = Path(dags_folder).resolve()
        variables = settings(self.home, dags_folder, url=self.url, fernet_key=self.fernet_key, slots=slots)
        variables["AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE"] = str(by_schedule)
        variables |= self.database.environment | dict(environment or {})
        self.rest = RestClient(self.url, self._version_2)
        self.components = Components(self.home, variables, self.rest, self.query, triggerers, celery_workers)
        self.slots = SlotSampler(self.query)
        self._dags = Dags(self.query)

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        shutil.rmtree(self.home, ignore_errors=True)

    def start(self, timeout: float = HANGS) -> None:
        """Migrate the database, start every component and wait until each is ready."""
        deadline = time.monotonic() + timeout
        if self._version_2:
            # No login. Airflow 3 has a setting for this.
            (self.home / "webserver_config.py").write_text('AUTH_ROLE_PUBLIC = "Admin"\n')
        self.starting = "database"
        self.components.start("migrate", "db", "migrate")
        self.components.finish("migrate", deadline - time.monotonic())
        for name in self.components.names:
            self.components.launch(name)
        if self._connections:
            self.starting = "connections"
            self._import_connections(deadline)
        for name in self.components.names:
            self.starting = name
            self.components.wait_ready(name, deadline)
        self.slots.start()

    def stop(self) -> None:
        """End every process, also those of tasks. The home directory stays until the context ends."""
        self.slots.stop()
        self.components.stop()

    def _import_connections(self, deadline: float) -> None:
        path = self.home / "connections.json"
        try:
            with open(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
                json.dump(self._connections, file)
            self.components.start("connections", "connections", "import", str(path))
            self.components.finish("connections", deadline - time.monotonic())
        finally:
            path.unlink(missing_ok=True)

    def run_dag(self, dag_id: str, conf: Mapping[str, Any] | None = None, timeout: float = HANGS) -> DagRunResult:
        """Unpause and trigger a DAG, and wait for the run."""
        deadline = time.monotonic() + timeout
        return self.wait(dag_id, self.trigger(dag_id, conf, timeout), deadline - time.monotonic())

    def trigger(self, dag_id: str, conf: Mapping[str, Any] | None = None, timeout: float = HANGS) -> str:
        """Unpause and trigger a DAG as soon as it is parsed, and return the id of the run."""
        self.unpause(dag_id, timeout)
        run = {"conf": conf or {}} | ({} if self._version_2 else {"logical_date": None})
        return str(self.rest.request("POST", f"/dags/{dag_id}/dagRuns", run)["dag_run_id"])

    def schedule(self, dag_id: str, timeout: float = HANGS) -> str:
        """Unpause a DAG, and return the id of the run that the scheduler then creates (`by_schedule`)."""
        self.unpause(dag_id, timeout)
        deadline, complaint = time.monotonic() + timeout, f"{dag_id} did not start"
        return self.components.wait_until(lambda: self._dags.scheduled_run(dag_id), deadline, complaint, "scheduler")

    def unpause(self, dag_id: str, timeout: float = HANGS) -> None:
        """Wait until a DAG is parsed, and unpause it."""
        parser = "scheduler" if self._version_2 else "dag-processor"
        deadline, complaint = time.monotonic() + timeout, f"{dag_id} was not parsed"
        self.components.wait_until(lambda: self._dags.is_parsed(dag_id), deadline, complaint, parser)
        self.rest.request("PATCH", f"/dags/{dag_id}", {"is_paused": False})

    def wait(self, dag_id: str, run_id: str, timeout: float = HANGS) -> DagRunResult:
        """Wait for a DAG run. If it does not finish in time, the error lists its task instances."""
        deadline, complaint, run = time.monotonic() + timeout, f"{dag_id} {run_id} did not finish", (dag_id, run_id)
        try:
            return self.components.wait_until(lambda: self._dags.finished_run(*run), deadline, complaint, "scheduler")
        except AirflowFailed as err:
            raise AirflowFailed(f"{err}\n{self._dags.tasks(*run)}") from None

    def logs(self) -> Iterator[tuple[Path, bytes]]:
        """All log files, and the output of all processes."""
        for folder in ("logs", "output"):
            for path in sorted((self.home / folder).rglob("*")):
                if path.is_file():
                    yield path, path.read_bytes()


def with_examples(folder: Path, target: Path) -> Path:
    """Copy the example DAGs and another folder's DAG files into one folder, because Airflow reads only one."""
    for source in (EXAMPLES, folder):
        shutil.copytree(source, target, dirs_exist_ok=True)
    return target
