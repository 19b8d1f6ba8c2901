"""What came of a DAG run, in its own words where it failed: Airflow's logs go with the Airflow."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import datetime
    from pathlib import Path


@dataclass(frozen=True)
class DagRunResult:
    """
    A finished DAG run.

    :param state: `success` or `failed`
    :param tasks: the state of each task instance by task id and map index (-1 for a task that is not mapped)
    :param start: when the run began to run, in UTC
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
        The errors in the logs of its tasks, one at a time and each behind its task id.

        :param logs: the log files of an Airflow, those of other runs among them
        """
        for path, text in logs:
            if f"run_id={self.run_id}" in path.parts:
                task = next(part for part in path.parts if part.startswith("task_id="))
                for line in text.decode(errors="replace").splitlines():
                    if error := error_in(line):
                        yield f"{self.dag_id} {task.removeprefix('task_id=')}: {error}"


def error_in(line: str) -> str:
    """The error that a line of a task's log tells, as `Type: message` on Airflow 3; else an empty text."""
    if '"error_detail":' in line:  # Airflow 3
        first = json.loads(line)["error_detail"][0]
        return f"{first['exc_type']}: {first['exc_value']}"
    return line.partition(" ERROR - ")[2]  # Airflow 2
