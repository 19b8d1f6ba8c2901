"""Accounts, secrets, tokens and counters, and requests from many threads at once, on a fake clock."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from airflow_provider_atlas.sandbox.administration import administer
from airflow_provider_atlas.sandbox.oauth import generate
from airflow_provider_atlas.sandbox.requests import AtlasRequest
from tests.sandbox.conftest import CLIENT_ID, CLIENT_SECRET, form_request


def test_third_secret_of_an_account_is_refused_until_one_is_deleted(state):
    second = state.add_secret(CLIENT_ID)
    with pytest.raises(ValueError, match="at most 2 secrets"):
        state.add_secret(CLIENT_ID)
    state.delete_secret(CLIENT_SECRET)
    third = state.add_secret(CLIENT_ID)
    assert [secret.value for secret in state.accounts[CLIENT_ID].secrets] == [second, third]


def test_secret_for_an_unknown_account_is_refused(state):
    with pytest.raises(ValueError, match="must be one of this sandbox's service accounts"):
        state.add_secret("another")


def test_deleted_secret_revokes_its_own_tokens_and_no_others(state, token):
    second = state.add_secret(CLIENT_ID)
    other = state.issue(CLIENT_ID, second, 3600)
    state.delete_secret(CLIENT_SECRET)
    assert (state.owner(token), state.owner(other).client_id) == (None, CLIENT_ID)
    assert [secret.value for secret in state.accounts[CLIENT_ID].secrets] == [second]


def test_deleting_an_unknown_secret_is_refused_and_revokes_nothing(state, token):
    with pytest.raises(ValueError, match="must be one of this sandbox's service accounts"):
        state.delete_secret("mdb_sa_sk_unknown")
    assert state.owner(token) is not None


def test_token_is_active_until_its_last_second_ends(state, token, clock):
    clock.now += 3599.9
    before = state.owner(token)
    clock.now += 0.1
    assert (before.client_id, state.owner(token), state.active()) == (CLIENT_ID, None, 0)


def test_active_tokens_are_counted_per_account_and_in_total(state, clock):
    (first, _), (second, _) = state.add_account(), state.add_account()
    for client_id, lifetime in ((first, 10), (first, 20), (second, 20)):
        state.issue(client_id, "secret", lifetime)
    counts = [(state.active(first), state.active(second), state.active())]
    clock.now += 10
    counts.append((state.active(first), state.active(second), state.active()))
    assert counts == [(2, 1, 3), (1, 1, 2)]


@pytest.mark.parametrize("end", ["revoke", "expire"])
def test_revoked_or_expired_token_is_still_listed_as_issued(state, token, end):
    getattr(state, end)(token)
    assert (state.owner(token), state.issued) == (None, (token,))


@pytest.mark.parametrize("end", ["revoke", "expire"])
def test_token_that_was_never_issued_cannot_be_revoked_or_expired(state, end):
    with pytest.raises(ValueError, match="must be one that this sandbox issued"):
        getattr(state, end)("mistaken")


def test_reset_sets_counters_to_zero_except_active(state, token):
    state.count("api_requests")
    before = state.counters
    state.reset_counters()
    after = state.counters
    assert (before.api_requests, before.issued, before.active) == (1, 1, 1)
    assert (after.api_requests, after.issued, after.active) == (0, 0, 1)


def test_requests_of_many_threads_cannot_exceed_window_cap_or_bucket(state, token):
    state.rate_limit, state.token_cap, state.api_rate_limit = 10, 21, 30
    headers = {"authorization": f"Bearer {token}", "accept": "application/vnd.atlas.2025-03-12+json"}

    def send_all(number):
        # The first has no grant type, so that the window admits it and no token is issued.
        admitted = generate(state, form_request("token", ""))
        issued = generate(state, form_request("token", "grant_type=client_credentials", address=f"client {number}"))
        read = administer(state, AtlasRequest("/api/atlas/v2/groups", headers=headers))
        return admitted.status, issued.status, read.status

    with ThreadPoolExecutor(16) as pool:
        outcomes = list(pool.map(send_all, range(400)))
    admitted, issued, read = (Counter(column) for column in zip(*outcomes, strict=True))
    assert (admitted, issued, read) == ({400: 10, 429: 390}, {200: 20, 403: 380}, {200: 30, 429: 370})
    assert (state.counters.issued, state.counters.cap_refused, len(state.issued)) == (21, 380, 21)
