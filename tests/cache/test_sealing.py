"""A sealed token opens only with the account and the secret that sealed it."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.fernet import Fernet

from airflow_provider_atlas.cache import sealing
from airflow_provider_atlas.exceptions import InvalidSealedToken
from airflow_provider_atlas.oauth.token import AccessToken
from tests.conftest import CLIENT_SECRET, TOKEN

START = datetime(2027, 1, 1, 0, 0, 0, 123456, tzinfo=UTC)
PLAIN = AccessToken(TOKEN, "Bearer", START, START + timedelta(hours=1))


def test_unseal_returns_the_token_that_was_sealed(account):
    assert sealing.unseal(account, sealing.seal(account, PLAIN)) == PLAIN


def test_a_sealed_token_holds_no_secret_and_differs_each_time(account, says_nothing):
    first, second = sealing.seal(account, PLAIN), sealing.seal(account, PLAIN)
    assert first != second
    assert sealing.is_sealed(first)
    says_nothing(ValueError(first))


@pytest.mark.parametrize("change", ["client_secret", "client_id", "base_url"])
def test_another_secret_client_id_or_base_url_does_not_open_a_sealed_token(account, change):
    other = dataclasses.replace(account, **{change: getattr(account, change) + "1"})
    with pytest.raises(InvalidSealedToken, match="another secret"):
        sealing.unseal(other, sealing.seal(account, PLAIN))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda text: text[:-10], "damaged"),
        (lambda text: text[:60] + "AAAA" + text[64:], "damaged"),
        (lambda text: text + "\u00e9", "content is not|damaged"),
        (lambda text: sealing.PREFIX + sealing.VERSION, "damaged"),
        (lambda text: text.replace("1:", "2:", 1), "another version"),
        (lambda text: text.removeprefix(sealing.PREFIX), "not a sealed token"),
        (lambda text: "", "not a sealed token"),
        (lambda text: None, "not a sealed token"),
        (lambda text: TOKEN, "not a sealed token"),
    ],
)
def test_damaged_or_other_text_raises_invalid_sealed_token(account, damage, message, says_nothing):
    with pytest.raises(InvalidSealedToken, match=message) as caught:
        sealing.unseal(account, damage(sealing.seal(account, PLAIN)))
    says_nothing(caught.value)


@pytest.mark.parametrize(
    "content",
    [
        b"[]",
        b"not json",
        b"{}",
        b'{"value": 1, "issued_at": 1, "expires_at": 2}',
        b'{"value": "x", "issued_at": NaN, "expires_at": 2}',
        b'{"value": "x", "issued_at": 1, "expires_at": 1e300}',
        b'{"value": "x", "issued_at": 1, "expires_at": "2"}',
    ],
)
def test_invalid_content_raises_invalid_sealed_token(account, content):
    text = sealing.PREFIX + sealing.VERSION + sealing._fernet(account).encrypt(content).decode()
    with pytest.raises(InvalidSealedToken, match="content is not"):
        sealing.unseal(account, text)


def test_the_encryption_key_does_not_contain_the_secret(account):
    assert isinstance(sealing._fernet(account), Fernet)
    assert CLIENT_SECRET not in repr(vars(sealing._fernet(account)))
