"""Each cause has its error: who must change what, and whether a retry may help."""

from __future__ import annotations

import json
import socket

import pytest
import requests
from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_atlas import exceptions as errors
from airflow_provider_atlas.oauth.account import ServiceAccount
from airflow_provider_atlas.oauth.client import TokenClient
from airflow_provider_atlas.oauth.transport import Transport
from tests.conftest import CLIENT_ID, CLIENT_SECRET
from tests.hostile import server
from tests.hostile.conftest import TIMEOUT
from tests.hostile.test_connections import elapsed, serving

ATLAS = "https://atlas.invalid"
VARIABLES = ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "http_proxy", "HTTP_PROXY", "no_proxy", "NO_PROXY")


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


def failure(url: str = ATLAS, **transport) -> errors.AtlasError:
    with pytest.raises(errors.AtlasError) as caught:
        TokenClient(ServiceAccount(CLIENT_ID, CLIENT_SECRET, url), Transport(TIMEOUT, **transport)).generate()
    return caught.value


@pytest.mark.parametrize(
    ("proxy", "says"),
    [
        ("http://127.0.0.1:port", "must be a URL"),
        ("http://127.0.0.1:99999", "must be a URL"),
        ("http://127.0.0.1:-1", "must be a URL"),
        ("http://[::1", "must be a URL"),
        ("http://", "must be a URL"),
        ("http://a..b:3128", "must be a URL"),
        (f"http://{'a' * 64}:3128", "must be a URL"),
        ("socks5://127.0.0.1:1080", "install requests[socks]"),
        ("socks5h://127.0.0.1:1080", "install requests[socks]"),
    ],
)
@pytest.mark.parametrize("name", ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", None])
def test_a_proxy_that_cannot_be_used_is_final_and_its_place_is_named(name, proxy, says, monkeypatch, says_nothing):
    if name is not None:
        monkeypatch.setenv(name, proxy)
        error, place = failure(), f"the environment variable {name}"
    else:
        error, place = failure(proxies={"https": proxy}), "the connection's extra proxies"
    assert type(error) is errors.InvalidConnection
    assert place in str(error)
    assert says in str(error)
    assert isinstance(error, AirflowFailException)
    says_nothing(error)


@pytest.mark.parametrize("url", ["https://a..b", f"https://{'a' * 64}.example"])
def test_a_host_name_that_is_not_valid_is_the_connections_fault(url):
    error = failure(url)
    assert type(error) is errors.InvalidConnection
    assert "host name" in str(error)


def proxy_that(response: bytes):
    return serving(lambda connection, _: (server.requested(connection), connection.sendall(response)))


@pytest.mark.parametrize(
    ("response", "kind", "says"),
    [
        (b"HTTP/1.1 403 Forbidden\r\n\r\n", errors.AtlasUnreachable, "does not let the request to Atlas through"),
        (b"HTTP/1.1 407 Who\r\nProxy-Authenticate: Basic\r\n\r\n", errors.AtlasUnreachable, "does not let"),
        (b"SSH-2.0-x\r\n", errors.UnexpectedResponse, "not valid HTTP"),
        (b"HTTP/1.1 200 OK\r\n\r\nno TLS at all, but a page\r\n", errors.AtlasUnreachable, "TLS"),
        (b"", errors.AtlasUnreachable, "Atlas"),
    ],
)
def test_a_proxy_that_refuses_or_is_none_is_told(response, kind, says):
    with proxy_that(response) as address:
        error = failure(proxies={"https": f"http://{address}"})
    assert type(error) is kind
    assert says in str(error)


def test_a_proxy_where_nothing_listens_is_named(monkeypatch):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{free.getsockname()[1]}")
        error = failure()
    assert type(error) is errors.AtlasUnreachable
    assert "environment variable HTTPS_PROXY" in str(error)


def test_a_name_that_does_not_resolve_and_a_closed_port_may_be_retried(mocker):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        error = failure(f"http://127.0.0.1:{free.getsockname()[1]}")
    assert (type(error), error.args[0]) == (errors.AtlasUnreachable, "Nothing listens at the Atlas URL")
    mocker.patch("socket.getaddrinfo", side_effect=socket.gaierror(-3, "Temporary failure in name resolution"))
    error = failure()
    assert (type(error), error.args[0]) == (
        errors.AtlasUnreachable,
        "The host name of the Atlas URL does not resolve",
    )
    assert not isinstance(error, AirflowFailException)


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("GET /", {}),
        ("GÉT", {}),
        ("GET\r\nX: y", {}),
        ("POST", {"json": {1, 2}}),
        ("POST", {"json": float("nan")}),
        ("POST", {"json": {"x": object()}}),
        ("GET", {"params": 7}),
    ],
)
def test_only_arguments_of_the_caller_are_an_invalid_call(hook, atlas_sandbox, method, arguments):
    hook.get_token()
    before = atlas_sandbox.counters.api_requests
    with pytest.raises(errors.InvalidCall):
        hook.run("/api/atlas/v2/groups", method, **arguments)
    assert atlas_sandbox.counters.api_requests == before


@pytest.mark.parametrize("headers", [{"X": "a\r\nY: b"}, {"X\n": "a"}, {"X": 5}, {" X": "a"}])
def test_a_bad_header_of_the_caller_is_an_error_of_requests_before_anything_is_sent(hook, atlas_sandbox, headers):
    hook.get_token()
    before = atlas_sandbox.counters.api_requests
    with pytest.raises(requests.exceptions.InvalidHeader):
        hook.get_conn().get("/api/atlas/v2/groups", headers=headers)
    assert atlas_sandbox.counters.api_requests == before


#: The longest error text that a refusal makes: 20 fields of 2 x 500 characters, code and words of 500, and our own.
LONGEST_ERROR = 23_000
#: The longest log line of a response: an endpoint of 200 characters, two dates of 60, and our own words.
LONGEST_LINE = 500
ESCAPES = "\x1b[2J\x1b]0;x\x07\u202e\x00\u2028"


def responding(response: bytes):
    def handle(connection: socket.socket, _: int) -> None:
        while path := server.requested(connection):
            connection.sendall(server.WELL if path.startswith(b"/api/oauth") else response)

    return serving(handle)


def test_dates_of_a_deprecation_are_cut_and_cleaned_in_the_log(connect, caplog):
    noise = "\x1b[31m" + "x" * 55_000
    with responding(server.whole(b"{}", f"Sunset: {noise}", f"Deprecation: {noise}")) as address:
        hook = connect(f"http://{address}", timeout=10 * TIMEOUT)
        hook.run(f"/{'y' * 5_000}")
        hook.get_conn().close()
    (line,) = [record.getMessage() for record in caplog.records if "has deprecated" in record.getMessage()]
    assert len(line) < LONGEST_LINE
    assert line.isprintable()


def test_headers_that_cannot_be_read_are_cut_in_the_log(connect, caplog):
    with responding(server.head("no colon" + "x" * 50_000 + "\x1b[31m", "Connection: close") + b"{}") as address:
        hook = connect(f"http://{address}", timeout=3 * TIMEOUT)
        elapsed(lambda: hook.run("/x"))
        hook.get_conn().close()
    lines = [record.getMessage() for record in caplog.records if "Failed to parse headers" in record.getMessage()]
    assert len(lines) == 1
    assert len(lines[0]) < 2 * LONGEST_LINE
    assert lines[0].isprintable()


@pytest.mark.parametrize(
    "refusal",
    [
        {"badRequestDetail": {"fields": [{"field": ESCAPES + "f" * 400, "description": ESCAPES + "d" * 400}] * 1000}},
        {"badRequestDetail": {"fields": [{"field": "f" * 400_000, "description": "d" * 400_000}]}},
        {"detail": ESCAPES + "d" * 900_000, "errorCode": ESCAPES + "c" * 900, "reason": "r" * 900},
        {"parameters": [ESCAPES + "p" * 900_000], "errorCode": "IP_ADDRESS_NOT_ON_ACCESS_LIST"},
    ],
    ids=["many fields", "long fields", "long texts", "long parameters"],
)
def test_the_text_of_a_refusal_is_bounded_and_printable(connect, refusal):
    response = server.whole(json.dumps(refusal).encode(), status="400 Bad Request")
    with responding(response) as address:
        hook = connect(f"http://{address}", timeout=10 * TIMEOUT)
        _, error = elapsed(lambda: hook.run("/x"))
        hook.get_conn().close()
    assert type(error) is errors.AtlasApiError
    assert len(str(error)) < LONGEST_ERROR
    assert str(error).isprintable()


def test_a_refusal_of_20_mb_is_not_read(connect):
    fields = [{"field": "f" * 1000, "description": "d" * 1000}] * 10_000
    body = json.dumps({"badRequestDetail": {"fields": fields}}).encode()
    with responding(server.whole(body, "Connection: close", status="400 Bad Request")) as address:
        hook = connect(f"http://{address}", timeout=10 * TIMEOUT)
        _, error = elapsed(lambda: hook.run("/x"))
    assert type(error) is errors.UnexpectedResponse
    assert str(error).startswith("The response is larger than 1 MiB (HTTP 400)")


def test_a_response_that_is_too_large_names_two_ways_to_read_it(connect):
    with responding(server.whole(b"1" * ((16 << 20) + 1), "Connection: close")) as address:
        hook = connect(f"http://{address}", timeout=10 * TIMEOUT)
        _, error = elapsed(lambda: hook.run("/x"))
    assert str(error).startswith("The response is larger than 16 MiB (HTTP 200). Ask for fewer results in a page")
    assert "download" in str(error)


def test_a_link_to_a_next_page_has_a_length(connect):
    page = {"results": [1], "links": [{"rel": "next", "href": "/" + "%41" * 5_000}]}
    with responding(server.whole(json.dumps(page).encode())) as address:
        hook = connect(f"http://{address}", timeout=10 * TIMEOUT)
        with pytest.raises(errors.AtlasApiError, match="no valid href"):
            list(hook.paginate("/x"))
        hook.get_conn().close()
