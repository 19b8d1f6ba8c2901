"""Sealed tokens and Variables, with text that another process or a person wrote."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import example, given
from hypothesis import strategies as st

from airflow_provider_atlas.cache import sealing
from airflow_provider_atlas.cache import variables as variables_module
from airflow_provider_atlas.cache.claim import Claim
from airflow_provider_atlas.cache.content import Content, decode, encode
from airflow_provider_atlas.cache.deployment import SharedToken
from airflow_provider_atlas.exceptions import AtlasError, InvalidSealedToken, RateLimited
from airflow_provider_atlas.oauth.retry_after import LONGEST_WAIT
from airflow_provider_atlas.oauth.token import AccessToken
from tests.cache.fakes import MemoryStore
from tests.conftest import CLIENT_SECRET, TOKEN, Clock
from tests.fuzz.properties import (
    ACCOUNT,
    NOW,
    any_text,
    as_json,
    json_values,
    numbers,
    result_or_typed_error,
    tokens,
    words,
)

OTHER = replace(ACCOUNT, client_secret=CLIENT_SECRET + "2")
START = datetime.fromtimestamp(NOW, UTC)
PLAIN = AccessToken(TOKEN, "Bearer", START, START + timedelta(hours=1))
SEALED = sealing.seal(ACCOUNT, PLAIN)
HUGE = "9" * 400

changes = st.lists(
    st.tuples(st.integers(0, len(SEALED)), st.integers(0, 4), st.one_of(any_text, st.text("Aa0-_=\n ", max_size=3))),
    max_size=3,
)


def changed(edits: list[tuple[int, int, str]]) -> str:
    text = SEALED
    for start, length, new in edits:
        text = text[:start] + new + text[start + length :]
    return text


@given(tokens, st.booleans())
def test_every_sealed_token_opens_unchanged(token, shared):
    text = sealing.seal(ACCOUNT, token, shared=shared)
    assert sealing.unseal(ACCOUNT, text) == token
    assert sealing.is_shared(ACCOUNT, text) is shared
    assert isinstance(
        result_or_typed_error(lambda: sealing.unseal(OTHER, text), kind=InvalidSealedToken), InvalidSealedToken
    )


@given(st.one_of(words, changes.map(changed), words.map(lambda text: sealing.PREFIX + sealing.VERSION + text)))
def test_any_text_opens_as_the_sealed_token_or_raises_a_typed_error(text):
    result = result_or_typed_error(lambda: sealing.unseal(ACCOUNT, text), kind=InvalidSealedToken)
    assert isinstance(result, InvalidSealedToken) or result == PLAIN
    shared = result_or_typed_error(lambda: sealing.is_shared(ACCOUNT, text), kind=InvalidSealedToken)
    assert shared is False or isinstance(shared, InvalidSealedToken)


@given(
    json_values
    | st.dictionaries(st.sampled_from(["value", "issued_at", "expires_at", "shared"]), words | numbers | json_values)
)
@example({"value": "x", "issued_at": 10**400, "expires_at": 1e300})
def test_any_content_sealed_with_the_right_key_becomes_a_token_or_a_typed_error(content):
    text = sealing.PREFIX + sealing.VERSION + sealing._fernet(ACCOUNT).encrypt(as_json(content).encode()).decode()
    result = result_or_typed_error(lambda: sealing.unseal(ACCOUNT, text), kind=InvalidSealedToken)
    assert isinstance(result, InvalidSealedToken) or result.value == content["value"]
    result_or_typed_error(lambda: sealing.is_shared(ACCOUNT, text), kind=InvalidSealedToken)


times_left = st.timedeltas(timedelta(minutes=-10), timedelta(hours=1))
stored_tokens = st.builds(
    lambda value, left: replace(PLAIN, value=value, expires_at=START + left), st.text(min_size=1), times_left
)
contents = st.builds(
    Content,
    st.none() | stored_tokens,
    st.lists(stored_tokens, max_size=3).map(tuple),
    st.floats(0, 2 * NOW),
    st.just(()),
)


@given(contents, contents)
def test_stored_content_is_read_unchanged_and_content_of_another_secret_is_kept(ours, theirs):
    text = encode(ACCOUNT, ours)
    assert decode(ACCOUNT, text, "v", NOW) == ours
    foreign = decode(OTHER, text, "v", NOW)
    assert (foreign.token, foreign.superseded) == (None, ())
    assert len(foreign.foreign) == len(ours.superseded) + (ours.token is not None)
    both = encode(OTHER, replace(theirs, foreign=foreign.foreign))
    assert decode(ACCOUNT, both, "v", NOW) == replace(ours, refused_at=theirs.refused_at, foreign=both_foreign(both))


def both_foreign(text: str) -> tuple[tuple[str, float, bool], ...]:
    return decode(ACCOUNT, text, "v", NOW).foreign


entries = st.tuples(st.just(SEALED) | words | st.just(sealing.seal(OTHER, PLAIN)), numbers | json_values, st.booleans())
variables = st.one_of(
    words,
    json_values.map(as_json),
    st.fixed_dictionaries(
        {
            "version": st.just(1) | numbers,
            "refused_at": numbers | json_values,
            "tokens": st.lists(entries) | json_values,
        }
    ).map(as_json),
    st.sampled_from(["[" * 100_000, '{"version": 1, "tokens": [], "refused_at": ' + HUGE + "}"]),
)
claims = st.one_of(
    words,
    json_values.map(as_json),
    st.dictionaries(
        st.sampled_from(["nonce", "wait", "closed_until"]), numbers | json_values | st.floats(NOW - 9, NOW + 9999)
    ).map(as_json),
    st.sampled_from(["[" * 100_000, '{"closed_until": 1e999}']),
)


@given(variables)
def test_any_text_in_the_variable_is_content_or_a_cache_miss(text):
    content = result_or_typed_error(lambda: decode(ACCOUNT, text, "v", NOW))
    assert isinstance(content, Content)
    assert all(token == PLAIN for token in (content.token, *content.superseded) if token is not None)
    again = decode(ACCOUNT, encode(ACCOUNT, content), "v", NOW)
    assert (again.token, again.superseded, again.foreign) == (content.token, content.superseded, content.foreign)
    assert again.refused_at == content.refused_at or math.isnan(content.refused_at)


@given(claims)
@example('{"nonce": "another", "wait": ' + HUGE + "}")
@example('{"closed_until": ' + HUGE + "}")
@example(f'{{"closed_until": {NOW + 90}}}')
def test_any_text_in_the_claim_is_a_claim_or_counts_as_no_claim(text):
    clock, store = Clock(NOW), MemoryStore()
    store.texts["c"] = text
    claim = Claim(store, "c", clock=clock, monotonic=clock, sleep=clock.sleep)
    closed = result_or_typed_error(claim.closed_for)
    assert 0 <= closed <= LONGEST_WAIT
    error = result_or_typed_error(lambda: claim.wait(clock.now), kind=RateLimited)
    assert error is None or 0 <= error.retry_after <= LONGEST_WAIT
    for _ in range(2):  # no claim, or a claim that is stale once it has not changed for a while
        with claim.held() as ours:
            clock.now += 60
    assert ours
    assert json.loads(store.texts["c"]).keys() <= {"closed_until"}
    assert claim.closed_for() <= closed  # kept unchanged


@given(variables, claims, st.floats(0, 300), st.booleans())
def test_any_text_in_the_variables_leads_to_a_token_or_a_typed_error_in_time(variable, claim, max_wait, refused):
    variables_module._warned.clear()
    clock, store = Clock(NOW), MemoryStore()
    shared = SharedToken(ACCOUNT, store, lambda: PLAIN, max_wait, clock=clock, monotonic=clock, sleep=clock.sleep)
    store.texts.update({shared.name: variable, shared.claim_name: claim})
    old = replace(PLAIN, value="refused")
    token = result_or_typed_error(lambda: shared.replace(old, may_request=True) if refused else shared.get())
    assert token == PLAIN or isinstance(token, AtlasError) or (refused and token is None)
    assert clock.now - NOW <= max_wait + 30
    if token == PLAIN:
        assert json.loads(store.texts[shared.name])["version"] == 1
