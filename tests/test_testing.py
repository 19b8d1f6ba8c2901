"""The fixture for DAG authors: its connection exists for one test, and an import error names the missing package."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys

import pytest
import requests

CONFTEST = 'pytest_plugins = ["airflow_provider_atlas.testing"]\n'
TESTS = """
import os

def test_with(atlas_sandbox):
    assert atlas_sandbox.url in os.environ["AIRFLOW_CONN_ATLAS_DEFAULT"]

def test_without():
    assert "AIRFLOW_CONN_ATLAS_DEFAULT" not in os.environ
"""


def run(*arguments, **more):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    environment.pop("AIRFLOW_CONN_ATLAS_DEFAULT", None)
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, timeout=120, env=environment, check=False, **more
    )


def test_default_connection_points_to_the_sandbox(atlas_sandbox):
    connection = json.loads(os.environ["AIRFLOW_CONN_ATLAS_DEFAULT"])
    assert connection == {
        "conn_type": "mongodbatlas",
        "login": atlas_sandbox.client_id,
        "password": atlas_sandbox.client_secret,
        "host": atlas_sandbox.url,
        "port": atlas_sandbox.port,
    }
    given = {"auth": (connection["login"], connection["password"]), "data": {"grant_type": "client_credentials"}}
    assert requests.post(f"{connection['host']}/api/oauth/token", timeout=10, **given).status_code == 200


def test_connection_exists_for_one_test_only(tmp_path):
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_dag.py").write_text(TESTS)
    done = run("-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path), cwd=tmp_path)
    assert "2 passed" in done.stdout, done.stdout + done.stderr


def test_import_of_sandbox_and_fixture_does_not_load_airflow():
    check = "import sys, airflow_provider_atlas.testing; print('airflow' in sys.modules)"
    assert run("-c", check).stdout == "False\n"


@pytest.fixture
def import_without(monkeypatch):
    """Import the fixture's module again, as if one module were not installed."""

    def attempt(missing):
        gone = ("airflow_provider_atlas.sandbox", "airflow_provider_atlas.testing", f"{missing}.")
        for name in [name for name in sys.modules if name.startswith(gone)]:
            monkeypatch.delitem(sys.modules, name)
        monkeypatch.setitem(sys.modules, missing, None)
        importlib.import_module("airflow_provider_atlas.testing")

    return attempt


@pytest.mark.parametrize("missing", ["starlette", "uvicorn"])
def test_error_without_the_extra_says_what_to_install(import_without, missing):
    with pytest.raises(ImportError, match=rf"needs {missing}: run pip install 'airflow-provider-atlas\[sandbox\]'"):
        import_without(missing)


def test_error_for_another_missing_module_does_not_name_the_extra(import_without):
    with pytest.raises(ModuleNotFoundError, match=r"airflow_provider_atlas\.sandbox\.state"):
        import_without("airflow_provider_atlas.sandbox.state")
