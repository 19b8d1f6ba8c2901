"""
Fixtures for people who test their own DAGs, with a sandbox in place of Atlas.

Name the module in the ``conftest.py`` of your tests: ``pytest_plugins = ["airflow_provider_atlas.testing"]``. It needs
the extra ``sandbox``: ``pip install 'airflow-provider-atlas[sandbox]'``. Only a test that needs Airflow loads it.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from airflow_provider_atlas.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def atlas_sandbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """
    A running sandbox. The connection ``atlas_default`` leads to it while the test runs.

    Its knobs can be changed at any time (``atlas_sandbox.rate_limit = 1``). Its ``counters`` count what the tasks did.
    """
    with Sandbox() as sandbox:
        monkeypatch.setenv("AIRFLOW_CONN_ATLAS_DEFAULT", json.dumps(sandbox.connection))
        yield sandbox


@pytest.fixture(scope="session")
def airflow_database(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """
    An empty Airflow database for all tests: ``dag.test()`` needs one, and would write its runs to yours.

    ``dag.test()`` also looks for the DAG in the DAGs folder. That is ``dags`` in pytest's root directory, unless
    ``AIRFLOW__CORE__DAGS_FOLDER`` is set.
    """
    from airflow import settings
    from airflow.utils.db import initdb

    database = tmp_path_factory.mktemp("airflow") / "airflow.db"
    folder = os.environ.get("AIRFLOW__CORE__DAGS_FOLDER", str(request.config.rootpath / "dags"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", f"sqlite:///{database}")
        patch.setenv("AIRFLOW__CORE__DAGS_FOLDER", folder)
        patch.setenv("AIRFLOW__CORE__LOAD_EXAMPLES", "False")
        # The test modules have imported Airflow already, and with it the old settings.
        settings.configure_vars()  # type: ignore[no-untyped-call]
        settings.configure_orm()  # type: ignore[no-untyped-call]
        initdb()
        yield database
