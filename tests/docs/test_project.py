"""The how-to about testing one's own DAGs, put together as the project that it describes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import airflow
import pytest

from tests.docs.pages import DOCS, blocks

PAGE = DOCS / "how-to" / "test-your-dags.md"
pytestmark = pytest.mark.skipif(airflow.__version__.startswith("2."), reason="the page imports airflow.sdk")


@pytest.fixture
def project(tmp_path):
    """Each block as the file that is named last before it."""
    for block in blocks(PAGE, "python"):
        file = tmp_path / re.findall(r"`([\w/]+\.py)`", block.document.text[: block.region.start])[-1]
        file.parent.mkdir(exist_ok=True)
        assert not file.exists()
        file.write_text(block.parsed)
    return tmp_path


def run(project, *command):
    exports = re.findall(r"^export (\w+)=(.+)$", PAGE.read_text(), re.MULTILINE)
    mine = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "PYTEST"))}
    environment = {**mine, **{name: value.replace("$PWD", str(project)) for name, value in exports}}
    done = subprocess.run(
        command, cwd=project, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_its_tests_of_a_task_pass(project):
    assert "3 passed" in run(project, sys.executable, "-m", "pytest", "-q", "tests/test_projects.py")


@pytest.mark.integration
def test_its_test_of_a_whole_dag_passes(project):
    run(project, str(Path(sys.executable).parent / "airflow"), "db", "migrate")
    assert "4 passed" in run(project, sys.executable, "-m", "pytest", "-q")
