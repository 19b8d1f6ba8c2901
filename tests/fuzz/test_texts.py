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
from airflow_provider_atlas.cache.claim import PAUSE, STALE, Claim
from airflow_provider_atlas.cache.content import Content, decode, encode
from airflow_provider_atlas.cache.deployment import FIRST_POLL, STORE_TIME, SharedToken
from airflow_provider_atlas.cache.variables import names_for
from airflow_provider_atlas.exceptions import AtlasError, InvalidSealedToken
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
        st.sampled_from(["nonce", "seconds", "closed_until"]), numbers | json_values | st.floats(NOW - 9, NOW + 9999)
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


@given(claims, claims)
@example("{}", '{"nonce": "another", "seconds": ' + HUGE + "}")
@example("{}", '{"nonce": "another", "seconds": NaN}')
@example("{}", '{"closed_until": ' + HUGE + "}")
@example("{}", f'{{"closed_until": {NOW + 90}}}')
@example('{"nonce": "another"}', '{"nonce": "another"}')
def test_any_text_in_claim_and_holder_is_free_or_goes_stale(candidate, holder):
    clock, store = Clock(NOW), MemoryStore()
    store.texts.update({"c": candidate, "h": holder})
    claim = Claim(store, "c", "h", clock=clock, monotonic=clock, sleep=clock.sleep)
    held, closed = result_or_typed_error(claim.look)
    assert 0 <= closed <= LONGEST_WAIT
    for seconds in (0, STALE, 2 * LONGEST_WAIT, STALE):  # nobody's now, or nobody's once it has stood still
        clock.now += seconds
        if not claim.look()[0]:
            with claim.held(60) as ours:
                assert not ours or json.loads(store.texts["h"])["nonce"] == json.loads(store.texts["c"])["nonce"]
            if ours:
                break
    assert ours
    assert json.loads(store.texts["c"])["nonce"] is json.loads(store.texts["h"])["nonce"] is None
    held, left = claim.look()
    assert not held
    assert closed - (clock.now - NOW) - 1e-6 <= left <= closed  # handed on as it was


@given(variables, claims, claims, st.floats(0, 300), st.booleans())
def test_whatever_the_variables_hold_there_is_a_token_or_a_typed_error_in_time(
    variable, claim, holder, max_wait, refused
):
    variables_module._warned.clear()
    clock, store = Clock(NOW), MemoryStore()
    names, revoked = names_for(ACCOUNT), []

    def generate(generated: list[AccessToken]) -> AccessToken:
        generated.append(PLAIN)
        return PLAIN

    time = {"clock": clock, "monotonic": clock, "sleep": clock.sleep}
    shared = SharedToken(ACCOUNT, store, generate, revoked.append, max_wait, request_time=60, **time)
    store.texts.update({names.token: variable, names.claim: claim, names.holder: holder})
    old = replace(PLAIN, value="refused")
    token = result_or_typed_error(lambda: shared.replace(old, allowed=True) if refused else shared.get())
    assert token == PLAIN or isinstance(token, AtlasError) or (refused and token is None)
    assert clock.now - NOW <= max_wait + 60 + STORE_TIME + FIRST_POLL + 2 * PAUSE
    assert revoked == []
    if token == PLAIN:
        assert json.loads(store.texts[names.token])["version"] == 1
