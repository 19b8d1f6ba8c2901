"""Queries to the metadata database of an Airflow. Nothing here writes to it. Its times are in UTC."""

from __future__ import annotations

import contextlib
import sqlite3
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol

from harness.commands import AirflowFailed
from harness.runs import DagRunResult

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


class Query(Protocol):
    """Runs SQL with a `?` for each parameter. Rows have their values by column name."""

    def __call__(self, sql: str, params: Sequence[Any] = (), /) -> list[Any]: ...


def sqlite_query(path: Path) -> Query:
    """Queries to a SQLite file, which is opened read-only."""

    def query(sql: str, params: Sequence[Any] = ()) -> list[Any]:
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)) as connection:
            connection.row_factory = sqlite3.Row
            return connection.execute(sql, params).fetchall()

    return query


class Dags:
    """The state of DAGs and of their runs."""

    def __init__(self, query: Query) -> None:
        self._query = query

    def is_parsed(self, dag_id: str) -> bool:
        """Whether a DAG can be triggered; an error if any DAG file cannot be imported."""
        for file, trace in self._query("SELECT filename, stacktrace FROM import_error"):
            raise AirflowFailed(f"{file} cannot be imported:\n{trace}")
        # Airflow 2 commits a new DAG's serialized form before the row that its API reads, Airflow 3 after it.
        return bool(self._query("SELECT 1 FROM serialized_dag JOIN dag USING (dag_id) WHERE dag_id = ?", (dag_id,)))

    def scheduled_run(self, dag_id: str) -> str | None:
        """The id of the last run that the scheduler created, if it created one."""
        rows = self._query("SELECT run_id FROM dag_run WHERE dag_id = ? AND run_type = 'scheduled'", (dag_id,))
        return str(rows[-1]["run_id"]) if rows else None

    def finished_run(self, dag_id: str, run_id: str) -> DagRunResult | None:
        """The result of a run, if it has finished."""
        sql = "SELECT * FROM dag_run WHERE dag_id = ? AND run_id = ? AND state IN ('success', 'failed')"
        for run in self._query(sql, (dag_id, run_id)):
            start, end = (datetime.fromisoformat(str(run[f"{x}_date"])).replace(tzinfo=UTC) for x in ("start", "end"))
            return DagRunResult(dag_id, run_id, run["state"], self.tasks(dag_id, run_id), start, end)
        return None

    def tasks(self, dag_id: str, run_id: str) -> dict[tuple[str, int], str | None]:
        """The state of each task instance of a run, by task id and map index."""
        sql = "SELECT task_id, map_index, state FROM task_instance WHERE dag_id = ? AND run_id = ?"
        return {(row["task_id"], row["map_index"]): row["state"] for row in self._query(sql, (dag_id, run_id))}
