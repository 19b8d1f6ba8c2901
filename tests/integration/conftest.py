"""A real Airflow with the example DAGs and the tests' own, against a sandbox; shared by all tests of this folder."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from airflow_provider_atlas.sandbox import Sandbox
from harness import leaks
from harness.airflow import PrivateAirflow

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="session")
def sandbox(tmp_path_factory):
    with Sandbox(log_file=tmp_path_factory.mktemp("sandbox") / "sandbox.log") as running:
        yield running


@pytest.fixture(scope="session")
def airflow(sandbox, tmp_path_factory):
    dags = tmp_path_factory.mktemp("dags")
    for folder in (ROOT / "example_dags", Path(__file__).parent / "dags"):
        shutil.copytree(folder, dags, dirs_exist_ok=True)
    right = sandbox.connection
    wrong = {**right, "password": "mdb_sa_sk_Some-Other_Secret"}
    with PrivateAirflow(
        dags,
        connections={"atlas_default": right, "atlas_wrong": wrong},
        environment={"PYTHONPATH": str(Path(__file__).parent / "importable")},
    ) as running:
        leaks.watch(running)
        yield running
