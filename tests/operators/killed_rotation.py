"""One run of the rotation in a process of its own, which ends at a step without any clean-up, as after kill -9.

``python -m tests.operators.killed_rotation FOLDER ORG_ID STEP before|after``; with another step it runs to its end.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from airflow_provider_atlas.cache import claim
from airflow_provider_atlas.hooks import rotation
from airflow_provider_atlas.hooks.client_secrets import ClientSecrets
from airflow_provider_atlas.hooks.tokens import Tokens
from airflow_provider_atlas.operators.secret import RotateClientSecretOperator

FOLDER, ORG_ID, STEP, WHEN = Path(sys.argv[1]), *sys.argv[2:5]
KILLED = 7


def step(name: str, call: Any) -> Any:
    def run(*args: Any, **kwargs: Any) -> Any:
        if (name, WHEN) == (STEP, "before"):
            os._exit(KILLED)
        result = call(*args, **kwargs)
        if (name, WHEN) == (STEP, "after"):
            os._exit(KILLED)
        return result

    return run


class Files:
    """Airflow's Variables, in files."""

    def read(self, name: str) -> str | None:
        path = FOLDER / name
        return path.read_text() if path.exists() else None

    def write(self, name: str, text: str) -> None:
        (FOLDER / name).write_text(text)

    def remove(self, name: str) -> None:
        (FOLDER / name).unlink(missing_ok=True)


def show() -> None:
    os.environ["AIRFLOW_CONN_ATLAS_DEFAULT"] = (FOLDER / "connection").read_text()


class Store:
    """The connection, in a file."""

    def check(self, conn_id: str, client_id: str) -> None:
        """It can be written."""

    def write(self, conn_id: str, client_id: str, new: str, previous: str) -> None:
        connection = json.loads((FOLDER / "connection").read_text())
        (FOLDER / "connection").write_text(json.dumps(connection | {"password": new}))
        show()


if __name__ == "__main__":
    show()
    claim.PAUSE, rotation.HOLD, rotation.POLL = 0.05, 8.0, 0.5
    rotation.WRITE, rotation.Variables = 1.0, lambda _: Files()  # type: ignore[misc,assignment]
    rotation.Rotation._save = step("record", rotation.Rotation._save)  # type: ignore[method-assign]
    ClientSecrets.create = step("create", ClientSecrets.create)  # type: ignore[method-assign]
    Store.write = step("store", Store.write)  # type: ignore[method-assign]
    Tokens.revoke = step("revoke", Tokens.revoke)  # type: ignore[method-assign]
    RotateClientSecretOperator(task_id="rotate", store=Store(), org_id=ORG_ID).execute({})
