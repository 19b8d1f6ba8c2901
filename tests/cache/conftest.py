"""The store in memory, and its Variables' names."""

from __future__ import annotations

import pytest

from airflow_provider_atlas.cache.variables import names_for
from tests.cache.fakes import MemoryStore


@pytest.fixture
def store():
    return MemoryStore()


@pytest.fixture
def names(account):
    return names_for(account)
