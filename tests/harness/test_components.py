"""A component is ready when it shows that itself works, not its predecessor or a sibling."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from harness.commands import AirflowFailed


def test_a_component_is_ready_when_its_own_job_runs_and_not_that_of_its_predecessor(airflow, write, monkeypatch):
    components = airflow.components
    monkeypatch.setattr(components, "tail", lambda name: "")
    components._started["triggerer"] = datetime(2026, 1, 1, 10, 0, 1, tzinfo=UTC)
    write("INSERT INTO job VALUES ('TriggererJob', 'running', '2026-01-01 10:00:00.999999')")
    with pytest.raises(AirflowFailed, match="triggerer is not ready in time"):
        components.wait_ready("triggerer", 0)
    write("INSERT INTO job VALUES ('TriggererJob', 'running', '2026-01-01 10:00:01.000001')")
    components.wait_ready("triggerer", 0)


def test_the_first_of_two_triggerers_is_ready_when_two_jobs_were_started_after_it(private, monkeypatch):
    rows: list[str] = []
    components = private(triggerers=2, celery_workers=1).components
    monkeypatch.setattr(components, "_query", lambda sql, params: rows)
    monkeypatch.setattr(components, "tail", lambda name: "")
    assert components.names[:5] == ["scheduler", "triggerer", "triggerer.2", "celery-worker", "api-server"]
    for second, name in enumerate(("scheduler", "triggerer", "triggerer.2")):
        components._started[name] = datetime(2026, 1, 1, 10, 0, second, tzinfo=UTC)
    rows.append("one")
    with pytest.raises(AirflowFailed, match="triggerer is not ready in time"):
        components.wait_ready("triggerer", 0)
    components.wait_ready("triggerer.2", 0)
    rows.append("two")
    components.wait_ready("triggerer", 0)


def test_a_celery_worker_is_ready_when_its_own_output_says_so(private, monkeypatch):
    components = private(celery_workers=2).components
    output = {"celery-worker": "", "celery-worker.2": "celery@celery-worker.2@localhost ready."}
    monkeypatch.setattr(components, "tail", output.get)
    components._started = dict.fromkeys(output, datetime.now(UTC))
    components.wait_ready("celery-worker.2", 0)
    with pytest.raises(AirflowFailed, match="celery-worker is not ready in time"):
        components.wait_ready("celery-worker", 0)


def test_an_api_server_is_not_ready_while_its_port_is_closed(airflow, monkeypatch):
    monkeypatch.setattr(airflow.components, "tail", lambda name: "")
    airflow.components._started["api-server"] = datetime.now(UTC)
    with pytest.raises(AirflowFailed, match="api-server is not ready in time"):
        airflow.components.wait_ready("api-server", 0)
