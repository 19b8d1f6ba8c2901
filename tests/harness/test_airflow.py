"""What can be said of a private Airflow without starting one: its database, its logs, its way with connections."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import sys
import tempfile
import threading
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from tenacity import wait_none

from harness.airflow import AirflowFailed, PrivateAirflow

TABLES = """
CREATE TABLE serialized_dag (dag_id TEXT);
CREATE TABLE dag (dag_id TEXT);
CREATE TABLE import_error (filename TEXT, stacktrace TEXT);
CREATE TABLE dag_run (dag_id TEXT, run_id TEXT, run_type TEXT, state TEXT, start_date TEXT, end_date TEXT);
CREATE TABLE task_instance (dag_id TEXT, run_id TEXT, task_id TEXT, map_index INTEGER, state TEXT);
CREATE TABLE job (job_type TEXT, state TEXT, start_date TEXT);
"""


@pytest.fixture
def airflow(tmp_path):
    made = PrivateAirflow(tmp_path / "dags", home=tmp_path, connections={"one": {"password": "secret"}})
    with contextlib.closing(sqlite3.connect(made.database)) as database:
        database.executescript(TABLES)
    return made


def write(airflow, *statements):
    with contextlib.closing(sqlite3.connect(airflow.database)) as database:
        database.executescript(";".join(statements))


def test_the_database_can_be_read_and_not_written(airflow):
    write(airflow, "INSERT INTO serialized_dag VALUES ('a')")
    assert [row["dag_id"] for row in airflow.query("SELECT * FROM serialized_dag WHERE dag_id = ?", ("a",))] == ["a"]
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        airflow.query("DELETE FROM serialized_dag")


def test_a_dag_that_cannot_be_imported_is_an_error_that_shows_the_traceback(airflow):
    write(airflow, "INSERT INTO import_error VALUES ('/dags/broken.py', 'NameError: nonsense')")
    with pytest.raises(AirflowFailed, match=r"broken\.py cannot be imported:\nNameError: nonsense"):
        airflow.trigger("anything")


def test_a_dag_of_which_only_half_is_in_the_database_has_not_been_parsed(airflow, monkeypatch):
    asked = []
    monkeypatch.setattr(airflow, "_api", lambda *request: asked.append(request))
    write(airflow, "INSERT INTO serialized_dag VALUES ('half'), ('whole')", "INSERT INTO dag VALUES ('whole')")
    airflow.unpause("whole")
    assert asked == [("PATCH", "/dags/whole", {"is_paused": False})]
    monkeypatch.setattr(airflow._components, "tail", lambda role: "")
    with pytest.raises(AirflowFailed, match="half was not parsed in time"):
        airflow.unpause("half", timeout=0)


def test_a_run_that_does_not_finish_is_an_error_that_lists_its_tasks(airflow, monkeypatch):
    monkeypatch.setattr(airflow._components, "tail", lambda role: f"the {role}'s last words")
    write(
        airflow,
        "INSERT INTO dag_run VALUES ('d', 'r', 'manual', 'running', NULL, NULL)",
        "INSERT INTO task_instance VALUES ('d', 'r', 'use', 3, 'queued')",
    )
    with pytest.raises(AirflowFailed) as failed:
        airflow.wait("d", "r", timeout=0)
    assert str(failed.value) == "d r did not finish in time\nthe scheduler's last words\n{('use', 3): 'queued'}"


def test_a_finished_run_is_told_with_its_tasks_and_times(airflow):
    write(
        airflow,
        "INSERT INTO dag_run VALUES ('d', 'r', 'manual', 'failed', '2026-01-01 10:00:00.5', '2026-01-01 10:01:00.75')",
        "INSERT INTO task_instance VALUES ('d', 'r', 'generate', -1, 'success'), ('d', 'r', 'use', 0, 'failed')",
        "INSERT INTO task_instance VALUES ('d', 'other', 'use', 0, 'success')",
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


@pytest.fixture
def script(tmp_path, monkeypatch):
    """A program in the place of Airflow."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    package = tmp_path / "library" / "airflow"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    return package / "__main__.py"


def private(script: Path, **options) -> PrivateAirflow:
    environment = {"PYTHONPATH": str(script.parent.parent)}
    return PrivateAirflow(script.parent, environment=environment, **options)


def test_a_start_that_fails_leaves_no_process_and_no_directory(script):
    script.write_text("import sys; sys.exit('no such column')")
    airflow = private(script)
    with pytest.raises(AirflowFailed, match=r"migrate ended with 1\n  migrate \| no such column"), airflow:
        pass
    assert not airflow.home.exists()
    assert airflow._components.running == {}


def test_connections_reach_the_database_through_a_file_that_only_the_owner_may_read_and_that_does_not_stay(
    script, tmp_path
):
    script.write_text("import os, sys; path = sys.argv[3]; print(oct(os.stat(path).st_mode), open(path).read())")
    airflow = private(script, home=tmp_path / "home", connections={"one": {"password": "secret"}})
    airflow.home.mkdir()
    airflow._import_connections(sys.maxsize)
    assert airflow._components.tail("connections") == '  connections | 0o100600 {"one": {"password": "secret"}}'
    assert [path.name for path in airflow.home.iterdir()] == ["output"]
    airflow.stop()


@pytest.mark.parametrize(("where", "expected"), [("environment", '{"password": "secret"}\n'), ("database", "None\n")])
def test_connections_can_come_from_the_environment_instead(script, where, expected):
    script.write_text("import os; print(os.environ.get('AIRFLOW_CONN_ONE'))")
    airflow = private(script, connections={"one": {"password": "secret"}}, connections_in=where)
    airflow._components.start("show")
    airflow._components.finish("show", 30)
    assert (airflow.home / "output" / "show.log").read_text() == expected
    airflow.__exit__()
    assert not airflow.home.exists()


@pytest.mark.parametrize(("said", "asked"), [("Database error", 2), ("Something else", 1)])
def test_a_request_that_met_a_locked_database_is_made_again(airflow, monkeypatch, said, asked):
    answers = [(500, f'{{"reason": "{said}"}}'), (200, "{}")]
    seen = []

    class Api(BaseHTTPRequestHandler):
        def do_GET(self):
            status, body = answers[len(seen)]
            seen.append(self.path)
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_):
            pass

    monkeypatch.setattr(PrivateAirflow._http.retry, "wait", wait_none())
    with ThreadingHTTPServer(("127.0.0.1", 0), Api) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        airflow.url = f"http://127.0.0.1:{server.server_port}"
        with contextlib.nullcontext() if asked == 2 else pytest.raises(AirflowFailed, match=said):
            assert airflow._http("GET", "/x") == {}
        server.shutdown()
    assert len(seen) == asked


def test_a_component_is_ready_when_its_own_job_runs_and_not_its_predecessor_s(airflow, monkeypatch):
    monkeypatch.setattr(airflow._components, "tail", lambda role: "")
    airflow._born["triggerer"] = datetime(2026, 1, 1, 10, 0, 1, tzinfo=UTC)
    write(airflow, "INSERT INTO job VALUES ('TriggererJob', 'running', '2026-01-01 10:00:00.999999')")
    with pytest.raises(AirflowFailed, match="triggerer is not ready in time"):
        airflow._await("triggerer", 0)
    write(airflow, "INSERT INTO job VALUES ('TriggererJob', 'running', '2026-01-01 10:00:01.000001')")
    airflow._await("triggerer", 0)


def test_workers_are_the_scheduler_s_children_by_their_title(airflow, monkeypatch):
    titles = {1: b"airflow scheduler -- LocalExecutor", 2: b"airflow worker -- LocalExecutor: <idle>", 3: b"python"}
    monkeypatch.setattr("harness.airflow._title", titles.get)
    monkeypatch.setattr(airflow._components, "pids", {"scheduler": [1, 2, 3]}.get)
    assert airflow.pids("worker") == [2]
    assert airflow.pids("scheduler") == [1, 2, 3]


def test_the_title_of_a_process_that_is_gone_is_empty():
    from harness.airflow import _title

    assert b"pytest" in _title(os.getpid())
    assert _title(2**22 + 1) == b""


def test_a_second_triggerer_is_ready_when_two_rows_are_younger_than_both(tmp_path, monkeypatch):
    rows: list[str] = []
    airflow = PrivateAirflow(tmp_path, home=tmp_path, triggerers=2, celery_workers=1, query=lambda sql, params: rows)
    monkeypatch.setattr(airflow._components, "tail", lambda role: "")
    assert airflow.roles[:4] == ("scheduler", "triggerer", "triggerer.2", "celery-worker")
    for second, role in enumerate(("scheduler", "triggerer", "triggerer.2")):
        airflow._born[role] = datetime(2026, 1, 1, 10, 0, second, tzinfo=UTC)
    rows.append("one")
    with pytest.raises(AirflowFailed, match="triggerer is not ready in time"):
        airflow._await("triggerer", 0)
    airflow._await("triggerer.2", 0)
    rows.append("two")
    airflow._await("triggerer", 0)


def test_a_celery_worker_is_ready_when_it_says_so(tmp_path, monkeypatch):
    airflow = PrivateAirflow(tmp_path, home=tmp_path, celery_workers=2)
    said = {"celery-worker": "", "celery-worker.2": "celery@celery-worker.2@localhost ready."}
    monkeypatch.setattr(airflow._components, "tail", said.get)
    airflow._await("celery-worker.2", 0)
    with pytest.raises(AirflowFailed, match="celery-worker is not ready in time"):
        airflow._await("celery-worker", 0)
