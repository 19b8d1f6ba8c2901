"""What operators tell other tasks on this machine stays within one test."""

from __future__ import annotations

import tempfile

import pytest


@pytest.fixture(autouse=True)
def a_machine_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
