"""The components of one Airflow: how each is started, and how it shows that it is ready."""

from __future__ import annotations

import contextlib
import sys
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from harness.commands import Commands
from harness.database import CONNECTION, PATIENCE

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from harness.database import Query
    from harness.rest import RestClient

JOBS = {"scheduler": "SchedulerJob", "triggerer": "TriggererJob", "dag-processor": "DagProcessorJob"}


class Components(Commands):
    """`names` lists the components; the second of a kind is called `triggerer.2`."""

    def __init__(
        self, home: Path, environment: Mapping[str, str], rest: RestClient, query: Query, triggerers: int, workers: int
    ) -> None:
        super().__init__([sys.executable, "-m", "airflow"], home, environment)
        self._rest, self._query = rest, query
        self._started: dict[str, datetime] = {}
        self.names = ["scheduler", *_numbered("triggerer", triggerers), *_numbered("celery-worker", workers)]
        # With SQLite, Airflow 2 allows no separate DAG processor: it runs in the scheduler.
        self.names += ["api-server"] if rest.version_2 else ["api-server", "dag-processor"]

    def launch(self, name: str) -> None:
        """Start a component."""
        host, port = self._rest.url.removeprefix("http://").split(":")
        commands = {
            # No log is read over the network here, and another Airflow may use the ports of the log servers.
            "scheduler": ("scheduler", "--skip-serve-logs"),
            "triggerer": ("triggerer", "--skip-serve-logs"),
            "dag-processor": ("dag-processor",),
            "celery-worker": ("celery", "worker", "--skip-serve-logs", "--celery-hostname", f"{name}@localhost"),
            "api-server": ("webserver", "--hostname", host, "--port", port, "--workers", "1")
            if self._rest.version_2
            else ("api-server", "--host", host, "--port", port),
        }
        more = {}
        if _kind(name) == "api-server":
            # On SQLite its sessions wait for each other; the sooner one gives up, the sooner it responds again.
            more = {CONNECTION: self._environment[CONNECTION].removesuffix(PATIENCE)}
        self._started[name] = datetime.now(UTC)
        self.start(name, *commands[_kind(name)], **more)

    def restart(self, name: str, timeout: float = 300) -> None:
        """Start a component that was killed, and wait until it is ready."""
        self.launch(name)
        self.wait_ready(name, time.monotonic() + timeout)

    def wait_ready(self, name: str, deadline: float) -> None:
        """Wait until a component works."""
        self.wait_until(lambda: self._is_ready(name), deadline, f"{name} is not ready", name)

    def _is_ready(self, name: str) -> bool:
        kind, since = _kind(name), self._started[name]
        if kind == "api-server":
            with contextlib.suppress(OSError):
                return bool(self._rest.request("GET", "/version"))
            return False
        if kind == "celery-worker":
            return f"{name}@localhost ready." in self.tail(name)
        # The row of a killed component says "running" for half a minute, and no row names a process. So count: there
        # must be one row for each component of this kind that was started at this time or later.
        sql = "SELECT 1 FROM job WHERE job_type = ? AND state = 'running' AND start_date >= ?"
        rows = self._query(sql, (JOBS[kind], f"{since:%Y-%m-%d %H:%M:%S.%f}"))
        return len(rows) >= sum(_kind(other) == kind and when >= since for other, when in self._started.items())


def _numbered(kind: str, count: int) -> list[str]:
    return [kind, *(f"{kind}.{number}" for number in range(2, count + 1))][:count]


def _kind(name: str) -> str:
    return name.partition(".")[0]
