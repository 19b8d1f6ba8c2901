"""The rate limit window of the token endpoints, the token buckets of the Administration API, and the 429."""

from __future__ import annotations

import pytest

from airflow_provider_atlas.sandbox.knobs import Knobs
from airflow_provider_atlas.sandbox.limits import FixedWindow, TokenBuckets, rate_limited, retry_after

NOW = 1_800_000_000.25  # Fri, 15 Jan 2027 08:00:00 GMT


def test_window_admits_its_limit_and_the_next_window_admits_it_again(clock):
    windows = FixedWindow(clock)
    waits = []
    for seconds in (0, 59, 0, 0.5, 0.5, 59, 0.5):
        clock.now += seconds
        waits.append(windows.admit("account", 2, 60.0))
    assert waits == [0.0, 0.0, 1.0, 0.5, 0.0, 0.0, 0.5]


def test_next_window_opens_with_a_request_and_not_at_the_end_of_the_last(clock):
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


def test_each_key_has_its_own_window(clock):
    windows = FixedWindow(clock)
    assert [windows.admit(key, 1, 60.0) for key in ("a", "b", "a")] == [0.0, 0.0, 60.0]
    assert list(windows.keys) == ["a", "b"]


def test_limit_of_zero_admits_no_request(clock):
    assert FixedWindow(clock).admit("account", 0, 60.0) == 60.0


def test_bucket_starts_full_and_refuses_with_the_wait_until_its_refill(clock):
    buckets = TokenBuckets(clock)
    taken = [buckets.take("account", 2, 1, 5.0) for _ in range(3)]
    assert taken == [(0.0, 1), (0.0, 0), (5.0, 0)]


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (4.0, (1.0, 0)),
        (5.0, (0.0, 1)),
        (7.0, (0.0, 1)),
        (10.0, (0.0, 3)),
        (5000.0, (0.0, 9)),
    ],
)
def test_bucket_is_refilled_every_period_up_to_its_capacity(clock, seconds, expected):
    buckets = TokenBuckets(clock)
    for _ in range(10):
        buckets.take("account", 10, 2, 5.0)
    clock.now += seconds
    assert buckets.take("account", 10, 2, 5.0) == expected


def test_time_of_a_request_does_not_move_the_refills(clock):
    buckets = TokenBuckets(clock)
    buckets.take("account", 1, 1, 5.0)
    clock.now += 7
    buckets.take("account", 1, 1, 5.0)
    assert buckets.take("account", 1, 1, 5.0) == (3.0, 0)


@pytest.mark.parametrize(
    ("form", "wait", "expected"),
    [
        ("seconds", 59.2, {"Retry-After": "60"}),
        ("seconds", 60.0000002, {"Retry-After": "60"}),
        ("seconds", 0.1, {"Retry-After": "1"}),
        ("date", 59.2, {"Retry-After": "Fri, 15 Jan 2027 08:01:00 GMT"}),
        ("date", 59.75, {"Retry-After": "Fri, 15 Jan 2027 08:01:00 GMT"}),
        ("none", 59.2, {}),
    ],
)
def test_retry_after_is_rounded_up_in_the_chosen_form(form, wait, expected):
    assert retry_after(Knobs(retry_after=form), NOW, wait) == expected


@pytest.mark.parametrize(
    ("window", "stated", "minutes"),
    [(60, None, 1), (120, None, 2), (6, None, 0.1), (90, None, 1.5), (6, 60, 1), (60, 6, 0.1)],
)
def test_text_and_parameters_of_the_api_shape_state_the_same_minutes(window, stated, minutes):
    knobs = Knobs(window=window, stated_window=stated, rate_limit_shape="api", rate_limit=50)
    assert rate_limited(knobs, "/api/oauth/revoke", NOW, 5.0).content == {
        "detail": f"Resource /api/oauth/revoke is limited to 50 requests every {minutes} minutes.",
        "error": 429,
        "errorCode": "RATE_LIMITED",
        "parameters": ["/api/oauth/revoke", 50, minutes],
        "reason": "Too Many Requests",
    }


def test_oauth_shape_is_the_documented_one():
    response = rate_limited(Knobs(), "/api/oauth/token", NOW, 5.0)
    assert (response.status, response.headers) == (429, {"Retry-After": "5"})
    assert response.content == {
        "error_description": "Resource /api/oauth/token is limited to 10 requests every 1 minutes.",
        "error": "rate_limited",
    }
