"""The errors and warnings of a run are found in the logs of Airflow 2 and 3."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from harness.runs import DagRunResult

START = datetime(2026, 1, 1, tzinfo=UTC)
RESULT = DagRunResult("dag", "this", "failed", {("generate", -1): "failed"}, START, START + timedelta(seconds=90))

THREE = json.dumps(
    {"level": "error", "event": "Task failed", "error_detail": [{"exc_type": "InvalidClient", "exc_value": "expired"}]}
)
TWO = "[2026-01-01] {taskinstance.py:1} ERROR - Failed: expired"


def log(run: str, text: str) -> tuple[Path, bytes]:
    return Path(f"logs/dag_id=dag/run_id={run}/task_id=generate/attempt=1.log"), text.encode()


@pytest.mark.parametrize(("line", "error"), [(THREE, "InvalidClient: expired"), (TWO, "Failed: expired")])
def test_each_error_has_its_task_id(line, error):
    noise = '{"level": "info"}\n[2026] INFO - no ERROR here\n'
    assert list(RESULT.errors([log("this", f"{noise}{line}\n")])) == [f"dag generate: {error}"]


@pytest.mark.parametrize(
    "line", ['{"level": "warning", "event": "too short"}', "[2026-01-01] {masker.py:1} WARNING - too short"]
)
def test_each_warning_has_its_task_id(line):
    noise = '{"level": "info", "event": "no warning"}\n[2026] INFO - no WARNING here\n'
    assert list(RESULT.warnings([log("this", f"{noise}{line}\n")])) == ["dag generate: too short"]


def test_the_errors_of_other_runs_and_of_processes_are_left_out():
    logs = [log("other", TWO), (Path("output/scheduler.log"), TWO.encode())]
    assert list(RESULT.errors(logs)) == []


def test_the_duration_is_the_time_from_start_to_end():
    assert RESULT.duration == 90
