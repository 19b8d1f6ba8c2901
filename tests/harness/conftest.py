"""A private Airflow that is never started, with a database of its own."""

from __future__ import annotations

import contextlib
import sqlite3
import tempfile

import pytest

from harness.airflow import PrivateAirflow

TABLES = """
PRAGMA journal_mode=WAL;
CREATE TABLE serialized_dag (dag_id TEXT);
CREATE TABLE dag (dag_id TEXT);
CREATE TABLE import_error (filename TEXT, stacktrace TEXT);
CREATE TABLE dag_run (dag_id TEXT, run_id TEXT, run_type TEXT, state TEXT, start_date TEXT, end_date TEXT);
CREATE TABLE task_instance (dag_id TEXT, run_id TEXT, task_id TEXT, map_index INTEGER, state TEXT, next_kwargs JSON);
CREATE TABLE job (job_type TEXT, state TEXT, start_date TEXT);
CREATE TABLE connection (id INTEGER PRIMARY KEY, password TEXT, extra TEXT);
CREATE TABLE variable (id INTEGER PRIMARY KEY, val TEXT);
CREATE TABLE trigger (id INTEGER PRIMARY KEY, kwargs TEXT);
CREATE TABLE xcom (value BLOB);
"""


@pytest.fixture
def private(tmp_path, monkeypatch):
    """Makes a private Airflow whose home is below the test's directory."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return lambda **options: PrivateAirflow(tmp_path / "dags", **options)


@pytest.fixture
def script(tmp_path):
    """Writes a script that runs in place of Airflow, and returns the environment for it."""

    def script(text):
        package = tmp_path / "library" / "airflow"
        package.mkdir(parents=True)
        (package / "__init__.py").touch()
        (package / "__main__.py").write_text(text)
        return {"PYTHONPATH": str(package.parent)}

    return script


@pytest.fixture
def airflow(private):
    made = private()
    with contextlib.closing(sqlite3.connect(made.database.path)) as database:
        database.executescript(TABLES)
    return made


@pytest.fixture
def write(airflow):
    """Runs SQL statements; one statement may have parameters."""

    def write(*statements, values=()):
        with contextlib.closing(sqlite3.connect(airflow.database.path)) as database, database:
            for sql in statements:
                database.execute(sql, values)

    return write
