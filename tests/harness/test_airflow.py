"""What a private Airflow does without its components: it passes connections on, waits for DAGs and lists logs."""

from __future__ import annotations

import sqlite3
import sys
from datetime import UTC, datetime

import pytest

from harness.airflow import EXAMPLES, with_examples
from harness.commands import AirflowFailed


def test_the_database_can_be_read_and_not_written(airflow, write):
    write("INSERT INTO serialized_dag VALUES ('a')")
    assert [row["dag_id"] for row in airflow.query("SELECT * FROM serialized_dag WHERE dag_id = ?", ("a",))] == ["a"]
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        airflow.query("DELETE FROM serialized_dag")


def test_a_dag_that_cannot_be_imported_is_an_error_that_shows_the_traceback(airflow, write):
    write("INSERT INTO import_error VALUES ('/dags/broken.py', 'NameError: nonsense')")
    with pytest.raises(AirflowFailed, match=r"broken\.py cannot be imported:\nNameError: nonsense"):
        airflow.trigger("anything")


def test_a_dag_is_not_parsed_while_one_of_its_two_rows_is_missing(airflow, write, monkeypatch):
    requests = []
    monkeypatch.setattr(airflow.rest, "request", lambda *request: requests.append(request))
    write("INSERT INTO serialized_dag VALUES ('half'), ('whole')", "INSERT INTO dag VALUES ('whole')")
    airflow.unpause("whole")
    assert requests == [("PATCH", "/dags/whole", {"is_paused": False})]
    monkeypatch.setattr(airflow.components, "tail", lambda name: "")
    with pytest.raises(AirflowFailed, match="half was not parsed in time"):
        airflow.unpause("half", timeout=0)


def test_a_run_that_does_not_finish_is_an_error_that_lists_its_tasks(airflow, write, monkeypatch):
    monkeypatch.setattr(airflow.components, "tail", lambda name: f"last lines of the {name}")
    write(
        "INSERT INTO dag_run VALUES ('d', 'r', 'manual', 'running', NULL, NULL)",
        "INSERT INTO task_instance VALUES ('d', 'r', 'use', 3, 'queued', NULL)",
    )
    with pytest.raises(AirflowFailed) as failed:
        airflow.wait("d", "r", timeout=0)
    assert str(failed.value) == "d r did not finish in time\nlast lines of the scheduler\n{('use', 3): 'queued'}"


def test_a_finished_run_has_its_own_tasks_and_its_times(airflow, write):
    write(
        "INSERT INTO dag_run VALUES ('d', 'r', 'manual', 'failed', '2026-01-01 10:00:00.5', '2026-01-01 10:01:00.75')",
        "INSERT INTO task_instance VALUES ('d', 'r', 'generate', -1, 'success', NULL)",
        "INSERT INTO task_instance VALUES ('d', 'r', 'use', 0, 'failed', NULL)",
        "INSERT INTO task_instance VALUES ('d', 'other', 'use', 0, 'success', NULL)",
    )
    result = airflow.wait("d", "r")
    assert (result.state, result.duration) == ("failed", 60.25)
    assert result.start == datetime(2026, 1, 1, 10, 0, 0, 500_000, tzinfo=UTC)
    assert result.tasks == {("generate", -1): "success", ("use", 0): "failed"}


def test_logs_are_those_of_tasks_and_of_processes(airflow):
    for name in ("logs/run_id=1/attempt=1.log", "output/scheduler.log", "elsewhere/no.log"):
        path = airflow.home / name
        path.parent.mkdir(parents=True)
        path.write_text(name)
    assert [text for _, text in airflow.logs()] == [b"logs/run_id=1/attempt=1.log", b"output/scheduler.log"]


def test_a_start_that_fails_leaves_no_process_and_no_directory(private, script):
    airflow = private(environment=script("import sys; sys.exit('no such column')"))
    with pytest.raises(AirflowFailed, match=r"migrate ended with 1\n  migrate \| no such column"), airflow:
        pass
    assert not airflow.home.exists()
    assert airflow.components.running == {}


def test_connections_are_imported_from_a_file_that_only_the_owner_can_read_and_that_is_deleted(private, script):
    text = "import os, sys; path = sys.argv[3]; print(oct(os.stat(path).st_mode), open(path).read())"
    airflow = private(environment=script(text), connections={"one": {"password": "secret"}})
    airflow._import_connections(sys.maxsize)
    assert airflow.components.tail("connections") == '  connections | 0o100600 {"one": {"password": "secret"}}'
    assert [path.name for path in airflow.home.iterdir()] == ["output"]
    airflow.stop()


def test_dag_files_are_copied_beside_the_examples(tmp_path):
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "mine.py").touch()
    gathered = with_examples(tmp_path / "own", tmp_path / "all")
    assert {path.name for path in gathered.glob("*.py")} == {"mine.py", *(path.name for path in EXAMPLES.glob("*.py"))}
