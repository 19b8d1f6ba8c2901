"""The fixed window of the token endpoints and the token buckets of the Administration API, on a fake clock."""

from __future__ import annotations

import pytest

from airflow_provider_atlas.sandbox.limits import FixedWindow, Taken, TokenBuckets


def test_the_first_request_opens_the_window_and_its_end_opens_the_next(clock):
    windows = FixedWindow(clock)
    answers = []
    for seconds in (0, 59, 0, 0.5, 0.5, 59, 0.5):
        clock.now += seconds
        answers.append(windows.admit("account", 2, 60.0))
    assert answers == [0.0, 0.0, 1.0, 0.5, 0.0, 0.0, 0.5]


def test_a_window_opens_with_a_request_and_not_with_the_end_of_the_last(clock):
    windows = FixedWindow(clock)
    windows.admit("account", 1, 60.0)
    clock.now += 90
    windows.admit("account", 1, 60.0)
    clock.now += 30
    assert windows.admit("account", 1, 60.0) == 30.0


def test_refused_requests_do_not_extend_the_window(clock):
    windows = FixedWindow(clock)
    windows.admit("account", 1, 60.0)
    clock.now += 50
    waits = [windows.admit("account", 1, 60.0) for _ in range(100)]
    clock.now += 10
    assert (set(waits), windows.admit("account", 1, 60.0)) == ({10.0}, 0.0)


def test_every_key_has_its_own_window(clock):
    windows = FixedWindow(clock)
    assert [windows.admit(key, 1, 60.0) for key in ("a", "b", "a")] == [0.0, 0.0, 60.0]


def test_a_limit_of_nothing_admits_nothing(clock):
    assert FixedWindow(clock).admit("account", 0, 60.0) == 60.0


def test_a_bucket_starts_full_and_says_when_the_next_refill_comes(clock):
    buckets = TokenBuckets(clock)
    taken = [buckets.take("account", 2, 1, 5.0) for _ in range(3)]
    assert taken == [Taken(0.0, 1), Taken(0.0, 0), Taken(5.0, 0)]


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (4.0, Taken(1.0, 0)),
        (5.0, Taken(0.0, 1)),
        (7.0, Taken(0.0, 1)),
        (10.0, Taken(0.0, 3)),
        (5000.0, Taken(0.0, 9)),
    ],
)
def test_a_bucket_refills_at_every_tick_up_to_its_capacity(clock, seconds, expected):
    buckets = TokenBuckets(clock)
    for _ in range(10):
        buckets.take("account", 10, 2, 5.0)
    clock.now += seconds
    assert buckets.take("account", 10, 2, 5.0) == expected


def test_ticks_keep_their_rhythm_whenever_requests_come(clock):
    buckets = TokenBuckets(clock)
    buckets.take("account", 1, 1, 5.0)
    clock.now += 7
    buckets.take("account", 1, 1, 5.0)
    assert buckets.take("account", 1, 1, 5.0) == Taken(3.0, 0)
