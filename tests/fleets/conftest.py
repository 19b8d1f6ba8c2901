"""
A real Airflow with 16 slots on PostgreSQL, against a sandbox with 10 token requests per 6 s and 100 active tokens.

On SQLite, where one process writes at a time, the components of a busy machine stop each other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_atlas.sandbox import Sandbox
from harness import api_user, leaks
from harness.airflow import PrivateAirflow, with_examples
from harness.services import Postgres

ROOT = Path(__file__).parent.parent.parent


@contextmanager
def airflow_with_a_store(
    folder: Path, connections: Mapping[str, Mapping[str, Any]], slots: int
) -> Iterator[PrivateAirflow]:
    """An Airflow 3 whose API is the store of client secrets, with the DAGs that rotate them."""
    dags = Path(__file__).parent / "rotated"
    if version("apache-airflow").startswith("2."):
        pytest.skip("the store is the API of Airflow 3")
    user = api_user.settings(folder)
    with (
        Postgres() as database,
        PrivateAirflow(dags, connections=connections, environment=user, slots=slots, database=database) as airflow,
    ):
        leaks.watch(airflow)
        api_user.connect(airflow)
        yield airflow


@pytest.fixture(scope="module")
def postgres():
    with Postgres() as running:
        yield running


@pytest.fixture(scope="module")
def sandbox():
    with Sandbox(rate_limit=10, window=6.0, token_cap=100) as running:
        yield running


@pytest.fixture(scope="module")
def airflow(sandbox, postgres, tmp_path_factory):
    dags = with_examples(Path(__file__).parent / "dags", tmp_path_factory.mktemp("dags"))
    accounts = {
        "atlas_default": (sandbox.client_id, sandbox.client_secret),
        "atlas_second_secret": (sandbox.client_id, sandbox.add_secret(sandbox.client_id)),
        "atlas_wrong_secret": (sandbox.client_id, f"{sandbox.client_secret[:-4]}gone"),
        "atlas_no_rights": sandbox.add_account(rights=False),
        "atlas_no_rights_no_code": sandbox.add_account(rights=False, error_code=""),
        "atlas_crowd": sandbox.add_account(),
    }
    connections = {
        name: sandbox.connection | {"login": client_id, "password": secret}
        for name, (client_id, secret) in accounts.items()
    }
    with PrivateAirflow(dags, connections=connections, slots=16, database=postgres) as running:
        yield running
