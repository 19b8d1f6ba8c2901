"""Ids and secrets look like Atlas's; an account has at most two secrets."""

from __future__ import annotations

import re

import pytest

from airflow_provider_atlas.sandbox.accounts import Account, Accounts, new_client_id, new_secret


def test_ids_and_secrets_look_like_atlas_s():
    assert re.fullmatch(r"mdb_sa_id_[0-9a-f]{24}", new_client_id())
    assert re.fullmatch(r"mdb_sa_sk_[\w-]{20}_[\w-]{20}", new_secret())


def test_an_account_has_two_secrets_at_most():
    accounts = Accounts()
    accounts.add("id", "first")
    second = accounts.add_secret("id")
    with pytest.raises(ValueError, match="at most 2 secrets"):
        accounts.add_secret("id")
    accounts.delete_secret("first")
    third = accounts.add_secret("id")
    assert accounts.get("id").secrets == [second, third]


def test_what_does_not_exist_cannot_be_changed():
    accounts = Accounts()
    accounts.add("id", "secret")
    with pytest.raises(ValueError, match="no such service account"):
        accounts.add_secret("another")
    with pytest.raises(ValueError, match="no such secret"):
        accounts.delete_secret("another")


def test_secrets_are_not_in_the_repr():
    assert "hidden" not in repr(Account("id", None, ["hidden"]))
