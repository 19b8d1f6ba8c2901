"""The store that is Airflow's own API, at a server that records: what is sent, and what becomes of a refusal.

``tests/fleets/test_secret_rotation.py`` writes into a real Airflow.
"""

from __future__ import annotations

import json
import os
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

pytest.importorskip("airflow.providers.http", reason="the extra airflow-api installs it")

from airflow_provider_atlas.exceptions import SecretStoreUnavailable
from airflow_provider_atlas.stores.airflow import AirflowStore
from tests.conftest import CLIENT_ID, CLIENT_SECRET

NEW = "mdb_sa_sk_New"
STORED = {"connection_id": "a b", "conn_type": "mongodbatlas", "login": CLIENT_ID, "password": "***"}


@pytest.fixture
def api(monkeypatch):
    """An API server that records requests; ``refuse`` maps the start of a path to a status."""

    class Handler(BaseHTTPRequestHandler):
        seen, refuse = [], {}

        def answer(self):
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.seen.append((self.command, self.path, json.loads(body or "null"), self.headers.get("Authorization")))
            status = next((code for path, code in self.refuse.items() if self.path.startswith(path)), 200)
            content = {"access_token": "jwt"} if self.path == "/auth/token" else STORED
            text = json.dumps(content if status == 200 else {"input": json.loads(body or "null")}).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = do_PATCH = answer  # noqa: N815

        def log_message(self, *_):
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    host = f"http://127.0.0.1:{server.server_port}"
    user = {"conn_type": "http", "host": host, "login": "bot", "password": "pw-of-bot"}
    monkeypatch.setenv("AIRFLOW_CONN_AIRFLOW_API", json.dumps(user))
    own = {"conn_type": "mongodbatlas", "login": CLIENT_ID, "password": CLIENT_SECRET, "extra": {"timeout": 5}}
    monkeypatch.setenv("AIRFLOW_CONN_A B", json.dumps(own))
    yield Handler
    server.shutdown()
    server.server_close()


def test_a_write_changes_password_and_extra_with_a_token_for_the_user(api):
    AirflowStore().write("a b", CLIENT_ID, NEW, CLIENT_SECRET)
    login, write = api.seen
    assert login == ("POST", "/auth/token", {"username": "bot", "password": "pw-of-bot"}, None)
    body = {
        "connection_id": "a b",
        "conn_type": "mongodbatlas",
        "password": NEW,
        "extra": json.dumps({"timeout": 5, "previous_secret": CLIENT_SECRET}),
    }
    path = "/api/v2/connections/a%20b?update_mask=password&update_mask=extra"
    assert write == ("PATCH", path, body, "Bearer jwt")


def test_a_check_writes_the_type_that_is_there(api):
    AirflowStore().check("a b", CLIENT_ID)
    assert [seen[:3] for seen in api.seen if seen[1] != "/auth/token"] == [
        ("GET", "/api/v2/connections/a%20b", None),
        (
            "PATCH",
            "/api/v2/connections/a%20b?update_mask=conn_type",
            {"connection_id": "a b", "conn_type": "mongodbatlas"},
        ),
    ]


def test_without_a_login_the_extra_s_header_is_sent(api, monkeypatch):
    user = json.loads(os.environ["AIRFLOW_CONN_AIRFLOW_API"])
    header = {"extra": {"Authorization": "Bearer of-the-user"}}
    monkeypatch.setenv("AIRFLOW_CONN_AIRFLOW_API", json.dumps({"conn_type": "http", "host": user["host"], **header}))
    AirflowStore().check("a b", CLIENT_ID)
    assert {seen[3] for seen in api.seen} == {"Bearer of-the-user"}


def test_a_connection_of_another_account_is_refused(api):
    with pytest.raises(SecretStoreUnavailable, match="same client id"):
        AirflowStore().check("a b", "mdb_sa_id_other")


@pytest.mark.parametrize(
    ("path", "status", "message"),
    [
        ("/auth/token", 401, "refused a login .HTTP 401"),
        ("/api/v2/connections/a%20b?", 403, "refused PATCH of a connection .HTTP 403"),
        ("/api/v2/connections/a%20b?", 422, "refused PATCH of a connection .HTTP 422"),
        ("/api/v2/connections/a%20b?", 500, "refused PATCH of a connection .HTTP 500"),
    ],
)
def test_a_refusal_that_quotes_the_body_is_an_error_and_a_log_without_it(api, path, status, message, says_nothing):
    api.refuse[path] = status
    with pytest.raises(SecretStoreUnavailable, match=message) as caught:
        AirflowStore().write("a b", CLIENT_ID, NEW, CLIENT_SECRET)
    api.refuse.clear()
    says_nothing(caught.value, NEW, CLIENT_SECRET, "pw-of-bot")


def test_a_connection_that_is_elsewhere_fails_the_check(api):
    api.refuse["/api/v2/connections/"] = 404
    with pytest.raises(SecretStoreUnavailable, match=r"refused GET of a connection .HTTP 404"):
        AirflowStore().check("a b", CLIENT_ID)
    api.refuse.clear()
