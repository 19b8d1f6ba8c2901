"""Airflow with two Celery workers of 8 slots each and two triggerers, on Redis and PostgreSQL, against a sandbox."""

from __future__ import annotations

import pytest

from airflow_provider_atlas.sandbox import Sandbox
from harness.airflow import PrivateAirflow, with_examples
from harness.services import Services
from tests.fleets.conftest import ROOT

TRIGGERS = 3
"""The capacity of each triggerer. More triggers than that need both triggerers."""


@pytest.fixture(scope="session")
def services():
    with Services() as running:
        yield running


@pytest.fixture(scope="session")
def sandbox():
    with Sandbox(rate_limit=10, window=6.0, token_cap=100) as running:
        yield running


@pytest.fixture(scope="session")
def slow_sandbox():
    with Sandbox(rate_limit=TRIGGERS + 2, window=30.0) as running:
        yield running


@pytest.fixture(scope="session")
def airflow(services, sandbox, slow_sandbox, tmp_path_factory):
    dags = with_examples(ROOT / "tests" / "fleets" / "dags", tmp_path_factory.mktemp("dags"))
    with PrivateAirflow(
        dags,
        connections={"atlas_default": sandbox.connection, "atlas_slow": slow_sandbox.connection},
        environment={"AIRFLOW__CELERY__WORKER_CONCURRENCY": "8", "AIRFLOW__TRIGGERER__CAPACITY": str(TRIGGERS)},
        slots=16,
        database=services,
        triggerers=2,
        celery_workers=2,
    ) as running:
        yield running
