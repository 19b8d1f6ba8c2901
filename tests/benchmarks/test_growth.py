"""The exponent of a cost, and the table of fleets."""

from __future__ import annotations

import pytest

from benchmarks.growth import each, exponent
from benchmarks.thousand import Measured, table


@pytest.mark.parametrize(
    ("costs", "expected"),
    [
        ({10: 5, 100: 50, 1000: 500}, 1.0),
        ({10: 3, 100: 3}, 0.0),
        ({10: 1, 100: 100}, 2.0),
        ({10: 0, 100: 1}, None),
        ({10: 1}, None),
    ],
)
def test_exponent_is_the_slope_on_logarithmic_axes(costs, expected):
    assert exponent(costs) == (None if expected is None else pytest.approx(expected))


def test_each_more_does_not_pay_what_the_first_one_did():
    assert each({10: 1010.0, 100: 1100.0, 1000: 2000.0}) == pytest.approx(1.0)


def test_table_has_the_medians_of_the_rounds_and_the_ratio_to_the_empty_fleet_of_the_same_size():
    rows = [Measured("empty", 10, 10, 0, 0, slots, 5.0, 0, 4.0, 1.0, 100) for slots in (9.0, 10.0, 30.0)]
    rows += [Measured("deployment+preload", 10, 10, 1, 0, 15.0, 5.0, 12, 5.0, 1.0, 100)]
    assert table(rows).splitlines()[2:4] == [
        "| empty tasks | 3 | 10 | 0 | 0 | 10 | 5 | 0 | 4 | 1 | 100 | 1.00 |  |  | 1.00 |",
        "| deployment scope, preload | 1 | 10 | 1 | 0 | 15 | 5 | 12 | 5 | 1 | 100 | 1.50 |  |  | 1.25 |",
    ]
