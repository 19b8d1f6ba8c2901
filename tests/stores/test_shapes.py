"""What a rotation changes in the texts of secrets managers, and what it refuses to change."""

from __future__ import annotations

import json

import pytest

from airflow_provider_atlas.exceptions import SecretStoreUnavailable
from airflow_provider_atlas.stores.shapes import load, replaced
from tests.conftest import CLIENT_ID, CLIENT_SECRET

NEW = "mdb_sa_sk_New"


@pytest.mark.parametrize(
    ("entry", "after"),
    [
        (
            {"clientId": CLIENT_ID, "clientSecret": CLIENT_SECRET, "orgId": "o"},
            {"clientId": CLIENT_ID, "clientSecret": NEW, "orgId": "o"},
        ),
        (
            {"conn_type": "mongodbatlas", "login": CLIENT_ID, "password": CLIENT_SECRET, "host": "h"},
            {
                "conn_type": "mongodbatlas",
                "login": CLIENT_ID,
                "password": NEW,
                "host": "h",
                "extra": {"previous_secret": CLIENT_SECRET},
            },
        ),
        (
            {"login": f"{CLIENT_ID}\n", "password": CLIENT_SECRET, "extra": {"timeout": 5, "previous_secret": "x"}},
            {"login": f"{CLIENT_ID}\n", "password": NEW, "extra": {"timeout": 5, "previous_secret": CLIENT_SECRET}},
        ),
        (
            {"login": CLIENT_ID, "password": CLIENT_SECRET, "extra": '{"timeout": 5}'},
            {
                "login": CLIENT_ID,
                "password": NEW,
                "extra": json.dumps({"timeout": 5, "previous_secret": CLIENT_SECRET}),
            },
        ),
    ],
    ids=["managed by AWS", "no extra", "extra as an object", "extra as text"],
)
def test_the_secret_is_replaced_and_all_else_is_kept(entry, after):
    assert replaced(entry, CLIENT_ID, NEW, CLIENT_SECRET) == after


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("mongodbatlas://id:secret@host", "as a JSON object"),
        ("[]", "as a JSON object"),
        (None, "as a JSON object"),
        (b"\x00", "as a JSON object"),
        ({"conn_uri": "mongodbatlas://"}, "must have password and login"),
        ({"password": CLIENT_SECRET}, "same service account"),
        ({"password": CLIENT_SECRET, "login": "mdb_sa_id_other"}, "same service account"),
        ({"clientSecret": CLIENT_SECRET, "clientId": "mdb_sa_id_other"}, "same service account"),
        ({"login": CLIENT_ID, "password": CLIENT_SECRET, "extra": "x=y"}, "as a JSON object"),
    ],
)
def test_another_entry_is_refused_without_its_content(text, message, says_nothing):
    with pytest.raises(SecretStoreUnavailable, match=message) as caught:
        replaced(load(text), CLIENT_ID, NEW, CLIENT_SECRET)
    says_nothing(caught.value, CLIENT_SECRET, "mongodbatlas://id")
