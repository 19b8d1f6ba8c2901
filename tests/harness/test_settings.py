"""A private Airflow uses no settings of its surroundings and sends nothing out."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from harness.settings import environment


@pytest.fixture
def settings(monkeypatch):
    airflow = ("AIRFLOW_HOME", "AIRFLOW__CORE__EXECUTOR", "AIRFLOW_CONN_ATLAS_DEFAULT")
    for name in (*airflow, "HTTPS_PROXY", "http_proxy", "PYTHONDONTWRITEBYTECODE"):
        monkeypatch.setenv(name, "theirs")
    monkeypatch.setenv("LANG", "C.UTF-8")
    return environment(Path("/own/home"), Path("/dags"), url="http://127.0.0.1:1234", fernet_key="key", slots=3)


def test_settings_of_another_airflow_proxies_and_a_python_without_bytecode_are_left_out(settings):
    assert "theirs" not in settings.values()
    assert settings["LANG"] == "C.UTF-8"
    assert settings["AIRFLOW_HOME"] == settings["HOME"] == "/own/home"


def test_workers_find_the_api_and_commands_find_the_interpreter(settings):
    assert settings["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"] == "http://127.0.0.1:1234/execution/"
    assert settings["PATH"].startswith(str(Path(sys.executable).parent))
    assert settings["AIRFLOW__CORE__PARALLELISM"] == "3"


def test_stored_secrets_are_encrypted_and_usage_is_not_reported(settings):
    assert settings["AIRFLOW__CORE__FERNET_KEY"] == "key"
    assert len(settings["AIRFLOW__API_AUTH__JWT_SECRET"]) >= 64
    assert settings["AIRFLOW__USAGE_DATA_COLLECTION__ENABLED"] == "False"
