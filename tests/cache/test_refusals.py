"""A refusal by the Administration API causes a new token once a minute, whatever the workers' clocks say."""

from __future__ import annotations

import pytest

from airflow_provider_atlas.cache.refusals import REFUSAL_PAUSE, SKEW, may_request

NOW = 1_800_000_000.0


@pytest.mark.parametrize(
    ("last", "allowed"),
    [
        (0.0, True),
        (NOW - REFUSAL_PAUSE, True),
        (NOW - REFUSAL_PAUSE + 0.1, False),
        (NOW, False),
        (NOW + SKEW - 0.1, False),  # by another worker's clock
        (NOW + SKEW, True),  # by no worker's clock
        (NOW + 1e9, True),
        (float("inf"), True),
        (float("nan"), True),
    ],
)
def test_a_refusal_may_cause_a_new_token_a_minute_after_the_last_one(last, allowed):
    assert may_request(last, NOW) is allowed
