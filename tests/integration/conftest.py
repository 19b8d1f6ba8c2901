"""A real Airflow with the example DAGs and the tests' DAGs, and a sandbox, shared by all tests in this folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_provider_atlas.sandbox import Sandbox
from harness import leaks
from harness.airflow import PrivateAirflow, with_examples


@pytest.fixture(scope="session")
def sandbox(tmp_path_factory):
    with Sandbox(log_file=tmp_path_factory.mktemp("sandbox") / "sandbox.log") as running:
        yield running


@pytest.fixture(scope="session")
def airflow(sandbox, tmp_path_factory):
    dags = with_examples(Path(__file__).parent / "dags", tmp_path_factory.mktemp("dags"))
    right = sandbox.connection
    wrong = {**right, "password": "mdb_sa_sk_Some-Other_Secret"}
    with PrivateAirflow(
        dags,
        connections={
            "atlas_default": right,
            "atlas_wrong": wrong,
            "atlas_jobs": {**right, "extra": '{"cache_scope": "deployment"}'},
        },
        environment={"PYTHONPATH": str(Path(__file__).parent / "importable")},
    ) as running:
        leaks.watch(running)
        yield running
