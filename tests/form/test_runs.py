"""What a user sees of a run in Airflow 3.3, in a browser: clusters that pause, and why a task failed."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from playwright.sync_api import expect

from airflow_provider_atlas.hooks.service_account import AtlasServiceAccountHook
from airflow_provider_atlas.sandbox import Sandbox
from demo import clusters
from harness.airflow import PrivateAirflow, with_examples
from tests.test_errors_as_met import MET, OTHER, sealed


@pytest.fixture(scope="module")
def sandbox():
    with Sandbox(client_id="mdb_sa_id_0123456789abcdef01234567") as running:
        yield running


@pytest.fixture(scope="module")
def busy():
    """A sandbox that asks to wait 59 s."""
    with Sandbox() as running:
        running.fail_next("token", status=429, headers={"Retry-After": "59"})
        yield running


@pytest.fixture(scope="module")
def closed():
    """A URL at which nothing listens."""
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{unheard.getsockname()[1]}"


#: Connection and name in MET of a call that fails.
REFUSED = (
    ("atlas_defualt", "connection missing, or an id with a typing error"),
    ("atlas_type", "connection of another type"),
    ("atlas_default", "plain token"),
    ("atlas_default", "sealed token of another connection"),
    ("atlas_task", "token of a DAG run after its end"),
    ("atlas_stopped", "Atlas stopped in the middle"),
    ("atlas_wrong", "wrong secret"),
    ("atlas_key", "API key"),
    ("atlas_swapped", "id and secret swapped"),
    ("atlas_prefixed", "id with something before it"),
    ("atlas_empty", "id empty"),
    ("atlas_host", "host not allowed"),
    ("atlas_busy", "Atlas busy"),
)


@pytest.fixture(scope="module")
def airflow(sandbox, busy, closed, tmp_path_factory):
    connection = sandbox.connection | {"extra": {"cache_scope": "deployment"}}
    fields = {
        "atlas_default": {},
        "atlas_task": {"extra": {"cache_scope": "task"}},
        "atlas_type": {"conn_type": "postgres", "login": "airflow"},
        "atlas_wrong": {"password": "mdb_sa_sk_Some-Other_Secret"},
        "atlas_key": {"login": "kxqwmzta", "password": "8b1f0e8c-0000-0000-0000-000000000000"},
        "atlas_swapped": {"login": sandbox.client_secret, "password": sandbox.client_id},
        "atlas_prefixed": {"login": f"6b0000000000000000000000:{sandbox.client_id}"},
        "atlas_empty": {"login": ""},
        "atlas_host": {"host": "https://atlas.example", "port": None},
        "atlas_stopped": {"host": closed, "port": None, "extra": {"max_wait": 0}},
        "atlas_busy": busy.connection | {"extra": {"max_wait": 20}},
    }
    connections = {name: connection | different for name, different in fields.items()}
    dags = with_examples(Path(__file__).parent / "dags", tmp_path_factory.mktemp("dags"))
    with PrivateAirflow(dags, connections=connections, by_schedule=True) as running:
        clusters.prepare(running, sandbox)
        yield running


def test_the_nightly_pause_shows_a_task_for_each_cluster(page, airflow, screenshot):
    run = airflow.wait("atlas_clusters_night", airflow.schedule("atlas_clusters_night"))
    assert run.state == "success", run.errors(airflow.logs())
    page.goto(f"{airflow.url}/dags/{run.dag_id}/runs/{run.run_id}/tasks/pause/mapped")
    for name in clusters.OFFICE:
        expect(page.get_by_role("row").filter(has_text=name)).to_contain_text("Success")
    screenshot("run-pause", 640)


@pytest.fixture
def tokens(sandbox, closed):
    """Tokens that tasks are given, by name in MET."""

    def account(url):
        return AtlasServiceAccountHook(client_id=sandbox.client_id, client_secret=sandbox.client_secret, base_url=url)

    return {
        "plain token": "eyJhbGciOiJFUzUxMiJ9.in.plain",
        "sealed token of another connection": sealed(AtlasServiceAccountHook(**OTHER)),
        "token of a DAG run after its end": sealed(account(sandbox.url), minutes=-1),
        "Atlas stopped in the middle": sealed(account(closed)),
    }


def test_the_first_screen_of_a_failed_task_shows_the_cause_and_what_to_do(browser, airflow, tokens):
    run = airflow.run_dag("refused", {"cases": [{"conn": conn, "token": tokens.get(name)} for conn, name in REFUSED]})
    assert run.state == "failed"
    page = browser.new_page(viewport={"width": 1400, "height": 900})
    for number, (_, name) in enumerate(REFUSED):
        _, kind, cause, remedy = MET[name]
        page.goto(f"{airflow.url}/dags/refused/runs/{run.run_id}/tasks/projects/mapped/{number}?try_number=1")
        for shown in (remedy, f"{kind}: {cause}"):
            expect(page.get_by_text(shown).first).to_be_in_viewport()
        expect(page.get_by_text("airflow_provider_atlas/")).to_have_count(1)  # one frame of ours
    page.close()
