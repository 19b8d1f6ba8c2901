"""A file that is downloaded is whole, or it is not there."""

from __future__ import annotations

import gzip
import hashlib
import http.server
import json
import os
import signal
import subprocess
import sys
import threading
import time
import tracemalloc
from contextlib import contextmanager
from pathlib import Path

import pytest
from airflow.providers.common.compat.sdk import ObjectStoragePath

from airflow_provider_atlas import exceptions
from airflow_provider_atlas.api import download as module
from airflow_provider_atlas.api.download import PIECE
from airflow_provider_atlas.hooks.service_account import AtlasServiceAccountHook

LOG = "/api/atlas/v2/groups/{groupId}/clusters/{hostName}/logs/{logName}.gz"
NAMES = {"groupId": "0" * 24, "hostName": "host-0.example", "logName": "mongodb"}
BODY = gzip.compress(os.urandom(2 * PIECE))


class Files:
    """Serves one file in several ways, whatever is asked for; gives out tokens as well."""

    def __init__(self):
        self.ways, self.requests = ["whole"], []

    def respond(self, handler):
        self.requests.append(handler)
        way = self.ways.pop(0) if len(self.ways) > 1 else self.ways[0]
        handler.send_response(200 if not way.isdecimal() else int(way))
        if way == "chunked":
            handler.send_header("Transfer-Encoding", "chunked")
        elif way == "encoded":
            handler.send_header("Content-Encoding", "br")
        if way not in ("chunked", "without length"):
            handler.send_header("Content-Length", "0" if way.isdecimal() else str(len(BODY)))
        handler.send_header("Content-Type", "application/vnd.atlas.2025-03-12+gzip")
        handler.end_headers()
        if way.isdecimal():
            return
        if way == "chunked":
            for start in range(0, len(BODY), 1000):
                piece = BODY[start : start + 1000]
                handler.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
            handler.wfile.write(b"0\r\n\r\n")
            return
        handler.wfile.write(BODY[: len(BODY) // 2] if way in ("broken", "silent") else BODY)
        handler.wfile.flush()
        if way == "silent":
            handler.connection.recv(1)
        handler.close_connection = way != "whole"


@contextmanager
def serving(files):
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_):
            pass

        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            body = json.dumps({"access_token": "a.b.c", "token_type": "Bearer", "expires_in": 3600}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self):
            files.respond(self)

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@pytest.fixture
def files():
    return Files()


@pytest.fixture
def hook(files, monkeypatch):
    with serving(files) as url:
        conn = {"conn_type": "mongodbatlas", "host": url, "extra": {"timeout": 2, "max_wait": 20}}
        secret = {"login": "mdb_sa_id_" + "0" * 24, "password": "mdb_sa_sk_x"}
        monkeypatch.setenv("AIRFLOW_CONN_ATLAS_DEFAULT", json.dumps({**conn, **secret}))
        hook = AtlasServiceAccountHook()
        yield hook
        hook.get_conn().close()


@pytest.mark.parametrize("way", ["whole", "chunked"])
@pytest.mark.parametrize("kind", [str, Path, lambda path: ObjectStoragePath(f"file://{path}")])
def test_a_file_arrives_whole_and_alone(hook, files, tmp_path, kind, way):
    files.ways = [way]
    to = tmp_path / "mongodb.gz"
    to.write_bytes(b"an older one")
    done = hook.download(LOG, kind(str(to)), path=NAMES, params={"startDate": 1})
    assert to.read_bytes() == BODY
    assert done == (len(BODY), hashlib.sha256(BODY).hexdigest())
    assert os.listdir(tmp_path) == ["mongodb.gz"]
    (request,) = files.requests
    assert request.headers["Accept"] == "application/vnd.atlas.2025-03-12+gzip"
    assert request.headers["Accept-Encoding"] == "identity"
    assert request.path == LOG.format(**NAMES) + "?startDate=1"


@pytest.mark.parametrize("way", ["broken", "silent"])
def test_a_broken_download_starts_again_within_max_wait(hook, files, tmp_path, way):
    files.ways = [way, "whole"]
    hook.get_conn().transport.__dict__["timeout"] = 0.3
    hook.get_conn()._options["timeout"] = (0.3, 0.3)
    done = hook.download(LOG, tmp_path / "mongodb.gz", path=NAMES)
    assert done.size == len(BODY)
    assert len(files.requests) == 2
    assert os.listdir(tmp_path) == ["mongodb.gz"]


@pytest.mark.parametrize(
    ("way", "kind", "message"),
    [
        ("broken", exceptions.AtlasUnreachable, "connection to Atlas failed"),
        ("without length", exceptions.UnexpectedResponse, "how long the file is"),
        ("encoded", exceptions.UnexpectedResponse, "encoding that was not asked for"),
        ("404", exceptions.AtlasApiError, "GET /api/atlas/v2/groups/{groupId}/clusters/{hostName}"),
        ("406", exceptions.AtlasApiError, "accept='json'"),
        ("204", exceptions.AtlasApiError, "is not there yet .HTTP 204"),
    ],
)
def test_a_download_that_fails_leaves_what_was_there(hook, files, tmp_path, way, kind, message):
    files.ways = [way]
    to = tmp_path / "mongodb.gz"
    to.write_bytes(b"an older one")
    hook.get_conn().max_wait = hook.get_conn()._adapter._max_wait = 0
    with pytest.raises(kind, match=message.replace("{", r"\{")):
        hook.download(LOG, to, path=NAMES)
    assert to.read_bytes() == b"an older one"
    assert os.listdir(tmp_path) == ["mongodb.gz"]


@pytest.mark.parametrize("kind", [str, Path, lambda path: ObjectStoragePath(f"file://{path}")])
def test_a_folder_is_refused_as_a_target_before_the_request(hook, files, tmp_path, kind):
    with pytest.raises(exceptions.InvalidCall, match="must be a file"):
        hook.download(LOG, kind(str(tmp_path)), path=NAMES)
    assert (files.requests, os.listdir(tmp_path)) == ([], [])


def test_the_time_of_a_transfer_does_not_count_as_a_wait(hook, files, tmp_path, mocker, clock):
    files.ways = ["broken", "whole"]
    mocker.patch.object(module, "time", mocker.Mock(monotonic=clock, sleep=clock.sleep))
    store = module._store

    def slow(pieces, target):
        clock.sleep(3600)
        return store(pieces, target)

    mocker.patch.object(module, "_store", slow)
    assert hook.download(LOG, tmp_path / "mongodb.gz", path=NAMES).size == len(BODY)


def test_a_folder_that_is_missing_is_the_error_of_the_file_system(hook, tmp_path):
    with pytest.raises(FileNotFoundError):
        hook.download(LOG, tmp_path / "nowhere" / "mongodb.gz", path=NAMES)


def test_memory_does_not_grow_with_the_file(hook, files, tmp_path, mocker):
    mocker.patch(f"{__name__}.BODY", b"x" * (64 << 20))
    hook.get_token()
    tracemalloc.start()
    try:
        hook.download(LOG, tmp_path / "big", path=NAMES)
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


DOWNLOAD = """
import sys
from airflow_provider_atlas.hooks.service_account import AtlasServiceAccountHook
AtlasServiceAccountHook().download(sys.argv[1], sys.argv[2])
"""


def test_a_process_that_is_killed_leaves_nothing_under_the_name_and_a_retry_succeeds(hook, files, tmp_path):
    files.ways = ["silent", "whole"]
    to = tmp_path / "mongodb.gz"
    process = subprocess.Popen([sys.executable, "-c", DOWNLOAD, LOG.format(**NAMES), str(to)])
    while not any(part.stat().st_size for part in tmp_path.iterdir()):
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not to.exists()
    assert hook.download(LOG, to, path=NAMES).size == to.stat().st_size == len(BODY)
