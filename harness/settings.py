"""The environment of a private Airflow: short intervals, no settings of another Airflow, no access to the network."""

from __future__ import annotations

import os
import secrets
import sys
from pathlib import Path


def environment(home: Path, dags_folder: Path, *, url: str, fernet_key: str, slots: int) -> dict[str, str]:
    """Environment variables that configure Airflow 2.11 and 3.x. Each version ignores the options of the other."""
    key = secrets.token_urlsafe(64)
    sections: dict[str, dict[str, object]] = {
        "core": {
            "dags_folder": dags_folder,
            "executor": "LocalExecutor",
            "parallelism": slots,
            "max_active_tasks_per_dag": slots,
            "load_examples": False,
            "fernet_key": fernet_key,
            "test_connection": "Enabled",
            "simple_auth_manager_all_admins": True,
            "execution_api_server_url": f"{url}/execution/",
            # The default asks a name server.
            "hostname_callable": "socket.gethostname",
        },
        "api": {"base_url": url, "secret_key": key, "auth_backends": "airflow.api.auth.backend.default"},
        # Without an issuer 3.0 puts an empty list into each token, which PyJWT 2.10 and later refuses.
        "api_auth": {"jwt_secret": key, "jwt_issuer": url},
        "webserver": {"base_url": url, "secret_key": key, "warn_deployment_exposure": False},
        "database": {"load_default_connections": False},
        # A task waits 5 s for a response of the API server, too little on a busy machine.
        "workers": {"execution_api_timeout": 60},
        "dag_processor": {"refresh_interval": 5},
        "scheduler": {"dag_dir_list_interval": 5, "scheduler_idle_sleep_time": 0.5},
        "usage_data_collection": {"enabled": False},
    }
    # Without bytecode every process compiles all that it imports, and a task costs half as much again as for users.
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AIRFLOW", "PYTHONDONTWRITEBYTECODE")) and not name.lower().endswith("_proxy")
    }
    return inherited | {
        "AIRFLOW_HOME": str(home),
        # So that no .netrc is read, and that gunicorn writes nothing into the user's home directory.
        "HOME": str(home),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "PYTHONUNBUFFERED": "1",
        # Airflow 2 refuses LocalExecutor on SQLite. It works with the write-ahead log, which 2.11 uses.
        "_AIRFLOW__SKIP_DATABASE_EXECUTOR_COMPATIBILITY_CHECK": "1",
        **{
            f"AIRFLOW__{section.upper()}__{option.upper()}": str(value)
            for section, options in sections.items()
            for option, value in options.items()
        },
    }
