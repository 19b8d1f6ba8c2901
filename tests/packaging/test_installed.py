"""The wheel in an Airflow that knows nothing of this checkout: what Airflow says of it, and a project that uses it."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

from airflow_provider_atlas import __version__
from tests.packaging.conftest import ROOT

PROJECT = Path(__file__).parent / "little_project"


def told(output: str) -> list[dict[str, str]]:
    """The JSON among an `airflow` command's warnings."""
    return json.loads(re.search(r"^\[\{.*", output, re.MULTILINE)[0])


def test_airflow_knows_the_provider(clean):
    (row,) = told(clean("airflow", "providers", "get", "airflow-provider-atlas", "--output", "json"))
    assert row == {"Provider": "airflow-provider-atlas", "Version": __version__}


def test_airflow_knows_the_connection_type_and_its_hook(clean):
    hooks = {row["connection_type"]: row for row in told(clean("airflow", "providers", "hooks", "--output", "json"))}
    assert hooks["mongodbatlas"] == {
        "connection_type": "mongodbatlas",
        "class": "airflow_provider_atlas.hooks.service_account.AtlasServiceAccountHook",
        "conn_id_attribute_name": "atlas_conn_id",
        "package_name": "airflow-provider-atlas",
        "hook_name": "MongoDB Atlas service account",
    }


def test_the_docs_show_that_project_as_it_is():
    shown = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "how-to" / "test-your-dags.md").read_text(), re.DOTALL)
    files = [path.read_text() for path in PROJECT.rglob("*.py")]
    assert len(shown) == 4
    assert [code for code in shown if not any(code in text for text in files)] == []


def test_a_project_of_its_own_tests_its_dags_against_the_sandbox(clean, tmp_path):
    project = shutil.copytree(PROJECT, tmp_path / "project")
    assert "5 passed" in clean("pytest", "-p", "no:cacheprovider", cwd=project)
