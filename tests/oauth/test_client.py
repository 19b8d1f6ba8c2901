"""The client with the sandbox: the requests that it sends, and the token or typed error that it returns."""

from __future__ import annotations

import socket
import ssl
import subprocess
import threading
from datetime import UTC, datetime

import pytest
import requests

from airflow_provider_atlas import exceptions as errors
from airflow_provider_atlas.oauth.account import ServiceAccount
from airflow_provider_atlas.oauth.client import TokenClient
from airflow_provider_atlas.oauth.transport import Transport
from tests.conftest import CLIENT_ID, CLIENT_SECRET, TOKEN

FLAGS = [{}, {"pretty": True}, {"envelope": True}, {"pretty": True, "envelope": True}]


@pytest.fixture
def client(atlas_sandbox):
    return TokenClient(ServiceAccount(atlas_sandbox.client_id, atlas_sandbox.client_secret, atlas_sandbox.url))


@pytest.mark.parametrize("flags", FLAGS)
def test_generate_and_revoke_work_with_every_combination_of_flags(client, atlas_sandbox, flags):
    before = datetime.now(UTC)
    token = client.generate(**flags)
    assert atlas_sandbox.is_active(token.value)
    assert before <= token.issued_at <= datetime.now(UTC)
    assert (token.expires_at - token.issued_at).total_seconds() == 3600
    client.revoke(token.value, **flags)
    assert not atlas_sandbox.is_active(token.value)
    assert (atlas_sandbox.counters.token_requests, atlas_sandbox.counters.revoked) == (1, 1)


def test_requests_have_the_documented_method_url_headers_and_body(mocker, account, monkeypatch):
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    monkeypatch.delenv("CURL_CA_BUNDLE", raising=False)
    sent = []

    def respond(session, request, **options):
        sent.append((request, options))
        response = requests.Response()
        response.status_code = 200
        response._content = b'{"access_token": "t", "expires_in": 3600, "token_type": "Bearer"}'
        return response

    mocker.patch("requests.Session.send", respond)
    client = TokenClient(account, Transport(timeout=7))
    client.generate()
    client.revoke(TOKEN, envelope=True, pretty=True)
    (generate, options), (revoke, _) = sent
    assert (generate.method, generate.url) == ("POST", "http://127.0.0.1:1/api/oauth/token")
    assert generate.body == "grant_type=client_credentials"
    assert generate.headers["Authorization"] == requests.auth._basic_auth_str(CLIENT_ID, CLIENT_SECRET)
    assert generate.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert (generate.headers["Accept"], generate.headers["Cache-Control"]) == ("application/json", "no-cache")
    assert (options["timeout"], options["allow_redirects"], options["verify"]) == ((7, 7), False, True)
    assert revoke.url == "http://127.0.0.1:1/api/oauth/revoke?pretty=true&envelope=true"
    assert revoke.body.endswith("&token_type_hint=access_token")


def test_issued_at_is_read_before_the_request(client, clock, mocker):
    real = requests.Session.post

    def slow(*args, **kwargs):
        clock.now += 40
        return real(*args, **kwargs)

    mocker.patch("requests.Session.post", slow)
    start = clock.now
    token = TokenClient(client.account, clock=clock).generate()
    assert token.issued_at.timestamp() == start


@pytest.mark.parametrize("envelope", [False, True])
@pytest.mark.parametrize("retry_after", ["seconds", "date"])
def test_a_rate_limit_error_has_retry_after_limit_and_window(client, envelope, retry_after, atlas_sandbox):
    atlas_sandbox.rate_limit, atlas_sandbox.retry_after = 1, retry_after
    client.generate()
    with pytest.raises(errors.RateLimited) as caught:
        client.generate(envelope=envelope)
    assert 50 < caught.value.retry_after <= 61
    assert (caught.value.limit, caught.value.window) == (1, 60.0)


def test_wrong_credentials_raise_invalid_client(atlas_sandbox, says_nothing):
    other = TokenClient(ServiceAccount(atlas_sandbox.client_id, CLIENT_SECRET, atlas_sandbox.url))
    with pytest.raises(errors.InvalidClient, match="401 invalid_client") as caught:
        other.generate()
    says_nothing(caught.value)


BODIES = [b"", b"<html>no</html>", b'{"access_token": "', b"\xff\xfe\x00", b"[]", b"null", b"{" * 10_000]


@pytest.mark.parametrize("status", [200, 400, 401, 403, 404, 429, 500, 502, 503])
@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("envelope", [False, True])
def test_any_status_with_an_invalid_body_raises_a_typed_error(
    client, atlas_sandbox, status, body, envelope, says_nothing
):
    atlas_sandbox.fail_next("token", status=status, body=body)
    with pytest.raises(errors.AtlasError) as caught:
        client.generate(envelope=envelope)
    assert caught.value.status == status
    says_nothing(caught.value, atlas_sandbox.client_secret)


@pytest.mark.parametrize("body", [b"<html>Welcome to the airport</html>", b"OK", b"[1]"])
def test_a_200_with_a_body_that_is_not_from_atlas_does_not_count_as_a_revocation(
    client, atlas_sandbox, body, says_nothing
):
    atlas_sandbox.fail_next("revoke", status=200, body=body)
    with pytest.raises(errors.UnexpectedResponse) as caught:
        client.revoke(TOKEN)
    says_nothing(caught.value, atlas_sandbox.client_secret, TOKEN)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed_and_raises_unexpected_response(client, atlas_sandbox, status, says_nothing):
    atlas_sandbox.fail_next("token", status=status, headers={"Location": f"{atlas_sandbox.url}/elsewhere?{TOKEN}"})
    with pytest.raises(errors.UnexpectedResponse, match="redirects") as caught:
        client.generate()
    assert atlas_sandbox.counters.token_requests == 1
    says_nothing(caught.value, atlas_sandbox.client_secret, TOKEN)


def test_credentials_that_the_server_echoes_are_scrubbed(client, atlas_sandbox, says_nothing):
    secret = atlas_sandbox.client_secret
    pair = requests.auth._basic_auth_str(atlas_sandbox.client_id, secret)
    body = f'{{"error": "{secret}", "error_description": "{pair} {secret} {TOKEN}"}}'.encode()
    atlas_sandbox.fail_next("revoke", status=400, body=body)
    with pytest.raises(errors.AtlasError, match=r"\*\*\*") as caught:
        client.revoke(TOKEN)
    says_nothing(caught.value, secret, TOKEN)


def test_a_dropped_connection_raises_atlas_unreachable(client, atlas_sandbox, says_nothing):
    atlas_sandbox.fail_next("token", kind="drop")
    with pytest.raises(errors.AtlasUnreachable, match="connection to Atlas failed") as caught:
        client.generate()
    says_nothing(caught.value, atlas_sandbox.client_secret)


def test_no_response_within_the_timeout_raises_atlas_unreachable(client, atlas_sandbox, says_nothing):
    atlas_sandbox.fail_next("token", kind="silence")
    with pytest.raises(errors.AtlasUnreachable, match=r"within 0\.2 s") as caught:
        TokenClient(client.account, Transport(timeout=0.2)).generate()
    says_nothing(caught.value, atlas_sandbox.client_secret)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@pytest.mark.parametrize(
    ("transport", "url", "kind", "message"),
    [
        (Transport(), "http://127.0.0.1:{port}", errors.AtlasUnreachable, "Nothing listens"),
        (
            Transport(proxies={"https": "http://127.0.0.1:{port}"}),
            "https://x.invalid",
            errors.AtlasUnreachable,
            "proxy",
        ),
        (
            Transport(ca_bundle="/nowhere/ca.pem"),
            "https://127.0.0.1:{port}",
            errors.CertificateRefused,
            "must name a file",
        ),
    ],
)
def test_an_error_names_the_closed_port_the_proxy_or_the_missing_ca_bundle(transport, url, kind, message, says_nothing):
    port = free_port()
    proxies = {scheme: proxy.format(port=port) for scheme, proxy in (transport.proxies or {}).items()}
    client = TokenClient(
        ServiceAccount(CLIENT_ID, CLIENT_SECRET, url.format(port=port)),
        Transport(ca_bundle=transport.ca_bundle, proxies=proxies),
    )
    with pytest.raises(kind, match=message) as caught:
        client.generate()
    says_nothing(caught.value)


def test_an_error_says_that_the_host_name_does_not_resolve(mocker, says_nothing):
    mocker.patch("socket.getaddrinfo", side_effect=socket.gaierror(-2, "Name or service not known"))
    with pytest.raises(errors.AtlasUnreachable, match="does not resolve") as caught:
        TokenClient(ServiceAccount(CLIENT_ID, CLIENT_SECRET)).generate()
    says_nothing(caught.value)


@pytest.fixture
def tls_url(tmp_path):
    """A TLS server with a self-signed certificate."""
    pem = tmp_path / "server.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost"),
            *("-addext", "subjectAltName=DNS:localhost", "-keyout", pem, "-out", tmp_path / "cert.pem"),
        ],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", pem)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection, pytest.raises(OSError):
                context.wrap_socket(connection, server_side=True)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"https://localhost:{listener.getsockname()[1]}"
        thread.join(10)


def test_an_untrusted_certificate_raises_certificate_refused_with_a_remedy(tls_url, says_nothing):
    with pytest.raises(errors.CertificateRefused, match="ca_bundle") as caught:
        TokenClient(ServiceAccount(CLIENT_ID, CLIENT_SECRET, tls_url)).generate()
    says_nothing(caught.value)


def test_a_plain_http_response_to_a_tls_handshake_is_reported_as_a_tls_error(says_nothing):
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(64)
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=serve)
        thread.start()
        url = f"https://127.0.0.1:{listener.getsockname()[1]}"
        with pytest.raises(errors.AtlasUnreachable, match="TLS") as caught:
            TokenClient(ServiceAccount(CLIENT_ID, CLIENT_SECRET, url)).generate()
        thread.join(10)
    says_nothing(caught.value)


def test_ca_bundle_and_proxies_of_the_connection_override_the_environment(mocker, monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/environment.pem")
    monkeypatch.setenv("HTTPS_PROXY", "http://environment:1")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    send = mocker.patch("requests.Session.send", side_effect=requests.ConnectionError)
    with pytest.raises(errors.AtlasUnreachable):
        TokenClient(
            ServiceAccount(CLIENT_ID, CLIENT_SECRET),
            Transport(ca_bundle="/ours.pem", proxies={"https": "http://ours:2"}),
        ).generate()
    assert send.call_args.kwargs["verify"] == "/ours.pem"
    assert send.call_args.kwargs["proxies"]["https"] == "http://ours:2"


def test_proxy_passwords_are_not_in_the_repr():
    assert "hunter2" not in repr(Transport(proxies={"https": "http://me:hunter2@proxy:3128"}))


def test_an_error_has_no_cause_and_no_context_from_requests(client, atlas_sandbox):
    atlas_sandbox.fail_next("token", kind="drop")
    with pytest.raises(errors.AtlasUnreachable) as caught:
        client.generate()
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)
