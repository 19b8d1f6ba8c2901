"""The REST client repeats a request only if the database was locked, and uses the API path of the version."""

from __future__ import annotations

import contextlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from tenacity import wait_none

from harness.commands import AirflowFailed
from harness.rest import RestClient


@pytest.mark.parametrize(
    ("reason", "version_2", "paths"),
    [("Database error", False, ["/api/v2/x"] * 2), ("Something else", True, ["/api/v1/x"])],
)
def test_a_request_is_repeated_if_the_database_was_locked(monkeypatch, reason, version_2, paths):
    responses = [(500, f'{{"reason": "{reason}"}}'), (200, "{}")]
    seen = []

    class Api(BaseHTTPRequestHandler):
        def do_GET(self):
            status, body = responses[len(seen)]
            seen.append(self.path)
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_):
            pass

    monkeypatch.setattr(RestClient.request.retry, "wait", wait_none())
    with ThreadingHTTPServer(("127.0.0.1", 0), Api) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        client = RestClient(f"http://127.0.0.1:{server.server_port}", version_2)
        with contextlib.nullcontext() if len(paths) == 2 else pytest.raises(AirflowFailed, match=reason):
            assert client.request("GET", "/x") == {}
        server.shutdown()
    assert seen == paths
