"""A real Airflow that leaks on purpose: the search that finds nothing elsewhere finds every one of these."""

from __future__ import annotations

import json
import secrets
from pathlib import Path

import pytest

from demo.airflow import PrivateAirflow
from demo.leaks import Leak, forms, search, watch

DAGS = Path(__file__).parent / "dags"

PLACES = {
    "xcom": "xcom.value",
    "variable": "variable.val",
    "trigger kwargs": "trigger.kwargs",
    "defer kwargs": "task_instance.next_kwargs",
    "event": "task_instance.next_kwargs",
    "rendered field": "rendered_task_instance_fields.rendered_fields",
    "task log": "task_id=log",
    "process output": "output/scheduler.log",
    "connection extra": "connection.extra",
}


@pytest.fixture(scope="module")
def leaks():
    """Run the DAG and search."""
    values = {name: f"token-{secrets.token_urlsafe(30)}" for name in (*PLACES, "connection password")}
    connection = {
        "conn_type": "http",
        "password": values["connection password"],
        "extra": {"harmless": values["connection extra"]},
    }
    environment = {"LEAKS": json.dumps(values), "PYTHONPATH": str(DAGS)}
    with PrivateAirflow(DAGS, connections={"leaking": connection}, environment=environment) as airflow:
        watch(airflow)
        run = airflow.run_dag("leaking")
        assert run.state == "success", list(run.errors(airflow.logs()))
        return search({name: forms(value) for name, value in values.items()}, airflow).leaks


@pytest.mark.integration
@pytest.mark.parametrize("name", PLACES)
def test_a_leak_is_found_where_it_is(leaks: list[Leak], name):
    assert [leak for leak in leaks if leak.what.startswith(f"{name} as ") and PLACES[name] in leak.place]


@pytest.mark.integration
def test_the_connection_s_password_is_in_no_other_place(leaks: list[Leak]):
    assert not [leak for leak in leaks if leak.what.startswith("connection password")]
