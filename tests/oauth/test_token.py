"""An access token shows its times and never its value. It cannot be serialized in plain text."""

from __future__ import annotations

import copy
import json
import pickle
from datetime import UTC, datetime, timedelta

import pytest

from airflow_provider_atlas.oauth.token import AccessToken
from tests.conftest import TOKEN

START = datetime(2027, 1, 1, tzinfo=UTC)


def token(lifetime: timedelta = timedelta(hours=1)) -> AccessToken:
    return AccessToken(TOKEN, "Bearer", START, START + lifetime)


def test_the_value_is_in_neither_repr_nor_str_nor_format():
    shown = f"{token()!r} {token()} {[token()]}"
    assert "expires_at" in shown
    assert TOKEN not in shown


def test_a_token_is_frozen():
    with pytest.raises(AttributeError):
        token().value = "another"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("lifetime", "fresh_for"),
    [
        (timedelta(hours=1), timedelta(minutes=55)),
        (timedelta(minutes=10), timedelta(minutes=5)),
        (timedelta(minutes=6), timedelta(minutes=3)),
        (timedelta(seconds=2), timedelta(seconds=1)),
    ],
)
def test_renewal_is_due_five_minutes_before_expiry_or_at_half_the_lifetime(lifetime, fresh_for):
    assert token(lifetime).renew_at == START + fresh_for


def test_airflow_cannot_serialize_a_token_for_xcom():
    try:
        from airflow.sdk.serde import serialize
    except ImportError:
        from airflow.serialization.serde import serialize
    with pytest.raises(TypeError, match=r"hook\.seal"):
        serialize({"nested": [token()]})


@pytest.mark.parametrize("serialize", [pickle.dumps, copy.deepcopy, json.dumps])
def test_pickle_deepcopy_and_json_refuse_a_token(serialize):
    with pytest.raises(TypeError):
        serialize(token())


def test_different_tokens_have_different_fingerprints():
    other = AccessToken(TOKEN + "x", "Bearer", START, START)
    assert len(token().fingerprint) == 8
    assert token().fingerprint != other.fingerprint
