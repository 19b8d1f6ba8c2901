"""A private Airflow hears nothing of its surroundings and tells them nothing."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from harness.settings import environment


@pytest.fixture
def settings(monkeypatch):
    for name in ("AIRFLOW_HOME", "AIRFLOW__CORE__EXECUTOR", "AIRFLOW_CONN_ATLAS_DEFAULT", "HTTPS_PROXY", "http_proxy"):
        monkeypatch.setenv(name, "theirs")
    monkeypatch.setenv("LANG", "C.UTF-8")
    return environment(
        home=Path("/home/of/it"),
        python=Path(sys.executable),
        dags_folder=Path("/dags"),
        url="http://127.0.0.1:1234",
        fernet_key="key",
        slots=3,
    )


def test_nobody_else_s_airflow_and_no_proxy_reach_in(settings):
    assert "theirs" not in settings.values()
    assert settings["LANG"] == "C.UTF-8"
    assert settings["AIRFLOW_HOME"] == settings["HOME"] == "/home/of/it"


def test_workers_find_the_api_and_commands_their_interpreter(settings):
    assert settings["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"] == "http://127.0.0.1:1234/execution/"
    assert settings["PATH"].startswith(str(Path(sys.executable).parent))
    assert settings["AIRFLOW__CORE__PARALLELISM"] == "3"


def test_secrets_at_rest_are_encrypted_and_usage_is_not_reported(settings):
    assert settings["AIRFLOW__CORE__FERNET_KEY"] == "key"
    assert len(settings["AIRFLOW__API_AUTH__JWT_SECRET"]) >= 64
    assert settings["AIRFLOW__USAGE_DATA_COLLECTION__ENABLED"] == "False"
