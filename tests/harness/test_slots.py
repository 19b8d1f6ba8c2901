"""Slot-seconds are time multiplied by running tasks, for each DAG run by itself."""

from __future__ import annotations

import sqlite3
import threading
import time

import pytest

from harness import slots
from harness.slots import SlotSampler


@pytest.fixture
def sampled(monkeypatch):
    """Sample what a script of answers says, and return the seconds that it took beside what was counted."""
    monkeypatch.setattr(slots, "INTERVAL", 0.01)

    def sampled(*answers):
        script, over = iter(answers), threading.Event()

        def query(_):
            answer = next(script, None)
            if answer is None:
                over.set()
                return []
            if isinstance(answer, Exception):
                raise answer
            return answer

        sampler = SlotSampler(query)
        began = time.monotonic()
        sampler.start()
        assert over.wait(10)
        sampler.stop()
        return time.monotonic() - began, sampler.seconds

    return sampled


def test_two_tasks_take_twice_the_time_and_runs_are_kept_apart(sampled):
    took, seconds = sampled(*[[("dag", "one", 2), ("dag", "other", 1)]] * 20)
    assert 0.2 <= seconds["dag", "other"] <= took
    assert seconds["dag", "one"] == pytest.approx(2 * seconds["dag", "other"])


def test_a_locked_database_loses_no_time(sampled):
    locked = [sqlite3.OperationalError("database is locked")] * 20
    took, seconds = sampled(*locked, [("dag", "run", 1)])
    assert 0.2 <= seconds["dag", "run"] <= took


def test_a_run_that_never_ran_took_nothing_and_a_sampler_that_never_started_can_be_stopped():
    sampler = SlotSampler(lambda _: [])
    sampler.stop()
    assert sampler.seconds["dag", "run"] == 0
