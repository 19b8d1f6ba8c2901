"""Connections that break, stall or drip at another place than in a response."""

from __future__ import annotations

import itertools
import json
import socket
import ssl
import subprocess
import threading
import time
from contextlib import ExitStack, contextmanager, suppress

import pytest
import requests

from airflow_provider_atlas import exceptions
from airflow_provider_atlas.oauth.account import ServiceAccount
from airflow_provider_atlas.oauth.client import TokenClient
from airflow_provider_atlas.oauth.transport import Transport
from tests.conftest import CLIENT_ID, CLIENT_SECRET
from tests.hostile import server
from tests.hostile.conftest import SLACK, STATED, TIMEOUT
from tests.hostile.server import GOOD, TOKEN, WELL, head, whole

MIB = 1 << 20


@contextmanager
def serving(handle):
    """A server in this process, whose connections are handled one after another; its URL."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            for number in itertools.count():
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection, suppress(OSError):
                    connection.settimeout(5)
                    handle(connection, number)

        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield f"127.0.0.1:{listener.getsockname()[1]}"
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def elapsed(call) -> tuple[float, BaseException | None]:
    started = time.monotonic()
    try:
        call()
    except (exceptions.AtlasError, requests.RequestException) as error:
        return time.monotonic() - started, error
    return time.monotonic() - started, None


@pytest.mark.parametrize("call", ["generate_token", "revoke_token", "run"])
@pytest.mark.parametrize(
    "response",
    [WELL, head("Transfer-Encoding: chunked") + server.chunk(GOOD) + b"0\r\n\r\n"],
    ids=["length", "chunks"],
)
def test_a_response_that_ends_at_any_byte_is_a_typed_error(call, response, connect):
    def handle(connection: socket.socket, number: int) -> None:
        server.requested(connection)
        connection.sendall(response[:number])
        connection.shutdown(socket.SHUT_WR)

    with serving(handle) as address:
        hook = connect(f"http://{address}", timeout=10 * TIMEOUT)
        calls = {
            "generate_token": hook.generate_token,
            "revoke_token": lambda: hook.revoke_token(TOKEN),
            "run": lambda: hook.run("/x"),
        }
        session = hook.get_conn()
        session._adapter._source = lambda: type("Fixed", (), {"get": lambda self, wait: token()})()
        errors = [elapsed(calls[call])[1] for _ in range(len(response) + 1)]
        session.close()
    # Python does not insist on the empty line at the end of the chunks.
    complete = len(response) - (0 if response is WELL else 4)
    assert [type(error) for error in errors[:complete]] == [exceptions.AtlasUnreachable] * complete
    assert errors[-1] is None


def token():
    from datetime import UTC, datetime, timedelta

    from airflow_provider_atlas.oauth.token import AccessToken

    now = datetime.now(UTC)
    return AccessToken(TOKEN, "Bearer", now, now + timedelta(hours=1))


def test_a_connection_that_dies_between_two_requests_costs_at_most_an_error(connect):
    def handle(connection: socket.socket, number: int) -> None:
        server.requested(connection)
        connection.sendall(WELL)
        if number % 2:  # the next request is read, and not responded to
            server.requested(connection)

    with serving(handle) as address:
        hook = connect(f"http://{address}", timeout=10 * TIMEOUT)
        errors = [elapsed(lambda: hook.run("/x"))[1] for _ in range(8)]
        hook.get_conn().close()
    assert {type(error) for error in errors} <= {type(None), exceptions.AtlasUnreachable}
    assert None in errors


@pytest.mark.parametrize("read", [0, 1 << 15], ids=["reads nothing", "reads slowly"])
@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("body", ["whole", "in parts"])
def test_a_request_that_is_not_read_ends_at_the_deadline(scheme, read, body, connect, certificate):
    def handle(connection: socket.socket, number: int) -> None:
        if scheme == "https":
            connection = certificate.server.wrap_socket(connection, server_side=True)
        if number == 0:
            server.requested(connection)
            connection.sendall(head("Connection: close", f"Content-Length: {len(GOOD)}") + GOOD)
            return
        ends = time.monotonic() + 4
        while time.monotonic() < ends:
            time.sleep(0.02)
            if read and not connection.recv(read):
                return

    with serving(handle) as address:
        url = f"{scheme}://{address.replace('127.0.0.1', 'localhost') if scheme == 'https' else address}"
        hook = certificate.trusted_by(connect, url)
        hook.get_token()
        parts = (b"x" * (1 << 14) for _ in range(1 << 11))
        data = b"".join(parts) if body == "whole" else parts
        seconds, error = elapsed(lambda: hook.get_conn().post("/x", data=data))
    assert isinstance(error, requests.ConnectionError)
    assert seconds < STATED + SLACK


class Certificate:
    def __init__(self, folder, monkeypatch) -> None:
        self.path, self._monkeypatch = folder / "cert.pem", monkeypatch
        subprocess.run(
            [
                *(
                    "openssl",
                    "req",
                    "-x509",
                    "-newkey",
                    "ec",
                    "-pkeyopt",
                    "ec_paramgen_curve:P-256",
                    "-nodes",
                    "-days",
                    "1",
                    "-subj",
                    "/CN=localhost",
                ),
                *("-addext", "subjectAltName=DNS:localhost", "-keyout", folder / "key.pem", "-out", self.path),
            ],
            check=True,
            capture_output=True,
        )
        self.server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.server.load_cert_chain(self.path, folder / "key.pem")

    def trusted_by(self, connect, url, **extra):
        self._monkeypatch.setenv("AIRFLOW__ATLAS__CA_BUNDLE", str(self.path))
        return connect(url, **extra)


@pytest.fixture
def certificate(tmp_path, monkeypatch):
    return Certificate(tmp_path, monkeypatch)


def dripping(connection: socket.socket, start: bytes, byte: bytes) -> None:
    connection.sendall(start)
    ends = time.monotonic() + 4
    while time.monotonic() < ends:
        connection.sendall(byte)
        time.sleep(0.02)


def test_a_tls_handshake_that_drips_ends_at_the_deadline(connect):
    with serving(lambda connection, _: dripping(connection, b"\x16\x03\x03\x40\x00\x02", b"\0")) as address:
        seconds, error = elapsed(connect(f"https://{address}").generate_token)
    assert isinstance(error, exceptions.AtlasUnreachable)
    assert "did not respond completely" in str(error)
    assert seconds < STATED + SLACK


def test_a_response_over_tls_that_drips_ends_at_the_deadline(connect, certificate):
    def handle(connection: socket.socket, _: int) -> None:
        wrapped = certificate.server.wrap_socket(connection, server_side=True)
        server.requested(wrapped)
        dripping(wrapped, head(), b" ")

    with serving(handle) as address:
        hook = certificate.trusted_by(connect, f"https://{address.replace('127.0.0.1', 'localhost')}")
        seconds, error = elapsed(hook.generate_token)
    assert isinstance(error, exceptions.AtlasUnreachable)
    assert "did not respond completely" in str(error)
    assert seconds < STATED + SLACK


def test_a_proxy_that_drips_ends_at_the_deadline(connect):
    with serving(lambda connection, _: dripping(connection, b"HTTP/1.1 200 ", b"O")) as address:
        transport = Transport(TIMEOUT, proxies={"https": f"http://{address}"})
        client = TokenClient(ServiceAccount(CLIENT_ID, CLIENT_SECRET, "https://atlas.invalid"), transport)
        seconds, error = elapsed(client.generate)
    assert isinstance(error, exceptions.AtlasUnreachable)
    assert seconds < STATED + SLACK


def test_the_addresses_of_a_host_share_the_timeout_and_the_last_one_is_tried(connect, mocker):
    real, silent = socket.getaddrinfo, [f"127.0.0.{number}" for number in range(2, 10)]
    with serving(lambda connection, _: connection.sendall(WELL)) as address, ExitStack() as stack:
        port = int(address.partition(":")[2])
        for each in silent:  # a full queue: the kernel drops what else wants to connect
            listener = stack.enter_context(socket.socket())
            listener.bind((each, port))
            listener.listen(0)
            for _ in range(3):
                waiting = stack.enter_context(socket.socket())
                waiting.setblocking(False)
                waiting.connect_ex((each, port))

        def resolve(host, *args, **kwargs):
            hosts = [*silent, "127.0.0.1"] if host == "localhost" else [host]
            return [info for each in hosts for info in real(each, *args, **kwargs)]

        mocker.patch("socket.getaddrinfo", resolve)
        seconds, error = elapsed(connect(f"http://localhost:{port}", timeout=1).generate_token)
    assert error is None
    assert 0.5 < seconds < 2 + SLACK


def test_a_refusal_is_bounded_with_stream_too_and_a_success_is_the_callers(ports, connect):
    for name in ("gzip bomb with status 401", "endless refusal", "drip of a refusal"):
        hook = connect(f"http://127.0.0.1:{ports[name][1]}")
        seconds, error = elapsed(lambda hook=hook: hook.get_conn().get("/x", stream=True))
        assert error is not None, name
        assert seconds < STATED + SLACK
    hook = connect(f"http://127.0.0.1:{ports['drip of the body'][1]}")
    with hook.get_conn().get("/x", stream=True) as response:
        started = time.monotonic()
        pieces = response.iter_content(1)
        while time.monotonic() < started + 1.5 * STATED:
            assert next(pieces) == b" "


def test_a_session_keeps_no_cookies(connect):
    with serving(
        lambda connection, _: [
            (server.requested(connection), connection.sendall(whole(GOOD, f"Set-Cookie: c{n}=x"))) for n in range(3)
        ]
    ) as address:
        hook = connect(f"http://{address}", timeout=10 * TIMEOUT)
        hook.get_token()
        conn = hook.get_conn()
        assert conn.get("/x").cookies.get_dict() != {}
        assert conn.cookies.get_dict() == {}
        conn.close()


def test_json_is_read_as_utf_8_whatever_codec_the_server_names(connect):
    body = json.dumps({"results": ["x" * MIB]}).encode()
    response = whole(body, "Content-Type: application/json; charset=punycode", "Connection: close")

    def handle(connection: socket.socket, _: int) -> None:
        path = server.requested(connection)
        connection.sendall(
            WELL.replace(b"200 OK\r\n", b"200 OK\r\nConnection: close\r\n") if b"oauth" in path else response
        )

    with serving(handle) as address:
        seconds, error = elapsed(lambda: connect(f"http://{address}", timeout=10 * TIMEOUT).run("/x"))
    assert error is None
    assert seconds < 10 * STATED
