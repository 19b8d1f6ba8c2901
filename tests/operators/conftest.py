"""What operators tell other tasks on this machine stays within one test; a sandbox for jobs, on the tests' clock."""

from __future__ import annotations

import tempfile

import pytest

from tests.operators.jobs import CLUSTERS, on_clock


@pytest.fixture(autouse=True)
def a_machine_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


@pytest.fixture
def sandbox(atlas_sandbox, clock, monkeypatch, hook):
    on_clock(clock, atlas_sandbox, monkeypatch)
    hook.run(CLUSTERS)
    return atlas_sandbox


@pytest.fixture(params=[True, False], ids=["deferred", "on the worker"])
def deferrable(request):
    return request.param
