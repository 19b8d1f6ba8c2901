"""Two Airflows with one service account: what each costs the other, and what a rotation of one does to the other."""

from __future__ import annotations

import json
from contextlib import ExitStack

import pytest

from airflow_provider_atlas.sandbox import Sandbox
from harness.airflow import PrivateAirflow, with_examples
from tests.fleets.conftest import ROOT
from tests.fleets.test_scopes import states

SIZE = 4
PASSWORD = "of-the-bot-of-this-test"


@pytest.fixture(scope="module")
def sandbox():
    with Sandbox() as running:
        yield running


@pytest.fixture(scope="module")
def airflows(sandbox, tmp_path_factory):
    dags = with_examples(ROOT / "tests" / "fleets" / "rotated", tmp_path_factory.mktemp("dags"))
    passwords = tmp_path_factory.mktemp("users") / "passwords.json"
    passwords.write_text(json.dumps({"bot": PASSWORD}))
    environment = {
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": "bot:admin",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(passwords),
    }
    with ExitStack() as stack:
        both = []
        for _ in range(2):
            airflow = PrivateAirflow(
                dags, connections={"atlas_default": sandbox.connection}, environment=environment, slots=SIZE
            )
            if airflow.version.startswith("2."):
                pytest.skip("the store is the API of Airflow 3")
            both.append(stack.enter_context(airflow))
            user = {"connection_id": "airflow_api", "conn_type": "http", "host": airflow.url}
            airflow.rest.request("POST", "/connections", user | {"login": "bot", "password": PASSWORD})
        yield both


class Table:
    """Runs a step and prints what it cost: the figures of the docs."""

    def __init__(self, sandbox):
        self._sandbox = sandbox

    def row(self, what, airflow, dag_id, **conf):
        self._sandbox.reset_counters()
        if dag_id == "atlas_token_rotation":  # unpaused, it runs by its schedule
            run = airflow.wait(dag_id, airflow.schedule(dag_id), 180)
        else:
            run = airflow.run_dag(dag_id, {"size": SIZE, "seconds": 0} | conf, timeout=180)
        ended = states(run) or run.state
        counters = self._sandbox.counters
        print(
            f"\n{what}: {ended}; {counters.token_requests} token requests, {counters.api_unauthorized} 401s, "
            f"{counters.credentials_refused} with a wrong secret, {counters.active} tokens active",
            end="",
        )
        errors = set(run.errors(airflow.logs()))
        print("".join(f"\n  {error}" for error in errors), end="")
        return ended, counters, errors


def org_of(sandbox):
    from airflow_provider_atlas.hooks.service_account import AtlasServiceAccountHook

    hook = AtlasServiceAccountHook(
        client_id=sandbox.client_id, client_secret=sandbox.client_secret, base_url=sandbox.url
    )
    with hook as own:
        return own.run("/api/atlas/v2/orgs")["results"][0]["id"]


def age_rotation(airflow, sandbox, seconds):
    """Let the last use of each secret, and the rotation that an Airflow recorded, be so much longer ago."""
    for secret in sandbox.accounts[sandbox.client_id].secrets:
        secret.created -= seconds
        secret.last_used = secret.last_used and secret.last_used - seconds
    (variable,) = [
        found
        for found in airflow.rest.request("GET", "/variables?limit=100")["variables"]
        if found["key"].startswith("atlas_rotation_") and found["key"].count("_") == 2
    ]
    record = json.loads(variable["value"])
    record["rotated_at"] -= seconds
    body = {"key": variable["key"], "value": json.dumps(record)}
    airflow.rest.request("PATCH", f"/variables/{variable['key']}?update_mask=value", body)


def test_each_has_a_token_that_the_other_leaves_alone_and_a_rotated_secret_fails_the_other_once_deleted(
    airflows, sandbox
):
    production, staging = airflows
    org_id, table, success = org_of(sandbox), Table(sandbox), {"success": SIZE}

    for name, airflow in (("production, cold", production), ("staging, cold", staging)):
        ended, counters, _ = table.row(name, airflow, "in_deployment")
        assert (ended, counters.token_requests) == (success, 1)
    assert counters.active == 2

    table.row("production rotates its token", production, "atlas_token_rotation")
    ended, counters, _ = table.row("staging after it", staging, "in_deployment")
    assert (ended, counters.token_requests, counters.api_unauthorized) == (success, 0, 0)
    assert counters.active == 2

    ended, *_ = table.row("production rotates the client secret", production, "rotate_secret", org_id=org_id)
    assert ended == "success"
    ended, counters, _ = table.row("staging after it", staging, "in_deployment")
    assert (ended, counters.token_requests, counters.api_unauthorized) == (success, 0, 0)
    ended, _, errors = table.row("staging rotates the client secret, too", staging, "rotate_secret", org_id=org_id)
    assert ended == "failed"
    assert any("ClientSecretsInUse" in error for error in errors), errors

    age_rotation(production, sandbox, 76 * 60)
    ended, *_ = table.row("production again, staging idle for 76 min", production, "rotate_secret", org_id=org_id)
    assert ended == "success"
    ended, counters, errors = table.row("staging after it", staging, "in_deployment")
    assert ended == {"failed": SIZE}
    assert any("InvalidClient" in error for error in errors), errors
    ended, *_ = table.row("production after it", production, "in_deployment")
    assert ended == success

    fields = {"connection_id": "atlas_default", "conn_type": "mongodbatlas"}
    secret = sandbox.accounts[sandbox.client_id].secrets[-1].value
    staging.rest.request("PATCH", "/connections/atlas_default?update_mask=password", fields | {"password": secret})
    ended, counters, _ = table.row("staging with production's secret", staging, "in_deployment")
    assert (ended, counters.token_requests) == (success, 1)
