"""A knob out of its range is refused by name."""

from __future__ import annotations

import pytest

from airflow_provider_atlas.sandbox.knobs import Knobs


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("rate_limit", -1),
        ("token_cap", -1),
        ("page_total", -1),
        ("window", 0),
        ("token_life", 0),
        ("stated_window", -60),
        ("api_rate_limit", 0),
        ("api_refill", 0),
        ("api_refill_seconds", 0),
        ("retry_after", "soon"),
        ("rate_limit_shape", "round"),
    ],
)
def test_error_for_a_knob_out_of_its_range_names_the_knob(name, value):
    with pytest.raises(ValueError, match=name):
        Knobs(**{name: value})


@pytest.mark.parametrize("name", ["rate_limit", "token_cap", "page_total"])
def test_counts_may_be_zero(name):
    assert getattr(Knobs(**{name: 0}), name) == 0
