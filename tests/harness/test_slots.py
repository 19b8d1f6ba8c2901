"""Slot-seconds are time multiplied by running tasks, counted for each DAG run."""

from __future__ import annotations

import sqlite3
import threading
import time

import pytest

from harness import slots
from harness.slots import SlotSampler


@pytest.fixture
def sampled(monkeypatch):
    """Samples prepared query results, and returns the elapsed seconds and the slot-seconds."""
    monkeypatch.setattr(slots, "INTERVAL", 0.01)

    def sampled(*results):
        remaining, ended = iter(results), threading.Event()

        def query(_):
            result = next(remaining, None)
            if result is None:
                ended.set()
                return []
            if isinstance(result, Exception):
                raise result
            return result

        sampler = SlotSampler(query)
        began = time.monotonic()
        sampler.start()
        assert ended.wait(10)
        sampler.stop()
        return time.monotonic() - began, sampler.seconds

    return sampled


def test_two_tasks_take_twice_the_time_and_each_run_is_counted_separately(sampled):
    took, seconds = sampled(*[[("dag", "one", 2), ("dag", "other", 1)]] * 20)
    assert 0.2 <= seconds["dag", "other"] <= took
    assert seconds["dag", "one"] == pytest.approx(2 * seconds["dag", "other"])


def test_no_time_is_lost_while_the_database_is_locked(sampled):
    locked = [sqlite3.OperationalError("database is locked")] * 20
    took, seconds = sampled(*locked, [("dag", "run", 1)])
    assert 0.2 <= seconds["dag", "run"] <= took


def test_a_run_without_tasks_has_no_slot_seconds_and_a_sampler_that_was_not_started_can_be_stopped():
    sampler = SlotSampler(lambda _: [])
    sampler.stop()
    assert sampler.seconds["dag", "run"] == 0
