"""What only the state as a whole can get wrong: secrets that end their tokens, counters, and many threads at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.sandbox.conftest import CLIENT_ID, CLIENT_SECRET


def test_deleting_a_secret_ends_its_tokens_at_once_and_spares_the_other_s(state, token):
    second = state.add_secret(CLIENT_ID)
    spared = state.issue(CLIENT_ID, second)
    state.delete_secret(CLIENT_SECRET)
    assert (state.owner(token), state.owner(spared).client_id) == (None, CLIENT_ID)
    assert (state.authenticate(CLIENT_ID, CLIENT_SECRET), state.authenticate(CLIENT_ID, second)) == (False, True)


def test_a_secret_that_does_not_exist_ends_nothing(state, token):
    with pytest.raises(ValueError, match="no such secret"):
        state.delete_secret("mdb_sa_sk_unknown")
    assert state.owner(token) is not None


def test_counters_start_again_but_what_is_active_is_active(state, token):
    state.count("api_requests")
    before = state.counters()
    state.reset_counters()
    after = state.counters()
    assert (before.api_requests, before.issued, before.active) == (1, 1, 1)
    assert (after.api_requests, after.issued, after.active) == (0, 0, 1)


def test_many_threads_cannot_overdraw_window_cap_or_bucket(state, knobs):
    knobs.rate_limit, knobs.token_cap, knobs.api_rate_limit = 10, 20, 30

    def everything(_):
        admitted = state.admit("127.0.0.1", CLIENT_ID, "/api/oauth/token") == 0
        issued = state.issue(CLIENT_ID, CLIENT_SECRET) is not None
        return admitted, issued, state.take(CLIENT_ID).wait == 0

    with ThreadPoolExecutor(16) as pool:
        outcomes = list(pool.map(everything, range(400)))
    assert [sum(column) for column in zip(*outcomes, strict=True)] == [10, 20, 30]
    assert (state.counters().issued, state.counters().cap_refused, len(state.issued())) == (20, 380, 20)
