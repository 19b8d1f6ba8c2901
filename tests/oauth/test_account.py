"""A service account is checked before a request is sent. Its errors name the field and never the value."""

from __future__ import annotations

import pytest

from airflow_provider_atlas.exceptions import InvalidConnection
from airflow_provider_atlas.oauth.account import ServiceAccount
from airflow_provider_atlas.oauth.base_url import origin
from tests.conftest import CLIENT_ID, CLIENT_SECRET


@pytest.mark.parametrize(
    ("client_id", "secret", "message"),
    [
        ("", CLIENT_SECRET, "Client ID is empty"),
        ("   ", CLIENT_SECRET, "Client ID is empty"),
        (None, CLIENT_SECRET, "Client ID is empty"),
        (CLIENT_ID, "", "Client secret is empty"),
        (CLIENT_ID, None, "Client secret is empty"),
        ("abcdefgh", CLIENT_SECRET, "public or private API key"),
        (CLIENT_ID, "12345678-9abc-def0-1234-56789abcdef0", "public or private API key"),
        (CLIENT_SECRET, CLIENT_ID, "Client ID must start with mdb_sa_id_"),
        (CLIENT_ID + ":", CLIENT_SECRET, "Client ID must not contain"),
        (CLIENT_ID, CLIENT_SECRET + " x", "Client secret must not contain"),
        (CLIENT_ID, CLIENT_SECRET + "\u00e9", "Client secret must not contain"),
        (CLIENT_ID, CLIENT_SECRET + "\r\nX: y", "Client secret must not contain"),
    ],
)
def test_an_error_for_invalid_credentials_names_the_field(client_id, secret, message, says_nothing):
    with pytest.raises(InvalidConnection, match=message) as caught:
        ServiceAccount(client_id, secret)
    says_nothing(caught.value, *(text for text in (secret,) if text and len(text) > 8))


def test_white_space_around_pasted_credentials_is_removed():
    assert ServiceAccount(f" {CLIENT_ID}\n", f"\t{CLIENT_SECRET} ") == ServiceAccount(CLIENT_ID, CLIENT_SECRET)


def test_the_secret_is_not_in_the_repr(says_nothing):
    account = ServiceAccount(CLIENT_ID, CLIENT_SECRET)
    assert CLIENT_ID in repr(account)
    assert CLIENT_SECRET not in repr(account) + str(account)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("", "https://cloud.mongodb.com"),
        ("https://cloud.mongodb.com", "https://cloud.mongodb.com"),
        ("https://cloud.mongodb.com///", "https://cloud.mongodb.com"),
        ("https://Cloud.MongoDB.com.", "https://cloud.mongodb.com"),
        ("https://cloud.mongodb.com:443", "https://cloud.mongodb.com"),
        ("cloud.mongodbgov.com", "https://cloud.mongodbgov.com"),
        ("https://atlas.example:8443/", "https://atlas.example:8443"),
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://127.9.9.9", "http://127.9.9.9"),
        ("http://localhost:80", "http://localhost"),
        ("http://[::1]:8080", "http://[::1]:8080"),
    ],
)
def test_a_base_url_is_normalized(url, expected):
    assert origin(url) == expected


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://cloud.mongodb.com", "plain http"),
        ("http://localhost.evil.example", "plain http"),
        ("http://127.0.0.1.evil.example", "plain http"),
        ("http://10.0.0.1", "plain http"),
        ("ftp://cloud.mongodb.com", "must start with https"),
        ("https://cloud.mongodb.com/api/atlas/v2", "nothing but scheme"),
        ("https://cloud.mongodb.com?pretty=true", "nothing but scheme"),
        ("https://cloud.mongodb.com/?", "nothing but scheme"),
        ("https://cloud.mongodb.com#x", "nothing but scheme"),
        ("https://me:Pass-word_123@cloud.mongodb.com", "must not contain credentials"),
        ("https://@cloud.mongodb.com", "must not contain credentials"),
        ("https://", "must name a host"),
        ("https://cloud mongodb.com", "must name a host"),
        ('https://cloud"mongodb.com', "must name a host"),
        ("https://cloud.mongodb.com\\@evil.example", "must not contain credentials"),
        ("https://h:notaport", "is not a valid URL"),
        ("https://h:0", "must not have port 0"),
        ("https://[::1", "is not a valid URL"),
    ],
)
def test_a_base_url_that_is_not_an_origin_is_refused_and_not_quoted(url, message, says_nothing):
    with pytest.raises(InvalidConnection, match=message) as caught:
        origin(url)
    says_nothing(caught.value, "Pass-word_123")


def test_the_fingerprint_depends_on_base_url_client_id_and_secret():
    base = ServiceAccount(CLIENT_ID, CLIENT_SECRET)
    others = [
        ServiceAccount(CLIENT_ID, CLIENT_SECRET, "https://cloud.mongodbgov.com"),
        ServiceAccount(CLIENT_ID + "0", CLIENT_SECRET),
        ServiceAccount(CLIENT_ID, CLIENT_SECRET + "0"),
    ]
    assert base.fingerprint not in {other.fingerprint for other in others}
    assert base.fingerprint == ServiceAccount(CLIENT_ID, CLIENT_SECRET, "https://cloud.mongodb.com/").fingerprint
