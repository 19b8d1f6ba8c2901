"""Metrics have the documented names, and each wait has one log line."""

from __future__ import annotations

import pytest

from airflow_provider_atlas import metrics
from airflow_provider_atlas.exceptions import RateLimited


@pytest.fixture
def stats(mocker):
    return mocker.patch.object(metrics, "Stats")


def test_events_are_counted(stats):
    metrics.count("generated")
    stats.incr.assert_called_once_with("atlas.token.generated")


def test_a_wait_writes_one_log_line_with_length_and_reason_and_two_metrics(stats, caplog):
    caplog.set_level("INFO")
    metrics.waiting(RateLimited(status=429, retry_after=30), 31.5)
    (record,) = caplog.records
    assert record.message == "Waiting 31.5 s for Atlas. Atlas limits the rate of requests (HTTP 429)."
    stats.incr.assert_called_once_with("atlas.token.throttled")
    stats.timing.assert_called_once_with("atlas.token.wait", 31_500)


def test_the_days_left_are_a_gauge_with_the_client_id_as_tag(stats):
    metrics.days_left("mdb_sa_id_x", 13.5)
    stats.gauge.assert_called_once_with("atlas.secret.days_left", 13.5, tags={"client_id": "mdb_sa_id_x"})
