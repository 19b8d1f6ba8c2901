"""Tokens look like Atlas's, end when they must, and are counted."""

from __future__ import annotations

import base64
import re

import pytest

from airflow_provider_atlas.sandbox.tokens import TokenLedger, new_token


def test_a_token_looks_like_a_jwt_of_about_a_kilobyte_and_is_opaque():
    token = new_token()
    header, payload, _ = token.split(".")
    assert re.fullmatch(r"eyJ[\w-]+\.[\w-]+\.[\w-]+", token)
    assert 900 < len(token) < 1200
    assert base64.urlsafe_b64decode(header + "==").startswith(b'{"alg"')
    assert not payload.startswith("eyJ")


def test_no_two_tokens_are_the_same():
    assert len({new_token() for _ in range(100)}) == 100


def test_a_token_lives_until_its_last_second_is_over(clock):
    ledger = TokenLedger(clock)
    token = ledger.issue("id", "secret", 3600)
    clock.now += 3599.9
    before = ledger.find(token)
    clock.now += 0.1
    assert (before.client_id, ledger.find(token), ledger.active()) == ("id", None, 0)


def test_active_tokens_are_counted_by_account_and_in_all(clock):
    ledger = TokenLedger(clock)
    for client_id, life in (("a", 10), ("a", 20), ("b", 20)):
        ledger.issue(client_id, "secret", life)
    counts = [(ledger.active("a"), ledger.active("b"), ledger.active())]
    clock.now += 10
    counts.append((ledger.active("a"), ledger.active("b"), ledger.active()))
    assert counts == [(2, 1, 3), (1, 1, 2)]


def test_a_secret_takes_its_own_tokens_with_it_and_no_others(clock):
    ledger = TokenLedger(clock)
    first, second = ledger.issue("a", "one", 10), ledger.issue("a", "two", 10)
    ledger.end_all("one")
    assert (ledger.find(first), ledger.find(second).secret) == (None, "two")


def test_an_ended_token_stays_among_the_issued(clock):
    ledger = TokenLedger(clock)
    token = ledger.issue("a", "one", 10)
    ledger.end(token)
    assert (ledger.find(token), list(ledger.issued)) == (None, [token])


def test_what_was_never_issued_cannot_be_ended(clock):
    with pytest.raises(ValueError, match="never issued"):
        TokenLedger(clock).end("mistaken")


def test_neither_token_nor_secret_is_in_the_repr(clock):
    ledger = TokenLedger(clock)
    value = ledger.issue("a", "hidden", 10)
    shown = repr(ledger.find(value))
    assert "hidden" not in shown
    assert value not in shown
