"""What operators tell other tasks stays within one test: a machine and a deployment's store of its own."""

from __future__ import annotations

import tempfile

import pytest

from airflow_provider_atlas.cache import claim
from airflow_provider_atlas.hooks import service_account
from tests.cache.fakes import MemoryStore


@pytest.fixture(autouse=True)
def a_machine_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


@pytest.fixture
def store(mocker):
    store = MemoryStore()
    mocker.patch.object(service_account, "Variables", lambda: store)
    mocker.patch.object(claim, "PAUSE", 0.001)
    return store
