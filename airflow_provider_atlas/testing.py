"""
Fixtures for people who test their own DAGs: Atlas without Atlas.

Name the module in the ``conftest.py`` of your tests: ``pytest_plugins = ["airflow_provider_atlas.testing"]``. It needs
the extra ``sandbox``: ``pip install 'airflow-provider-atlas[sandbox]'``.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from airflow_provider_atlas.sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def atlas_sandbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """
    A running sandbox to which the connection ``atlas_default`` leads while the test runs.

    Its knobs can be turned at any time (``atlas_sandbox.rate_limit = 1``); what the tasks did is in its ``counters``.
    """
    with Sandbox() as sandbox:
        connection = {
            "conn_type": "mongodbatlas",
            "login": sandbox.client_id,
            "password": sandbox.client_secret,
            "host": sandbox.url,
        }
        monkeypatch.setenv("AIRFLOW_CONN_ATLAS_DEFAULT", json.dumps(connection))
        yield sandbox
