"""The deployment scope at its edges, as the state machine in tests/fuzz found them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from airflow_provider_atlas.cache.claim import Claim
from airflow_provider_atlas.cache.content import Content, decode, encode
from airflow_provider_atlas.cache.deployment import SharedToken
from airflow_provider_atlas.exceptions import AtlasUnreachable
from airflow_provider_atlas.oauth.token import AccessToken

REQUEST_TIME = 60.0


class Interrupted(BaseException):
    """A task's timeout."""


@pytest.fixture
def atlas(clock):
    """What was requested and revoked; ``failures`` are raised first, and ``then`` runs once a token is there."""

    class Atlas:
        def __init__(self) -> None:
            self.tokens, self.revoked, self.failures = [], [], []
            self.then = lambda: None

        def token(self) -> AccessToken:
            now = datetime.fromtimestamp(clock(), UTC)
            self.tokens.append(AccessToken(f"token-{len(self.tokens)}", "Bearer", now, now + timedelta(hours=1)))
            return self.tokens[-1]

        def generate(self, generated: list[AccessToken]) -> AccessToken:
            if self.failures:
                raise self.failures.pop(0)
            generated.append(self.token())
            self.then()
            return generated[-1]

    return Atlas()


@pytest.fixture
def make(account, store, atlas, clock):
    def make(max_wait=300.0):
        time = {"clock": clock, "monotonic": clock, "sleep": clock.sleep}
        return SharedToken(
            account, store, atlas.generate, atlas.revoked.append, max_wait, request_time=REQUEST_TIME, **time
        )

    return make


def test_a_killed_holder_holds_up_a_task_without_max_wait_for_the_stated_seconds_only(make, store, names, clock):
    began = clock()
    store.texts[names.claim] = json.dumps({"nonce": "killed"})
    store.texts[names.holder] = json.dumps({"nonce": "killed", "seconds": REQUEST_TIME})
    assert make(max_wait=0).get().value == "token-0"
    assert clock() - began < REQUEST_TIME + 10


def test_the_holder_states_as_long_as_a_request_can_take(make, store, names, atlas):
    stated = []
    atlas.then = lambda: stated.append(json.loads(store.texts[names.holder])["seconds"])
    make().get()
    assert stated == [REQUEST_TIME]


def test_a_claim_does_not_stand_if_the_look_at_it_ended_too_late(store, clock):
    claim = Claim(store, "claim", "holder", clock=clock, monotonic=clock, sleep=clock.sleep)
    with claim.held(10) as ours:
        assert ours
        assert claim.stands()
        read, store.read = store.read, lambda name: (read(name), clock.sleep(20))[0]
        assert not claim.stands()


def test_a_stored_token_is_not_given_back_when_the_confirmation_is_late(make, store, names, atlas, clock):
    def stall(name, text):
        if name == names.token:
            clock.now += 100

    store.before_write = stall
    assert make().get().value == "token-0"
    assert atlas.revoked == []


def test_a_token_of_the_task_s_own_is_given_back_when_the_task_is_interrupted(make, store, atlas):
    def interrupt():
        raise Interrupted

    store.down, atlas.then = True, interrupt
    with pytest.raises(Interrupted):
        make().get()
    assert atlas.revoked == atlas.tokens


@pytest.fixture
def interrupted_as_it_frees_the_claim(store, names):
    def interrupt(name, text):
        if name == names.holder and json.loads(text)["nonce"] is None:
            store.before_write = None
            raise Interrupted

    store.before_write = interrupt


@pytest.mark.usefixtures("interrupted_as_it_frees_the_claim")
def test_a_token_that_could_not_be_stored_is_given_back_when_the_task_is_interrupted_as_it_frees_the_claim(
    make, store, names, atlas
):
    store.hidden[names.token] = None
    with pytest.raises(Interrupted):
        make().get()
    assert (len(atlas.tokens), atlas.revoked) == (1, atlas.tokens)


@pytest.mark.usefixtures("interrupted_as_it_frees_the_claim")
@pytest.mark.parametrize("brought", [True, False])
def test_a_stored_token_is_not_given_back_when_the_task_is_interrupted_as_it_frees_the_claim(make, atlas, brought):
    with pytest.raises(Interrupted):
        make().publish(atlas.token() if brought else None)
    assert (make().get(), atlas.revoked) == (atlas.tokens[0], [])


@pytest.mark.parametrize("question", ["publish", "brought", "own"])
def test_a_token_is_given_back_although_the_task_is_interrupted_while_it_is(make, store, names, atlas, question):
    def interrupt():
        raise Interrupted

    class Revoked(list):
        tries = 0

        def append(self, token):
            self.tries += 1
            if self.tries == 1:
                interrupt()
            super().append(token)

    store.hidden[names.token], atlas.revoked = None, Revoked()
    atlas.then = interrupt if question == "own" else atlas.then
    shared = make()
    with pytest.raises(Interrupted):
        shared.get() if question == "own" else shared.publish(atlas.token() if question == "brought" else None)
    assert (len(atlas.tokens), atlas.revoked) == (1, atlas.tokens)


def test_retries_for_a_token_of_the_task_s_own_use_the_given_clock(make, store, atlas, clock):
    store.down, atlas.failures = True, [AtlasUnreachable()]
    began = clock()
    make().get()
    assert clock() - began >= 1


def stored(account, names, store, *tokens):
    store.texts[names.token] = encode(account, Content(tokens[0], tokens[1:]))


@pytest.mark.parametrize("number", range(4))
def test_dissolving_erases_no_token_when_a_read_is_hidden(make, account, names, store, atlas, clock, number):
    tokens = atlas.token(), atlas.token()
    stored(account, names, store, *tokens)
    reads, read, revoked = [], store.read, []

    def hidden(name):
        if name == names.token:
            reads.append(name)
            if len(reads) == number + 1:
                return None
        return read(name)

    store.read = hidden
    make().dissolve(revoked.append)
    left = decode(account, store.texts.get(names.token, "{}"), names.token, clock()).tokens
    assert {token.value for token in (*revoked, *left)} == {token.value for token in tokens}


def test_dissolving_leaves_a_token_that_was_stored_meanwhile(make, account, names, store, atlas, clock):
    stored(account, names, store, atlas.token())
    new = atlas.token()
    make().dissolve(lambda old: stored(account, names, store, new, old))
    assert decode(account, store.texts[names.token], names.token, clock()).tokens == [new]


def test_dissolving_does_not_hold_the_claim_while_it_revokes(make, account, names, store, atlas):
    stored(account, names, store, atlas.token())
    holders = []
    make().dissolve(lambda old: holders.append(json.loads(store.texts[names.holder])["nonce"]))
    assert holders == [None]
    assert store.texts == {}
