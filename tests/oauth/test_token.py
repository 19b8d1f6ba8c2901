"""An access token shows its times and never its value, and leaves the process in no plain form."""

from __future__ import annotations

import copy
import json
import pickle
from datetime import UTC, datetime, timedelta

import pytest

from airflow_provider_atlas.oauth.token import AccessToken
from tests.conftest import TOKEN

START = datetime(2027, 1, 1, tzinfo=UTC)


def token(life: timedelta = timedelta(hours=1)) -> AccessToken:
    return AccessToken(TOKEN, "Bearer", START, START + life)


def test_the_value_is_in_neither_repr_nor_str_nor_format():
    shown = f"{token()!r} {token()} {[token()]}"
    assert "expires_at" in shown
    assert TOKEN not in shown


def test_it_is_frozen():
    with pytest.raises(AttributeError):
        token().value = "another"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("life", "fresh_for"),
    [
        (timedelta(hours=1), timedelta(minutes=55)),
        (timedelta(minutes=10), timedelta(minutes=5)),
        (timedelta(minutes=6), timedelta(minutes=3)),
        (timedelta(seconds=2), timedelta(seconds=1)),
    ],
)
def test_it_is_fresh_until_five_minutes_or_half_its_life_before_its_end(life, fresh_for):
    assert token(life).renew_at == START + fresh_for


def test_airflow_cannot_write_it_into_xcom():
    try:
        from airflow.sdk.serde import serialize
    except ImportError:
        from airflow.serialization.serde import serialize
    with pytest.raises(TypeError, match=r"hook\.seal"):
        serialize({"nested": [token()]})


@pytest.mark.parametrize("leave", [pickle.dumps, copy.deepcopy, json.dumps])
def test_nothing_else_serializes_it_either(leave):
    with pytest.raises(TypeError):
        leave(token())


def test_fingerprints_tell_tokens_apart():
    other = AccessToken(TOKEN + "x", "Bearer", START, START)
    assert len(token().fingerprint) == 8
    assert token().fingerprint != other.fingerprint
