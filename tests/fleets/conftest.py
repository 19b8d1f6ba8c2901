"""A real Airflow with 16 slots against a sandbox with 10 token requests per 6 s and 100 active tokens."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_provider_atlas.sandbox import Sandbox
from harness.airflow import PrivateAirflow, with_examples

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def sandbox():
    with Sandbox(rate_limit=10, window=6.0, token_cap=100) as running:
        yield running


@pytest.fixture(scope="module")
def airflow(sandbox, tmp_path_factory):
    dags = with_examples(Path(__file__).parent / "dags", tmp_path_factory.mktemp("dags"))
    accounts = {
        "atlas_default": (sandbox.client_id, sandbox.client_secret),
        "atlas_second_secret": (sandbox.client_id, sandbox.add_secret(sandbox.client_id)),
        "atlas_no_rights": sandbox.add_account(rights=False),
        "atlas_no_rights_no_code": sandbox.add_account(rights=False, error_code=""),
        "atlas_crowd": sandbox.add_account(),
    }
    connections = {
        name: sandbox.connection | {"login": client_id, "password": secret}
        for name, (client_id, secret) in accounts.items()
    }
    with PrivateAirflow(dags, connections=connections, slots=16) as running:
        yield running
