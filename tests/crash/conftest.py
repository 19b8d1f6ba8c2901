"""A crash reporter and an account for each test."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_atlas.cache import claim, task
from airflow_provider_atlas.sandbox import Sandbox
from tests.cache.fakes import MemoryStore
from tests.crash.operations import World
from tests.crash.reporter import Reporter, reporting


@pytest.fixture
def reporter() -> Iterator[Reporter]:
    with reporting() as reporter:
        yield reporter


@pytest.fixture
def sandbox(atlas_sandbox: Sandbox, store: MemoryStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sandbox:
    """An Atlas that limits nothing, and a store and a machine of the test's own."""
    atlas_sandbox.rate_limit = atlas_sandbox.token_cap = 1_000_000
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(claim, "READS", 1)
    return atlas_sandbox


@pytest.fixture
def world(sandbox: Sandbox, store: MemoryStore, monkeypatch: pytest.MonkeyPatch) -> Callable[..., World]:
    """Makes a :class:`World` in which nothing has happened yet."""

    def make(**changes: Any) -> World:
        store.texts.clear()
        task._caches.clear()
        return World(sandbox, monkeypatch, **changes)

    return make
