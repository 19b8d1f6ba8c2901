"""The hook with an OAuth 2.0 server that is not Atlas: oauthlib's, with RFC 7009 revocation."""

from __future__ import annotations

import base64
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import requests
from oauthlib.oauth2 import BackendApplicationServer, RequestValidator

from airflow_provider_atlas import exceptions
from airflow_provider_atlas.hooks.service_account import AtlasServiceAccountHook
from tests.conftest import CLIENT_ID, CLIENT_SECRET


class Validator(RequestValidator):
    """Accepts one client and keeps its tokens in a set."""

    def __init__(self) -> None:
        self.tokens: set[str] = set()

    def authenticate_client(self, request, *args, **kwargs):
        scheme, _, pair = request.headers.get("Authorization", "").partition(" ")
        valid = scheme == "Basic" and base64.b64decode(pair).decode() == f"{CLIENT_ID}:{CLIENT_SECRET}"
        request.client = type("Client", (), {"client_id": CLIENT_ID})() if valid else None
        return valid

    def validate_grant_type(self, client_id, grant_type, client, request, *args, **kwargs):
        return grant_type == "client_credentials"

    def get_default_scopes(self, client_id, request, *args, **kwargs):
        return ["all"]

    def validate_scopes(self, *args, **kwargs):
        return True

    def save_bearer_token(self, token, request, *args, **kwargs):
        self.tokens.add(token["access_token"])

    def validate_bearer_token(self, token, scopes, request):
        return token in self.tokens

    def revoke_token(self, token, token_type_hint, request, *args, **kwargs):
        self.tokens.discard(token)


@pytest.fixture
def server():
    validator = Validator()
    oauth = BackendApplicationServer(validator)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            endpoint = {
                "/api/oauth/token": oauth.create_token_response,
                "/api/oauth/revoke": oauth.create_revocation_response,
            }[self.path]
            headers, content, status = endpoint(self.path, "POST", body, dict(self.headers))
            self.respond(status, headers, content or "")

        def do_GET(self) -> None:
            allowed, _ = oauth.verify_request(self.path, "GET", "", dict(self.headers), ["all"])
            self.respond(200 if allowed else 401, {}, "")

        def respond(self, status, headers, content):
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content.encode())

        def log_message(self, *args) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        thread = threading.Thread(target=http.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{http.server_port}"
        http.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def plain_http_on_loopback(monkeypatch):
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")


def test_a_token_is_generated_used_and_revoked(server):
    hook = AtlasServiceAccountHook(client_id=CLIENT_ID, client_secret=CLIENT_SECRET, base_url=server)
    token = hook.get_token()

    def use() -> int:
        return requests.get(server, headers={"Authorization": f"Bearer {token.value}"}, timeout=10).status_code

    assert (token.expires_at - token.issued_at).total_seconds() == 3600
    assert use() == 200
    hook.revoke_token(token)
    assert use() == 401
    assert hook.get_token().value != token.value


def test_wrong_credentials_raise_invalid_client(server):
    hook = AtlasServiceAccountHook(client_id=CLIENT_ID, client_secret=CLIENT_SECRET + "x", base_url=server)
    with pytest.raises(exceptions.InvalidClient):
        hook.get_token()
