"""A user who may edit connections: a rotation stores the new client secret through the API of Airflow 3."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from harness.airflow import PrivateAirflow

USER, PASSWORD = "bot", "of-a-private-airflow-only"


def settings(folder: Path) -> dict[str, str]:
    """Environment variables with which an Airflow has the user; a file in the folder has the password."""
    file = folder / "passwords.json"
    file.write_text(json.dumps({USER: PASSWORD}))
    prefix = "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER"
    return {f"{prefix}_USERS": f"{USER}:admin", f"{prefix}_PASSWORDS_FILE": str(file)}


def connect(airflow: PrivateAirflow) -> None:
    """Add the connection ``airflow_api`` of this user, once Airflow runs."""
    connection = {"connection_id": "airflow_api", "conn_type": "http", "host": airflow.url}
    airflow.rest.request("POST", "/connections", connection | {"login": USER, "password": PASSWORD})
