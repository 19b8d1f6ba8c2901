"""Airflow's own database, through the REST API of Airflow 3: a task cannot write connections by itself."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

from airflow_provider_atlas.exceptions import SecretStoreUnavailable
from airflow_provider_atlas.stores.shapes import is_same


class AirflowStore:
    """
    Connections in Airflow's metadata database, through its REST API (Airflow 3).

    Needs the extra ``airflow-api``. Other fields of the connection are kept, and the extra ``previous_secret`` is set.

    :param http_conn_id: connection of type ``http`` to the API server. With login and password, of a user who may edit
        connections, a token is requested from ``/auth/token``; else its extra may have an ``Authorization`` header.
    """

    def __init__(self, http_conn_id: str = "airflow_api") -> None:
        self.http_conn_id = http_conn_id

    def check(self, conn_id: str, client_id: str) -> None:
        """See ``SecretStore``. Writes the connection's type, which stays the same."""
        stored = self._call("GET", _path(conn_id))
        if not is_same(stored.get("login"), client_id):
            raise SecretStoreUnavailable("The connection in Airflow's database must have the same client id")
        self._patch(conn_id, conn_type=stored.get("conn_type"))

    def write(self, conn_id: str, client_id: str, new: str, previous: str) -> None:
        """See ``SecretStore``."""
        from airflow.providers.common.compat.sdk import BaseHook

        # The API shows sensitive extras as ***; the connection itself has all of them.
        connection = BaseHook.get_connection(conn_id)
        extra = json.dumps({**connection.extra_dejson, "previous_secret": previous})
        self._patch(conn_id, "conn_type", conn_type=connection.conn_type, password=new, extra=extra)

    def _patch(self, conn_id: str, *unchanged: str, **fields: Any) -> None:
        mask = "&".join(f"update_mask={name}" for name in fields if name not in unchanged)
        self._call("PATCH", f"{_path(conn_id)}?{mask}", {"connection_id": conn_id, **fields})

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        headers = {}
        if (token := self._token()) is not None:
            headers["Authorization"] = f"Bearer {token}"
        return self._send(method, path, body, headers)

    def _token(self) -> str | None:
        from airflow.providers.common.compat.sdk import BaseHook

        user = BaseHook.get_connection(self.http_conn_id)
        if not user.login:
            return None
        body = {"username": user.login, "password": user.password}
        return str(self._send("POST", "auth/token", body, {}).get("access_token"))

    def _send(self, method: str, path: str, body: dict[str, Any] | None, headers: dict[str, str]) -> dict[str, Any]:
        from airflow.providers.http.hooks.http import HttpHook

        # Not Basic: the API takes tokens only. A refusal may quote the body, so the hook must not log it.
        hook = HttpHook(method, self.http_conn_id, auth_type=lambda *_: None)
        more = {} if body is None else {"json": body}
        response = hook.run(path, headers=headers, extra_options={"check_response": False, "timeout": 30}, **more)
        if response.status_code >= 300:
            what = "a login" if path == "auth/token" else f"{method} of a connection"
            raise SecretStoreUnavailable(f"Airflow's API refused {what} (HTTP {response.status_code})")
        return dict(response.json())


def _path(conn_id: str) -> str:
    return f"api/v2/connections/{quote(conn_id, safe='')}"
