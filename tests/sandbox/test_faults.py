"""Faults queue up per endpoint, and what cannot be is refused when it is asked for."""

from __future__ import annotations

import pytest

from airflow_provider_atlas.sandbox.faults import Fault, FaultQueue


def test_faults_come_first_in_first_out_at_their_own_endpoint():
    queue, first, second = FaultQueue(), Fault(status=500), Fault(kind="drop")
    queue.put("token", first, 2)
    queue.put("token", second, 1)
    assert [queue.take("revoke"), *(queue.take("token") for _ in range(4))] == [None, first, first, second, None]


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"kind": "explode"}, "kind"),
        ({"status": 99}, "status"),
        ({"status": 600}, "status"),
        ({"seconds": -1}, "secon"),
    ],
)
def test_a_fault_that_cannot_be_is_refused(wrong, says):
    with pytest.raises(ValueError, match=says):
        Fault(**wrong)


@pytest.mark.parametrize(("endpoint", "times", "says"), [("tokens", 1, "endpoint"), ("token", 0, "times")])
def test_a_fault_goes_to_an_endpoint_that_exists_at_least_once(endpoint, times, says):
    with pytest.raises(ValueError, match=says):
        FaultQueue().put(endpoint, Fault(), times)
