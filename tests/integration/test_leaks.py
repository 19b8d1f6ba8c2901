"""No secret is left in the database, the logs or the output of a process; and the search would find one."""

from __future__ import annotations

import pytest

from harness import leaks
from tests.integration.importable.leaky import decoy

EXAMPLES = ("atlas_token_lifecycle", "atlas_token_rotation", "atlas_clusters_report")
PLAIN = "plain+token/0123456789=ABCDef"


def test_example_and_failing_dags_leave_no_secret(airflow, sandbox):
    for dag_id in EXAMPLES:
        assert airflow.run_dag(dag_id).state == "success"
    for dag_id in ("wrong_secret", "failing_task"):
        airflow.run_dag(dag_id)
    assert len(sandbox.issued) >= 4
    secrets = leaks.needles(sandbox.client_id, sandbox.client_secret, sandbox.issued)
    found = leaks.search(secrets, airflow, [sandbox.log_file])
    assert found.searched > 1_000_000
    assert found.leaks == []


def test_a_plain_token_is_refused_and_not_written_anywhere(airflow, sandbox):
    run = airflow.run_dag("plain_token")
    assert run.tasks["revoke", -1] == "failed"
    rendered = airflow.query(
        "SELECT rendered_fields FROM rendered_task_instance_fields WHERE run_id = ?", (run.run_id,)
    )
    assert [row["rendered_fields"] for row in rendered if "***" in str(row["rendered_fields"])]
    assert leaks.search({"plain token": leaks.forms(PLAIN)}, airflow).leaks == []


def test_a_token_that_a_task_returns_or_prints_is_refused_or_masked(airflow, sandbox):
    run = airflow.run_dag("plain_token")
    assert (run.tasks["return_it", -1], run.tasks["print_it", -1]) == ("failed", "success")
    secrets = leaks.needles(sandbox.client_id, sandbox.client_secret, sandbox.issued)
    task_logs = leaks.search(secrets, airflow).leaks
    assert [leak for leak in task_logs if not leak.place.startswith("output/")] == []


@pytest.fixture(scope="module")
def decoys(airflow):
    assert airflow.run_dag("leaks_on_purpose").state == "success"
    places = ("xcom", "variable", "trigger", "next_kwargs", "event", "rendered", "log", "output")
    found = leaks.search({place: leaks.forms(decoy(place)) for place in places}, airflow).leaks
    return {(leak.what.partition(" ")[0], leak.place) for leak in found}


@pytest.mark.parametrize(
    ("secret", "place"),
    [
        ("xcom", "xcom.value"),
        ("variable", "variable.val"),
        ("trigger", "trigger.kwargs"),
        ("next_kwargs", "task_instance.next_kwargs"),
        ("event", "task_instance.next_kwargs"),
        ("rendered", "rendered_task_instance_fields.rendered_fields"),
        ("log", "logs/"),
        ("output", "output/triggerer.log"),
    ],
)
def test_the_search_finds_a_leak_in_each_place(decoys, secret, place):
    assert [found for what, found in decoys if what == secret and found.startswith(place)], sorted(decoys)
