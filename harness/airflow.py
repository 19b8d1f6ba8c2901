"""
A real Airflow of one's own, because what scheduler, triggerer and workers do with a token shows nowhere else.

Scheduler, triggerer, DAG processor and API server run on SQLite and LocalExecutor, in a home directory of their own and
on a free loopback port, as separate processes that can be killed and started again. With another database and a broker
in its environment it can have Celery workers and several triggerers as well.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import secrets
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_fixed

from harness.commands import AirflowFailed, Components
from harness.runs import DagRunResult
from harness.settings import environment as settings
from harness.slots import SlotSampler

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["AirflowFailed", "DagRunResult", "PrivateAirflow"]

Query = Callable[[str, Sequence[Any]], list[Any]]

JOBS = {"scheduler": "SchedulerJob", "triggerer": "TriggererJob", "dag-processor": "DagProcessorJob"}


class _DatabaseBusy(AirflowFailed):
    """SQLite lets one process write at a time; what the API server rolled back then may be asked again."""


class PrivateAirflow:
    """
    A context manager around one Airflow, 2.11 or 3.x. Linux only: it finds its processes in `/proc`.

    :param dags_folder: the DAG files
    :param connections: connections by id, each as `airflow connections import` takes them
    :param environment: further environment variables of every component
    :param slots: how many tasks run at once
    :param connections_in: the metadata database, or the environment of every component
    :param python: the interpreter of the environment in which Airflow is installed
    :param home: a directory to use as AIRFLOW_HOME and to leave behind; by default a temporary one
    :param query: asks the metadata database, where `environment` names another than SQLite; see :meth:`query`
    :param triggerers: how many
    :param celery_workers: how many, where `environment` names the CeleryExecutor and its broker

    `url` is where its user interface and API are, `starting` what :meth:`start` waits for at the moment.
    """

    def __init__(
        self,
        dags_folder: str | Path,
        *,
        connections: Mapping[str, Mapping[str, Any]] | None = None,
        environment: Mapping[str, str] | None = None,
        slots: int = 16,
        connections_in: Literal["database", "environment"] = "database",
        python: str | Path = sys.executable,
        home: str | Path | None = None,
        query: Query | None = None,
        triggerers: int = 1,
        celery_workers: int = 0,
    ) -> None:
        python = Path(python)
        self.version = _version(python)
        self.url = f"http://127.0.0.1:{free_port()}"
        self.fernet_key = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
        self.home = Path(home).resolve() if home else Path(tempfile.mkdtemp(prefix="airflow-"))
        self.starting = ""
        self._temporary = home is None
        self._three = not self.version.startswith("2.")
        self._connections = dict(connections or {}) if connections_in == "database" else {}
        variables = settings(
            home=self.home,
            python=python,
            dags_folder=Path(dags_folder).resolve(),
            url=self.url,
            fernet_key=self.fernet_key,
            slots=slots,
        )
        if connections_in == "environment":
            variables |= {f"AIRFLOW_CONN_{name.upper()}": json.dumps(c) for name, c in (connections or {}).items()}
        self._query = query or self._query_sqlite
        self._triggerers, self._celery_workers = triggerers, celery_workers
        self._components = Components([python, "-m", "airflow"], self.home, variables | dict(environment or {}))
        self._born: dict[str, datetime] = {}
        self._slots = SlotSampler(self.query)

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        if self._temporary:
            shutil.rmtree(self.home, ignore_errors=True)

    # -- components

    @property
    def roles(self) -> tuple[str, ...]:
        """Names of the components; the second of a kind is called `triggerer.2`."""
        triggerers = [_nth("triggerer", number) for number in range(1, self._triggerers + 1)]
        workers = [_nth("celery-worker", number) for number in range(1, self._celery_workers + 1)]
        # Airflow 2 refuses a DAG processor of its own on SQLite: there it lives in the scheduler.
        return ("scheduler", *triggerers, *workers, "api-server", *(["dag-processor"] if self._three else []))

    def start(self, timeout: float = 240) -> None:
        """
        Migrate the database, start every component and wait until each is ready.

        :raises AirflowFailed: one of them ended or was not ready in time
        """
        deadline = time.monotonic() + timeout
        self.home.mkdir(parents=True, exist_ok=True)
        if not self._three:
            # Nobody logs in to a private Airflow; Airflow 3 has a setting for it.
            (self.home / "webserver_config.py").write_text('AUTH_ROLE_PUBLIC = "Admin"\n')
        self.starting = "database"
        self._components.start("migrate", "db", "migrate")
        self._components.finish("migrate", deadline - time.monotonic())
        for role in self.roles:
            self._start(role)
        if self._connections:
            self.starting = "connections"
            self._import_connections(deadline)
        for role in self.roles:
            self.starting = role
            self._await(role, deadline)
        self._slots.start()

    def stop(self) -> None:
        """
        End every process, those of tasks included; the home directory stays until the context ends.

        :raises AirflowFailed: something survived
        """
        self._slots.stop()
        self._components.stop()

    def kill(self, role: str) -> None:
        """End a component without warning, as a crash of its machine would: its children die with it."""
        self._components.kill(role)

    def start_component(self, role: str, timeout: float = 60) -> None:
        """Start a component again, after :meth:`kill` or instead of one that still runs, and wait until it is ready."""
        if role in self._components.running:
            self.kill(role)
        self._start(role)
        self._await(role, time.monotonic() + timeout)

    def pids(self, role: str) -> list[int]:
        """Process ids of a component, itself first; of `worker`, the processes in which the executor runs tasks."""
        if role != "worker":
            return self._components.pids(role)
        return [pid for pid in self._components.pids("scheduler")[1:] if b"worker -- LocalExecutor" in _title(pid)]

    def _start(self, role: str) -> None:
        host, port = self.url.removeprefix("http://").split(":")
        commands = {
            # Nothing reads logs over the network here, and the log servers' ports would collide with another Airflow's.
            "scheduler": ("scheduler", "--skip-serve-logs"),
            "triggerer": ("triggerer", "--skip-serve-logs"),
            "dag-processor": ("dag-processor",),
            "celery-worker": ("celery", "worker", "--skip-serve-logs", "--celery-hostname", f"{role}@localhost"),
            "api-server": ("api-server", "--host", host, "--port", port)
            if self._three
            else ("webserver", "--hostname", host, "--port", port, "--workers", "1"),
        }
        self._born[role] = datetime.now(UTC)
        self._components.start(role, *commands[_kind(role)])

    def _await(self, role: str, deadline: float) -> None:
        def works() -> bool:
            # The row of a predecessor that was killed looks alive for half a minute, and rows name no process: there
            # must be one for each of the kind that was started since.
            born, kind = self._born[role], _kind(role)
            sql = "SELECT 1 FROM job WHERE job_type = ? AND state = 'running' AND start_date >= ?"
            rows = self.query(sql, (JOBS[kind], f"{born:%Y-%m-%d %H:%M:%S.%f}"))
            return len(rows) >= sum(_kind(other) == kind and when >= born for other, when in self._born.items())

        def consumes() -> bool:
            return f"{role}@localhost ready." in self._components.tail(role)

        def answers() -> bool:
            try:
                self._http("GET", "/api/v2/version" if self._three else "/health")
            except OSError:
                return False
            return True

        ready = {"api-server": answers, "celery-worker": consumes}.get(_kind(role), works)
        self._until(ready, deadline, f"{role} is not ready", role)

    def _import_connections(self, deadline: float) -> None:
        path = self.home / "connections.json"
        try:
            with open(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
                json.dump(self._connections, file)
            self._components.start("connections", "connections", "import", str(path))
            self._components.finish("connections", deadline - time.monotonic())
        finally:
            path.unlink(missing_ok=True)

    # -- DAGs

    def run_dag(self, dag_id: str, conf: Mapping[str, Any] | None = None, timeout: float = 120) -> DagRunResult:
        """
        Unpause, trigger and wait.

        :raises AirflowFailed: a DAG cannot be imported, or the run did not finish in time
        """
        deadline = time.monotonic() + timeout
        return self.wait(dag_id, self.trigger(dag_id, conf, timeout), deadline - time.monotonic())

    def trigger(self, dag_id: str, conf: Mapping[str, Any] | None = None, timeout: float = 60) -> str:
        """Unpause and trigger a DAG as soon as it has been parsed, and return the run's id."""
        self.unpause(dag_id, timeout)
        run = {"conf": conf or {}} | ({"logical_date": None} if self._three else {})
        return str(self._api("POST", f"/dags/{dag_id}/dagRuns", run)["dag_run_id"])

    def schedule(self, dag_id: str, timeout: float = 60) -> str:
        """Unpause a DAG and return the id of the run that the scheduler then makes of its own accord."""
        self.unpause(dag_id, timeout)
        sql, params = "SELECT run_id FROM dag_run WHERE dag_id = ? AND run_type = 'scheduled'", (dag_id,)
        self._until(lambda: self.query(sql, params), time.monotonic() + timeout, f"{dag_id} did not start", "scheduler")
        return str(self.query(sql, params)[-1]["run_id"])

    def unpause(self, dag_id: str, timeout: float = 60) -> None:
        """Wait until a DAG has been parsed and let the scheduler have it."""

        def parsed() -> bool:
            for file, trace in self.query("SELECT filename, stacktrace FROM import_error"):
                raise AirflowFailed(f"{file} cannot be imported:\n{trace}")
            # Airflow 2 commits a new DAG's serialized form before the row that its API looks for, Airflow 3 after it.
            return bool(self.query("SELECT 1 FROM serialized_dag JOIN dag USING (dag_id) WHERE dag_id = ?", (dag_id,)))

        parser = "dag-processor" if self._three else "scheduler"
        self._until(parsed, time.monotonic() + timeout, f"{dag_id} was not parsed", parser)
        self._api("PATCH", f"/dags/{dag_id}", {"is_paused": False})

    def wait(self, dag_id: str, run_id: str, timeout: float = 120) -> DagRunResult:
        """
        Wait for a DAG run.

        :raises AirflowFailed: it did not finish in time; the message lists its task instances
        """
        key = (dag_id, run_id)
        runs = "SELECT * FROM dag_run WHERE dag_id = ? AND run_id = ? AND state IN ('success', 'failed')"
        try:
            finished = self._until(
                lambda: self.query(runs, key),
                time.monotonic() + timeout,
                f"{dag_id} {run_id} did not finish",
                "scheduler",
            )
        except AirflowFailed as err:
            raise AirflowFailed(f"{err}\n{self._tasks(key)}") from None
        run = finished[0]
        start, end = (datetime.fromisoformat(str(run[name])).replace(tzinfo=UTC) for name in ("start_date", "end_date"))
        return DagRunResult(dag_id, run_id, run["state"], self._tasks(key), start, end)

    def _tasks(self, key: tuple[str, str]) -> dict[tuple[str, int], str | None]:
        sql = "SELECT task_id, map_index, state FROM task_instance WHERE dag_id = ? AND run_id = ?"
        return {(row["task_id"], row["map_index"]): row["state"] for row in self.query(sql, key)}

    def _until(self, condition: Callable[[], Any], deadline: float, complaint: str, role: str) -> Any:
        while not (answer := condition()):
            process = self._components.running.get(role)
            if process and process.poll() is not None:
                raise AirflowFailed(f"{complaint}: {role} ended with {process.poll()}\n{self._components.tail(role)}")
            if time.monotonic() > deadline:
                raise AirflowFailed(f"{complaint} in time\n{self._components.tail(role)}")
            time.sleep(0.1)
        return answer

    # -- what can be seen

    @property
    def database(self) -> Path:
        return self.home / "airflow.db"

    def query(self, sql: str, params: Sequence[Any] = ()) -> list[Any]:
        """Rows of the metadata database, which is opened read-only; they answer to column names. Times are in UTC."""
        return self._query(sql, params)

    def _query_sqlite(self, sql: str, params: Sequence[Any]) -> list[Any]:
        with contextlib.closing(sqlite3.connect(f"file:{self.database}?mode=ro", uri=True, timeout=10)) as connection:
            connection.row_factory = sqlite3.Row
            return connection.execute(sql, params).fetchall()

    def logs(self) -> Iterator[tuple[Path, bytes]]:
        """Every log file and the output of every process."""
        for folder in ("logs", "output"):
            for path in sorted((self.home / folder).rglob("*")):
                if path.is_file():
                    yield path, path.read_bytes()

    def slot_seconds(self, dag_id: str, run_id: str) -> float:
        """How long the tasks of a run, all tries together, were running; a deferred task is not."""
        return self._slots.seconds[dag_id, run_id]

    # -- the API

    def _api(self, method: str, path: str, body: Mapping[str, Any]) -> Any:
        return self._http(method, f"/api/{'v2' if self._three else 'v1'}{path}", body)

    @retry(retry=retry_if_exception_type(_DatabaseBusy), wait=wait_fixed(1), stop=stop_after_delay(60), reraise=True)
    def _http(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        request = urllib.request.Request(  # noqa: S310
            self.url + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        # A proxy in the environment is not for loopback addresses.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=30) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as err:
            said = err.read().decode(errors="replace")
            kind = _DatabaseBusy if err.code == 500 and "Database error" in said else AirflowFailed
            raise kind(f"{method} {path}: {err.code} {said}") from None


def _version(python: Path) -> str:
    code = "from importlib.metadata import version; print(version('apache-airflow'))"
    return subprocess.run([python, "-c", code], check=True, capture_output=True, text=True).stdout.strip()


def _nth(kind: str, number: int) -> str:
    return kind if number == 1 else f"{kind}.{number}"


def _kind(role: str) -> str:
    return role.partition(".")[0]


def free_port() -> int:
    """A port of the loopback interface that nobody uses at the moment."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def _title(pid: int) -> bytes:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""
