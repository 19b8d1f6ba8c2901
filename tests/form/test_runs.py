"""What a user sees of a run in Airflow 3.3, in a browser: clusters that pause, and why a task failed."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import expect

from airflow_provider_atlas.sandbox import Sandbox
from demo import clusters
from harness.airflow import PrivateAirflow, with_examples
from tests.test_errors_as_met import MET


@pytest.fixture(scope="module")
def sandbox():
    with Sandbox(client_id="mdb_sa_id_0123456789abcdef01234567") as running:
        yield running


#: Connection, token and name in MET of a call that fails.
REFUSED = (
    ("atlas_defualt", None, "connection missing, or an id with a typing error"),
    ("atlas_type", None, "connection of another type"),
    ("atlas_default", "eyJhbGciOiJFUzUxMiJ9.in.plain", "plain token"),
    ("atlas_wrong", None, "wrong secret"),
    ("atlas_key", None, "API key"),
    ("atlas_swapped", None, "id and secret swapped"),
    ("atlas_prefixed", None, "id with something before it"),
    ("atlas_host", None, "host not allowed"),
)


@pytest.fixture(scope="module")
def airflow(sandbox, tmp_path_factory):
    connection = sandbox.connection | {"extra": {"cache_scope": "deployment"}}
    fields = {
        "atlas_default": {},
        "atlas_type": {"conn_type": "postgres", "login": "airflow"},
        "atlas_wrong": {"password": "mdb_sa_sk_Some-Other_Secret"},
        "atlas_key": {"login": "kxqwmzta", "password": "8b1f0e8c-0000-0000-0000-000000000000"},
        "atlas_swapped": {"login": sandbox.client_secret, "password": sandbox.client_id},
        "atlas_prefixed": {"login": f"6b0000000000000000000000:{sandbox.client_id}"},
        "atlas_host": {"host": "https://atlas.example", "port": None},
    }
    connections = {name: connection | different for name, different in fields.items()}
    dags = with_examples(Path(__file__).parent / "dags", tmp_path_factory.mktemp("dags"))
    with PrivateAirflow(dags, connections=connections) as running:
        clusters.prepare(running, sandbox)
        yield running


def test_the_nightly_pause_shows_a_task_for_each_cluster(page, airflow, screenshot):
    run = airflow.wait("atlas_clusters_night", airflow.schedule("atlas_clusters_night"))
    assert run.state == "success", run.errors(airflow.logs())
    page.goto(f"{airflow.url}/dags/{run.dag_id}/runs/{run.run_id}/tasks/pause/mapped")
    for name in clusters.OFFICE:
        expect(page.get_by_role("row").filter(has_text=name)).to_contain_text("Success")
    screenshot("run-pause", 640)


def test_the_first_screen_of_a_failed_task_shows_the_cause_and_what_to_do(browser, airflow):
    run = airflow.run_dag("refused", {"cases": [{"conn": conn, "token": token} for conn, token, _ in REFUSED]})
    assert run.state == "failed"
    page = browser.new_page(viewport={"width": 1400, "height": 900})
    for number, (_, _, name) in enumerate(REFUSED):
        _, kind, cause, remedy = MET[name]
        page.goto(f"{airflow.url}/dags/refused/runs/{run.run_id}/tasks/projects/mapped/{number}?try_number=1")
        for shown in (remedy, f"{kind}: {cause}"):
            expect(page.get_by_text(shown).first).to_be_in_viewport()
        expect(page.get_by_text("airflow_provider_atlas/")).to_have_count(1)  # one frame of ours
    page.close()
