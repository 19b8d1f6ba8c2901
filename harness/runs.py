"""The result of a DAG run. It includes the error texts, because a private Airflow's logs are deleted with it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from datetime import datetime
    from pathlib import Path


@dataclass(frozen=True)
class DagRunResult:
    """
    A finished DAG run.

    :param state: `success` or `failed`
    :param tasks: the state of each task instance by task id and map index (-1 for a task that is not mapped)
    :param start: when the run began, in UTC
    :param end: when it finished, in UTC
    """

    dag_id: str
    run_id: str
    state: str
    tasks: Mapping[tuple[str, int], str | None]
    start: datetime
    end: datetime

    @property
    def duration(self) -> float:
        """Seconds."""
        return (self.end - self.start).total_seconds()

    def errors(self, logs: Iterable[tuple[Path, bytes]]) -> Iterator[str]:
        """
        The errors of its tasks, each after its task id.

        :param logs: the log files of an Airflow, also those of other runs
        """
        yield from self._told(logs, errors_in)

    def warnings(self, logs: Iterable[tuple[Path, bytes]]) -> Iterator[str]:
        """The warnings of its tasks, as :meth:`errors`."""
        yield from self._told(logs, warnings_in)

    def _told(self, logs: Iterable[tuple[Path, bytes]], found: Callable[[bytes], Iterator[str]]) -> Iterator[str]:
        for path, text in logs:
            if f"run_id={self.run_id}" in path.parts:
                task = next(part for part in path.parts if part.startswith("task_id="))
                for each in found(text):
                    yield f"{self.dag_id} {task.removeprefix('task_id=')}: {each}"


def warnings_in(log: bytes) -> Iterator[str]:
    """The warnings in the log of a task, in order."""
    for line in log.decode(errors="replace").splitlines():
        if line.startswith("{"):  # Airflow 3
            entry = json.loads(line)
            if entry.get("level") == "warning":
                yield entry["event"]
        elif warning := line.partition(" WARNING - ")[2]:  # Airflow 2
            yield warning


def errors_in(log: bytes) -> Iterator[str]:
    """The errors in the log of a task, in order; on Airflow 3 each as `Type: message`."""
    for line in log.decode(errors="replace").splitlines():
        if '"error_detail":' in line:  # Airflow 3
            first = json.loads(line)["error_detail"][0]
            yield f"{first['exc_type']}: {first['exc_value']}"
        elif error := line.partition(" ERROR - ")[2]:  # Airflow 2
            yield error
