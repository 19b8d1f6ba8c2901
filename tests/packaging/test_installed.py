"""The wheel in an Airflow without this checkout: what Airflow reports about it, and a project that uses it."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

from airflow_provider_atlas import __version__
from tests.packaging.conftest import ROOT

PROJECT = Path(__file__).parent / "little_project"


def json_in(output: str) -> list[dict[str, str]]:
    """The JSON in the output of an `airflow` command, which also contains warnings."""
    return json.loads(re.search(r"^\[\{.*", output, re.MULTILINE)[0])


def test_airflow_lists_the_provider(clean):
    (row,) = json_in(clean("airflow", "providers", "get", "airflow-provider-atlas", "--output", "json"))
    assert row == {"Provider": "airflow-provider-atlas", "Version": __version__}


def test_airflow_lists_the_connection_type_and_its_hook(clean):
    hooks = {row["connection_type"]: row for row in json_in(clean("airflow", "providers", "hooks", "--output", "json"))}
    assert hooks["mongodbatlas"] == {
        "connection_type": "mongodbatlas",
        "class": "airflow_provider_atlas.hooks.service_account.AtlasServiceAccountHook",
        "conn_id_attribute_name": "atlas_conn_id",
        "package_name": "airflow-provider-atlas",
        "hook_name": "MongoDB Atlas service account",
    }


def test_every_code_block_of_the_docs_is_in_the_example_project():
    shown = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "how-to" / "test-your-dags.md").read_text(), re.DOTALL)
    files = [path.read_text() for path in PROJECT.rglob("*.py")]
    assert len(shown) == 4
    assert [code for code in shown if not any(code in text for text in files)] == []


def test_the_tests_of_the_example_project_pass_against_the_sandbox(clean, tmp_path):
    project = shutil.copytree(PROJECT, tmp_path / "project")
    assert "5 passed" in clean("pytest", "-p", "no:cacheprovider", cwd=project)
