"""What a user sees of a run in Airflow 3.3, in a browser: clusters that pause, and why a task failed."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import expect

from airflow_provider_atlas.sandbox import Sandbox
from demo import clusters
from harness.airflow import PrivateAirflow, with_examples


@pytest.fixture(scope="module")
def sandbox():
    with Sandbox(client_id="mdb_sa_id_0123456789abcdef01234567") as running:
        yield running


@pytest.fixture(scope="module")
def airflow(sandbox, tmp_path_factory):
    connection = sandbox.connection | {"extra": {"cache_scope": "deployment"}}
    wrong = connection | {"password": "mdb_sa_sk_Some-Other_Secret"}
    dags = with_examples(Path(__file__).parent / "dags", tmp_path_factory.mktemp("dags"))
    with PrivateAirflow(dags, connections={"atlas_default": connection, "atlas_wrong": wrong}) as running:
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
    run = airflow.run_dag("refused")
    assert run.state == "failed"
    page = browser.new_page(viewport={"width": 1400, "height": 900})
    page.goto(f"{airflow.url}/dags/refused/runs/{run.run_id}/tasks/projects?try_number=1")
    for shown in (
        "What to do: Check Client ID and Client secret of the connection",
        "InvalidClient: Atlas does not accept this client id and secret",
    ):
        expect(page.get_by_text(shown)).to_be_in_viewport()
    expect(page.get_by_text("airflow_provider_atlas/")).to_have_count(1)  # one frame of ours
    page.close()
