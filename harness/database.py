"""The metadata database of an Airflow, and what it says of DAGs. Its times are in UTC."""

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

#: The option that names a database.
CONNECTION = "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"
#: After SQLite's own 5 s the triggerer of a busy machine ends with "database is locked".
PATIENCE = "?timeout=60"
KEPT = "leak_watch"
"""The table with a copy of what was written: columns `place` (table and column) and `value`."""


class Query(Protocol):
    """Runs SQL that only reads, with a `?` for each parameter. Rows have their values by column name."""

    def __call__(self, sql: str, params: Sequence[Any] = (), /) -> list[Any]: ...


class Database(Protocol):
    """A database; `environment` has the settings of an Airflow that uses it."""

    environment: dict[str, str]

    def query(self, sql: str, params: Sequence[Any] = (), /) -> list[Any]:
        """Run SQL as a :class:`Query` does."""

    def write(self, sql: str, params: Sequence[Any] = (), /) -> None:
        """Run a statement, with a `?` for each parameter."""

    def tables(self) -> list[str]:
        """The names of all tables."""

    def keep_writes(self, shortest: int) -> None:
        """Keep, in the table :data:`KEPT`, a copy of each text of this length or more that is written from now on."""


class Sqlite:
    """A SQLite file. What reads it opens it read-only."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.environment = {CONNECTION: f"sqlite:///{path}{PATIENCE}"}

    def query(self, sql: str, params: Sequence[Any] = (), /) -> list[Any]:
        with contextlib.closing(sqlite3.connect(f"file:{self.path}?mode=ro", uri=True, timeout=10)) as connection:
            connection.row_factory = sqlite3.Row
            return connection.execute(sql, params).fetchall()

    def write(self, sql: str, params: Sequence[Any] = (), /) -> None:
        with contextlib.closing(sqlite3.connect(self.path, timeout=30)) as connection, connection:
            connection.execute(sql, params)

    def tables(self) -> list[str]:
        rows = self.query("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
        return [name for (name,) in rows]

    def keep_writes(self, shortest: int) -> None:
        script = [f"CREATE TABLE {KEPT} (place TEXT, value BLOB)"]
        for table in self.tables():
            columns = [row["name"] for row in self.query("SELECT * FROM pragma_table_info(?)", (table,))]
            for event, changed in (("INSERT", ""), ("UPDATE", 'AND NEW."{0}" IS NOT OLD."{0}"')):
                copies = " ".join(
                    f"""INSERT INTO {KEPT} SELECT '{table}.{column}', NEW."{column}"
                    WHERE length(NEW."{column}") >= {shortest} {changed.format(column)};"""
                    for column in columns
                )
                script.append(f'CREATE TRIGGER "kept_{event}_{table}" AFTER {event} ON "{table}" BEGIN {copies} END')
        with contextlib.closing(sqlite3.connect(self.path, timeout=30, isolation_level=None)) as connection:
            connection.executescript(f"BEGIN IMMEDIATE; {'; '.join(script)}; COMMIT")


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
