"""Waits of a trigger that take no time."""

from __future__ import annotations

import pytest

from airflow_provider_atlas.oauth import retry_after


@pytest.fixture
def waits_are_short(monkeypatch):
    monkeypatch.setattr(retry_after, "SHORTEST_WAIT", 0.01)
    monkeypatch.setattr(retry_after, "FIRST_STEP", 0.01)
    monkeypatch.setattr(retry_after.random, "uniform", lambda first, last: 0.0)
