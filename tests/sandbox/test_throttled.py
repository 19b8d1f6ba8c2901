"""The 429 in both shapes, with the three ways to say when, and texts that may lie about the window."""

from __future__ import annotations

import pytest

from airflow_provider_atlas.sandbox.knobs import Knobs
from airflow_provider_atlas.sandbox.throttled import rate_limited, retry_after

NOW = 1_800_000_000.25  # Fri, 15 Jan 2027 08:00:00 GMT


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
def test_retry_after_is_rounded_up_in_the_form_that_is_wished_for(form, wait, expected):
    assert retry_after(Knobs(retry_after=form), NOW, wait) == expected


@pytest.mark.parametrize(
    ("window", "stated", "minutes"),
    [(60, None, 1), (120, None, 2), (6, None, 0.1), (90, None, 1.5), (6, 60, 1), (60, 6, 0.1)],
)
def test_text_and_parameters_state_the_same_minutes(window, stated, minutes):
    knobs = Knobs(window=window, stated_window=stated, rate_limit_shape="api", rate_limit=50)
    assert rate_limited(knobs, "/api/oauth/revoke", NOW, 5.0).content == {
        "detail": f"Resource /api/oauth/revoke is limited to 50 requests every {minutes} minutes.",
        "error": 429,
        "errorCode": "RATE_LIMITED",
        "parameters": ["/api/oauth/revoke", 50, minutes],
        "reason": "Too Many Requests",
    }


def test_the_oauth_shape_is_the_documented_one():
    answer = rate_limited(Knobs(), "/api/oauth/token", NOW, 5.0)
    assert (answer.status, answer.headers) == (429, {"Retry-After": "5"})
    assert answer.content == {
        "error_description": "Resource /api/oauth/token is limited to 10 requests every 1 minutes.",
        "error": "rate_limited",
    }
