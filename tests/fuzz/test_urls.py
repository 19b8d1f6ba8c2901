"""URLs and connections: whatever a person types, requests go to the one origin, or none is sent."""

from __future__ import annotations

import json
from types import SimpleNamespace
from urllib.parse import urlsplit

import requests
from hypothesis import example, given
from hypothesis import strategies as st
from urllib3.util import parse_url

from airflow_provider_atlas.api.urls import at_atlas
from airflow_provider_atlas.api.version import is_version, media_type
from airflow_provider_atlas.exceptions import AtlasError, InvalidCall, InvalidConnection
from airflow_provider_atlas.hooks.settings import Settings
from airflow_provider_atlas.oauth.account import ServiceAccount
from airflow_provider_atlas.oauth.base_url import is_loopback, origin
from tests.conftest import CLIENT_ID, CLIENT_SECRET
from tests.fuzz.properties import any_text, as_json, json_values, nested, numbers, result_or_typed_error, scalars

PASSWORD = "Hunter2_Hunter2"
hosts = st.one_of(
    st.sampled_from(
        [
            "cloud.mongodb.com",
            "CLOUD.mongodb.com.",
            "localhost",
            "127.0.0.1",
            "[::1]",
            "[::1]evil",
            "127.1",
            "evil.com",
            "\N{KELVIN SIGN}.com",
            "a..b",
            "a\tb",
            "a%2eb",
            "[fe80::1%25lo]",
            "[v1.x]",
            "127.0.0.1.evil.com",
            "a b",
            "⒈com",
        ]
    ),
    any_text,
)
urls = st.one_of(
    any_text,
    st.builds(
        "{}{}{}{}{}".format,
        st.sampled_from(["", "https://", "http://", "HTTPS://", "//", "ftp://", "https:", "https:\\\\", "javascript:"]),
        st.sampled_from(["", "", "", f"me:{PASSWORD}@", "@", "evil.com@", "evil.com\\@"]),
        hosts,
        st.sampled_from(["", "", ":443", ":80", ":8080", ":0", ":99999", ":", ":x", ":\u0661"]),
        st.sampled_from(["", "", "/", "//", "/x", "?", "?q", "#", "#f", "/..", "/%2e%2e/x", "\\", " ", "\n"])
        | any_text,
    ),
)
BASES = ["https://cloud.mongodb.com", "http://127.0.0.1:8080", "https://[::1]", "https://localhost:8443"]


def sent_to(url: str) -> tuple[str | None, str | None, int | None] | None:
    """Where ``requests`` would connect to, as parsed by the library that opens the connection."""
    try:
        target = parse_url(str(requests.Request("POST", url).prepare().url))
    except ValueError:  # the transport raises InvalidCall for it
        return None
    return target.scheme, target.host, target.port


@given(urls)
@example("0:0")
@example('"')
def test_any_base_url_becomes_an_origin_or_a_typed_error(url):
    result = result_or_typed_error(lambda: origin(url), PASSWORD, kind=InvalidConnection)
    if isinstance(result, AtlasError):
        return
    assert origin(result) == result
    parts = urlsplit(result)
    assert parts.scheme == "https" or is_loopback(str(parts.hostname))
    assert (parts.username, parts.password, parts.path, parts.query, parts.fragment) == (None, None, "", "", "")
    target = sent_to(f"{result}/api/oauth/token")
    assert target is None or (target[0], str(target[1]).strip("[]"), target[2]) == (
        parts.scheme,
        parts.hostname,
        parts.port,
    )


paths = st.lists(
    st.sampled_from(
        ["/", "\\", "..", ".", "%2e", "%2E%2e", "%252e", "%2f", "//", "@", ":", "?", "#", "evil.com", "api"]
    )
    | any_text,
    max_size=6,
).map("".join)


@given(st.sampled_from(BASES), urls | paths)
def test_any_endpoint_becomes_a_url_at_atlas_or_a_typed_error(base, endpoint):
    result = result_or_typed_error(lambda: at_atlas(base, endpoint), PASSWORD, kind=InvalidCall)
    if isinstance(result, AtlasError):
        return
    assert result.startswith(f"{base}/")
    assert sent_to(result) in (sent_to(f"{base}/"), None)
    assert ".." not in urlsplit(result).path.split("/")


@given(st.sampled_from(BASES), st.text("abz019-_~/", max_size=20), st.text("abz019-_=&%", max_size=10))
def test_every_path_and_every_full_url_at_atlas_stays_unchanged(base, path, query):
    path = "/" + path.lstrip("/") + (f"?{query}" if query else "")
    assert at_atlas(base, path) == at_atlas(base, base + path) == base + path


@given(st.dates().map(str) | any_text | scalars)
def test_a_version_is_a_date_or_a_typed_error(version):
    result = result_or_typed_error(lambda: media_type(version), kind=InvalidCall)
    assert isinstance(result, InvalidCall) is not (isinstance(version, str) and is_version(version))
    assert str(result).isprintable()


credentials = st.one_of(st.just(None), any_text, any_text.map(lambda text: f"mdb_sa_sk_{text}"), st.just(CLIENT_SECRET))
proxies = st.one_of(
    json_values,
    st.just({"https": f"http://me:{PASSWORD}@p:1"}),
    st.just(f'{{"https": "http://me:{PASSWORD}@p"}}'),
    urls,
)
extras = st.one_of(
    any_text,
    json_values.map(as_json),
    st.fixed_dictionaries(
        {},
        optional={
            "timeout": numbers | numbers.map(str) | json_values,
            "max_wait": numbers | numbers.map(str) | json_values,
            "cache_scope": st.sampled_from(["task", "deployment", ""]) | json_values,
            "api_version": st.just("2024-08-05") | any_text | json_values,
            "ca_bundle": any_text | json_values,
            "proxies": proxies,
            "else": nested(scalars),
        },
    ).map(as_json),
)


def read(secret: str | None, host: str | None, port: int | None, schema: str | None, extra: str | None) -> Settings:
    return Settings.from_connection(
        SimpleNamespace(
            conn_type="mongodbatlas", login=CLIENT_ID, password=secret, host=host, port=port, schema=schema, extra=extra
        )
    )


@given(credentials, st.none() | urls, st.none() | st.integers(0, 99_999), st.none() | st.just("x"), st.none() | extras)
@example(CLIENT_SECRET, None, None, None, '{"timeout": ' + "9" * 400 + "}")
@example(CLIENT_SECRET, None, None, None, '{"timeout": 1e300}')
@example(CLIENT_SECRET, None, None, None, '{"max_wait": 1e300}')
@example(CLIENT_SECRET, None, None, None, "[" * 100_000)
@example(CLIENT_SECRET, None, None, None, json.dumps({"proxies": "[" * 100_000}))
def test_any_connection_becomes_settings_or_a_typed_error(secret, host, port, schema, extra):
    result = result_or_typed_error(
        lambda: read(secret, host, port, schema, extra), CLIENT_SECRET, PASSWORD, kind=InvalidConnection
    )
    if isinstance(result, AtlasError):
        return
    assert PASSWORD not in repr(result)
    assert result.account.client_secret not in repr(result)
    assert 0 < result.transport.timeout < 1e7  # a socket and a timedelta accept this
    assert 0 <= result.max_wait < 1e7
    assert result.cache_scope in ("task", "deployment")
    assert is_version(result.api_version)


@given(st.text(max_size=30), st.text(max_size=30))
def test_any_credentials_become_an_account_or_a_typed_error_that_does_not_quote_them(client_id, secret):
    planted = f"mdb_sa_sk_{PASSWORD}{secret}"
    account = result_or_typed_error(
        lambda: ServiceAccount(CLIENT_ID + client_id, planted), PASSWORD, kind=InvalidConnection
    )
    if not isinstance(account, AtlasError):
        assert PASSWORD not in repr(account)
        assert account.client_secret == planted.strip()
        assert PASSWORD not in account.scrub(f"{secret}{planted}{client_id}")
