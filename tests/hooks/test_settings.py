"""The settings in a connection, in every format in which Airflow stores one."""

from __future__ import annotations

import copy
import json
import pickle
from urllib.parse import quote

import pytest

try:
    from airflow.sdk.serde import serialize
except ImportError:  # before 3.2
    from airflow.serialization.serde import serialize
from airflow.providers.common.compat.sdk import Connection

from airflow_provider_atlas.exceptions import InvalidConnection
from airflow_provider_atlas.hooks import settings as settings_module
from airflow_provider_atlas.hooks.service_account import AtlasServiceAccountHook
from airflow_provider_atlas.hooks.settings import Settings
from tests.conftest import CLIENT_ID, CLIENT_SECRET


@pytest.fixture(autouse=True)
def any_host_and_any_ca_bundle(monkeypatch):
    monkeypatch.setenv("AIRFLOW__ATLAS__ALLOWED_HOSTS", "*")
    monkeypatch.setenv("AIRFLOW__ATLAS__ALLOW_CA_BUNDLE_IN_EXTRA", "True")


def connection(host: str | None = None, extra: object = None, port: int | None = None) -> Connection:
    text = extra if isinstance(extra, str) else json.dumps(extra or {})
    return Connection(
        conn_id="c", conn_type="mongodbatlas", login=CLIENT_ID, password=CLIENT_SECRET, host=host, port=port, extra=text
    )


def test_an_empty_extra_gives_the_documented_defaults():
    settings = Settings.from_connection(connection())
    assert settings.account.base_url == "https://cloud.mongodb.com"
    assert (settings.transport.timeout, settings.transport.ca_bundle, settings.transport.proxies) == (30.0, None, None)
    assert (settings.cache_scope, settings.max_wait, settings.api_version) == ("task", 300.0, "2025-03-12")


EXTRA = {
    "cache_scope": "deployment",
    "api_version": "2024-08-05",
    "timeout": 5,
    "max_wait": "0",
    "ca_bundle": "/etc/ca.pem",
}


@pytest.mark.parametrize("proxies", [{"https": "http://p:3128"}, '{"https": "http://p:3128"}'])
def test_every_extra_field_is_read_as_typed_json_and_as_form_text(proxies):
    settings = Settings.from_connection(connection(extra={**EXTRA, "proxies": proxies}))
    assert (settings.cache_scope, settings.api_version, settings.max_wait) == ("deployment", "2024-08-05", 0.0)
    assert (settings.transport.timeout, settings.transport.ca_bundle) == (5.0, "/etc/ca.pem")
    assert settings.transport.proxies == {"https": "http://p:3128"}


def test_empty_form_fields_give_the_defaults():
    extra = dict.fromkeys([*EXTRA, "proxies"], "")
    assert Settings.from_connection(connection(extra=extra)) == Settings.from_connection(connection())


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ({"cache_scope": "dagrun"}, "cache_scope must be task or deployment"),
        ({"cache_scope": ["task"]}, "cache_scope must be"),
        ({"api_version": "v2"}, "api_version must be a date"),
        ({"api_version": "2025-13-01"}, "api_version must be a date"),
        ({"api_version": 20250312}, "api_version must be a text"),
        ({"timeout": 0}, "timeout must be above 0"),
        ({"timeout": "soon"}, "timeout must be a number"),
        ({"timeout": -1}, "timeout must be a number"),
        ({"timeout": True}, "timeout must be a number"),
        ({"max_wait": -1}, "max_wait must be a number"),
        ({"max_wait": "nan"}, "max_wait must be a number"),
        ({"max_wait": "inf"}, "max_wait must be a number"),
        ({"max_wait": [1]}, "max_wait must be a number"),
        ({"max_wait": 604_801}, "from 0 to 604800"),
        ({"timeout": 10**400}, "timeout must be a number"),
        ({"ca_bundle": False}, "ca_bundle must be a text"),
        ({"proxies": "http://me:Hunter2_Hunter2@p"}, "proxies must be a JSON object"),
        ({"proxies": {"https": 3128}}, "proxies must be a JSON object"),
        ("[]", "extra must be a JSON object"),
    ],
)
def test_an_error_for_an_invalid_field_names_it_and_does_not_quote_its_value(extra, message, says_nothing):
    with pytest.raises(InvalidConnection, match=message) as caught:
        Settings.from_connection(connection(extra=extra))
    says_nothing(caught.value, CLIENT_SECRET, "Hunter2_Hunter2")


def test_a_path_in_the_uri_is_refused_and_an_ipv6_host_is_accepted():
    with pytest.raises(InvalidConnection, match="Schema must be empty, or https"):
        conn = connection("atlas.example")
        conn.schema = "api"
        Settings.from_connection(conn)
    assert Settings.from_connection(connection("http://::1", port=8080)).account.base_url == "http://[::1]:8080"


@pytest.mark.parametrize("host", ["https://atlas.example", "https://atlas.example/", "atlas.example"])
def test_a_port_in_the_port_field_is_added_to_the_host(host):
    assert Settings.from_connection(connection(host, port=8443)).account.base_url == "https://atlas.example:8443"


@pytest.mark.parametrize(
    "host", ["https://atlas.example:8443", "atlas.example:8443/", "[::1]:8443", "http://[::1]:8443"]
)
def test_a_port_in_host_and_port_field_must_be_the_same(host):
    expected = Settings.from_connection(connection(host)).account.base_url
    assert Settings.from_connection(connection(host, port=8443)).account.base_url == expected
    with pytest.raises(InvalidConnection, match="same port"):
        Settings.from_connection(connection(host, port=443))


@pytest.mark.parametrize("port", [443, 0])
def test_a_port_without_a_host_is_ignored(port):
    assert Settings.from_connection(connection(port=port)).account.base_url == "https://cloud.mongodb.com"


@pytest.mark.parametrize(
    "text",
    [
        f"mongodbatlas://{CLIENT_ID}:secret@cloud.mongodbgov.com",
        f"mongodbatlas://{CLIENT_ID}:secret@https%3A%2F%2Fcloud.mongodbgov.com",
        json.dumps(
            {
                "conn_type": "mongodbatlas",
                "login": CLIENT_ID,
                "password": "secret",
                "host": "https://cloud.mongodbgov.com",
            }
        ),
    ],
)
def test_a_connection_from_the_environment_is_read_as_uri_and_as_json(text, monkeypatch):
    from urllib.parse import quote

    in_uri = text.startswith("mongodbatlas")
    monkeypatch.setenv(
        "AIRFLOW_CONN_C", text.replace("secret", quote(CLIENT_SECRET, safe="") if in_uri else CLIENT_SECRET)
    )
    account = AtlasServiceAccountHook("c").settings.account
    assert (account.client_secret, account.base_url) == (CLIENT_SECRET, "https://cloud.mongodbgov.com")


def test_airflow_options_apply_where_the_connection_sets_nothing(monkeypatch):
    for name, value in (("CACHE_SCOPE", "deployment"), ("TIMEOUT", "3"), ("MAX_WAIT", "17")):
        monkeypatch.setenv(f"AIRFLOW__ATLAS__{name}", value)
    settings = Settings.from_connection(connection())
    assert (settings.cache_scope, settings.transport.timeout, settings.max_wait) == ("deployment", 3.0, 17.0)
    settings = Settings.from_connection(connection(extra={"max_wait": 18}))
    assert settings.max_wait == 18.0


@pytest.mark.parametrize("extra", [{}, dict.fromkeys([*EXTRA, "proxies"], ""), dict.fromkeys([*EXTRA, "proxies"])])
def test_options_that_are_set_but_empty_count_as_not_set(extra, monkeypatch):
    for name in ("CACHE_SCOPE", "TIMEOUT", "MAX_WAIT"):
        monkeypatch.setenv(f"AIRFLOW__ATLAS__{name}", "")
    settings = Settings.from_connection(connection(extra=extra))
    assert (settings.cache_scope, settings.transport.timeout, settings.max_wait) == ("task", 30.0, 300.0)


@pytest.mark.parametrize("value", ["", None])
def test_an_extra_that_is_empty_leaves_the_deployment_s_option_in_force(value, monkeypatch):
    monkeypatch.setenv("AIRFLOW__ATLAS__MAX_WAIT", "17")
    assert Settings.from_connection(connection(extra={"max_wait": value})).max_wait == 17.0


def test_a_zero_is_not_empty(monkeypatch):
    monkeypatch.setenv("AIRFLOW__ATLAS__MAX_WAIT", "17")
    assert Settings.from_connection(connection(extra={"max_wait": 0})).max_wait == 0.0


def test_arguments_of_the_hook_override_the_connection():
    settings = Settings.from_connection(connection(extra=EXTRA), cache_scope="task", max_wait=1)
    assert (settings.cache_scope, settings.max_wait) == ("task", 1.0)


@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        ("", ""),
        ("https://cloud.mongodb.com", ""),
        ("https://CLOUD.mongodb.com.", ""),
        ("https://cloud.mongodb.com:443", ""),
        ("https://cloud.mongodbgov.com", ""),
        ("http://127.0.0.1:8080", ""),
        ("https://localhost:8443", ""),
        ("http://[::1]:8080", ""),
        ("https://gateway.example", "gateway.example"),
        ("https://gateway.example", " Gateway.Example. , other"),
        ("https://gateway.example:8443", "gateway.example"),
        ("https://gateway.example:8443", "gateway.example:8443"),
        ("https://[2001:db8::1]", "[2001:db8::1]"),
        ("https://[2001:db8::1]:8443", "2001:db8::1"),
        ("https://anything.example", "*"),
    ],
)
def test_a_connection_may_lead_to_a_host_that_allowed_hosts_lists(host, allowed, monkeypatch):
    monkeypatch.setenv("AIRFLOW__ATLAS__ALLOWED_HOSTS", allowed)
    assert Settings.from_connection(connection(host)).account.base_url


@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        ("https://mine.example", ""),
        ("https://evil.cloud.mongodb.com", ""),
        ("https://cloud.mongodb.com.evil.example", ""),
        ("https://cloud-mongodb.com", ""),
        ("https://cloudxmongodb.com", ""),
        ("https://xcloud.mongodb.com", ""),
        ("https://10.0.0.1", ""),
        ("https://127.0.0.1.evil.example", ""),
        ("http://127.0.0.1:8080", "cloud.mongodb.com"),
        ("https://gateway.example:8443", "gateway.example:443"),
        ("https://sub.gateway.example", "gateway.example"),
        ("https://cloud.mongodb.com", "gateway.example"),
    ],
)
@pytest.mark.parametrize("form", ["fields", "uri", "environment"])
def test_a_connection_to_another_host_is_refused_with_the_option_to_set(host, allowed, form, monkeypatch):
    monkeypatch.setenv("AIRFLOW__ATLAS__ALLOWED_HOSTS", allowed)
    name = host.partition("://")[2].partition(":")[0]
    if form == "fields":
        with pytest.raises(InvalidConnection, match="allowed_hosts") as caught:
            Settings.from_connection(connection(host))
    else:
        conn = {"conn_type": "mongodbatlas", "login": CLIENT_ID, "password": CLIENT_SECRET, "host": host}
        uri = f"mongodbatlas://{CLIENT_ID}:{quote(CLIENT_SECRET, safe='')}@{quote(host, safe='')}"
        monkeypatch.setenv("AIRFLOW_CONN_ELSEWHERE", uri if form == "uri" else json.dumps(conn))
        worked, text = AtlasServiceAccountHook("elsewhere").test_connection()
        assert not worked
        assert "allowed_hosts" in text
        with pytest.raises(InvalidConnection, match="allowed_hosts") as caught:
            _ = AtlasServiceAccountHook("elsewhere").settings
    assert name in str(caught.value)
    assert CLIENT_SECRET not in str(caught.value)


def test_a_ca_bundle_in_the_extra_is_refused_unless_the_option_allows_it(monkeypatch):
    monkeypatch.setenv("AIRFLOW__ATLAS__ALLOW_CA_BUNDLE_IN_EXTRA", "")
    with pytest.raises(InvalidConnection, match="allow_ca_bundle_in_extra = True"):
        Settings.from_connection(connection(extra={"ca_bundle": "/mine.pem"}))
    monkeypatch.setenv("AIRFLOW__ATLAS__CA_BUNDLE", "/ours.pem")
    assert Settings.from_connection(connection()).transport.ca_bundle == "/ours.pem"
    monkeypatch.setenv("AIRFLOW__ATLAS__ALLOW_CA_BUNDLE_IN_EXTRA", "True")
    assert Settings.from_connection(connection(extra={"ca_bundle": "/mine.pem"})).transport.ca_bundle == "/mine.pem"


@pytest.mark.parametrize("option", ["TIMEOUT", "MAX_WAIT", "CACHE_SCOPE", "CA_BUNDLE", "ALLOWED_HOSTS"])
def test_an_option_that_is_set_but_empty_counts_as_not_set(option, monkeypatch):
    monkeypatch.delenv("AIRFLOW__ATLAS__ALLOWED_HOSTS")
    expected = Settings.from_connection(connection())
    monkeypatch.setenv(f"AIRFLOW__ATLAS__{option}", "")
    assert Settings.from_connection(connection()) == expected


@pytest.mark.parametrize("what", [lambda settings: settings, lambda settings: settings.account, lambda s: s.transport])
def test_settings_account_and_transport_refuse_serialization(what):
    value = what(Settings.from_connection(connection(extra={"proxies": {"https": "http://me:secret@proxy:1"}})))
    for write in (pickle.dumps, copy.deepcopy, serialize):
        with pytest.raises(TypeError, match="must not leave its task"):
            write(value)


@pytest.mark.parametrize(
    ("schema", "host", "port", "base_url"),
    [
        ("https", "atlas.example", None, "https://atlas.example"),
        ("https", "https://atlas.example", None, "https://atlas.example"),
        ("HTTPS", "atlas.example", 8443, "https://atlas.example:8443"),
        ("https", "", None, "https://cloud.mongodb.com"),
        ("http", "127.0.0.1", 8080, "http://127.0.0.1:8080"),
        ("http", "::1", 8080, "http://[::1]:8080"),
        ("", "http://127.0.0.1", 8080, "http://127.0.0.1:8080"),
    ],
)
def test_the_scheme_may_be_in_the_field_schema_as_in_connections_of_the_type_http(schema, host, port, base_url):
    conn = connection(host, port=port)
    conn.schema = schema
    assert Settings.from_connection(conn).account.base_url == base_url


@pytest.mark.parametrize(
    ("schema", "host"), [("http", "https://127.0.0.1"), ("https", "http://127.0.0.1"), ("http", "")]
)
def test_two_schemes_are_refused(schema, host):
    conn = connection(host)
    conn.schema = schema
    with pytest.raises(InvalidConnection, match="the same scheme"):
        Settings.from_connection(conn)


def test_keys_of_the_extra_that_nothing_reads_are_named_in_one_warning(caplog):
    settings_module._warn_of.cache_clear()
    extra = {"max_wait": 5, "cache-scope": "deployment", "maxwait\n" + "x" * 100: 1}
    for _ in range(3):
        assert Settings.from_connection(connection(extra=extra)).max_wait == 5
    (record,) = [record for record in caplog.records if "nothing reads" in record.message]
    assert "cache-scope, maxwait " in record.message
    assert len(record.message) < 200


@pytest.mark.parametrize("extra", [{}, {"max_wait": "5", "proxies": "", "ca_bundle": None}])
def test_an_extra_without_unknown_keys_is_no_warning(caplog, extra):
    settings_module._warn_of.cache_clear()
    Settings.from_connection(connection(extra=extra))
    assert caplog.records == []


def test_the_previous_secret_is_an_account_that_only_opens():
    settings = Settings.from_connection(connection(extra={"previous_secret": " mdb_sa_sk_Before "}))
    (before,) = settings.previous
    assert (before.client_id, before.client_secret) == (CLIENT_ID, "mdb_sa_sk_Before")
    assert settings.account.client_secret == CLIENT_SECRET


@pytest.mark.parametrize("value", [None, "", CLIENT_SECRET])
def test_a_previous_secret_that_is_empty_or_the_current_one_counts_as_not_set(value):
    assert Settings.from_connection(connection(extra={"previous_secret": value})).previous == ()


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (7, "previous_secret must be a text"),
        ("01234567-89ab-cdef", "previous_secret must start with mdb_sa_sk_"),
        ("mdb_sa_sk_a b", "previous_secret must not contain a space"),
    ],
)
def test_a_previous_secret_is_checked_like_the_client_secret(value, message, says_nothing):
    with pytest.raises(InvalidConnection, match=message) as caught:
        Settings.from_connection(connection(extra={"previous_secret": value}))
    says_nothing(caught.value, "01234567-89ab-cdef", "mdb_sa_sk_a b")


def test_no_repr_of_the_settings_holds_the_previous_secret():
    assert "mdb_sa_sk_Before" not in repr(
        Settings.from_connection(connection(extra={"previous_secret": "mdb_sa_sk_Before"}))
    )
