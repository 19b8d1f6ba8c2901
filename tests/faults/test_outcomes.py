"""The classification of a task's end by what Airflow stores about it."""

from __future__ import annotations

import json

import pytest

from tests.faults.outcomes import is_breach, outcome


def failed_with(kind: str, text: str = "") -> bytes:
    line = {"event": "Task failed with exception", "error_detail": [{"exc_type": kind, "exc_value": text}]}
    return b"a line of text\n" + json.dumps(line).encode()


@pytest.mark.parametrize(
    ("state", "log", "events", "expected"),
    [
        ("success", b"", [], "success"),
        ("success", failed_with("KeyError"), [], "success"),
        ("skipped", b"", [], "skipped"),
        ("upstream_failed", b"", [], "upstream_failed"),
        ("failed", failed_with("RateLimited"), [], "typed error"),
        ("failed", failed_with("AtlasApiError", "Atlas reported HTTP 500"), [], "typed error"),
        ("failed", failed_with("AtlasApiError", "Atlas reported HTTP 401"), [], "token revoked in use"),
        ("failed", failed_with("TokenExpired"), [], "token revoked in use"),
        ("failed", failed_with("AirflowRuntimeError"), [], "Airflow's error"),
        ("failed", failed_with("TaskDeferralTimeout"), [], "Airflow's error"),
        ("failed", b"", ["heartbeat timeout None"], "killed, as Airflow reports"),
        ("failed", b"Process exited with -9", [], "killed, as Airflow reports"),
        ("failed", b"try 01a21208-9f53-7d1f of 2026-9-9", [], "unexplained"),
        ("failed", failed_with("KeyError"), ["heartbeat timeout None"], "unexplained"),
        ("failed", b"", ["running None"], "unexplained"),
        ("running", b"", [], "not ended"),
        ("deferred", failed_with("RateLimited"), [], "not ended"),
        (None, b"", [], "not ended"),
    ],
)
def test_the_end_of_a_task_is_classified_by_state_last_error_and_airflow_s_report(state, log, events, expected):
    assert outcome(state, log, events) == expected
    assert is_breach(expected) is (expected in {"token revoked in use", "unexplained", "not ended"})


def test_the_last_of_two_errors_classifies_the_end():
    assert outcome("failed", failed_with("KeyError") + b"\n" + failed_with("RateLimited"), []) == "typed error"
