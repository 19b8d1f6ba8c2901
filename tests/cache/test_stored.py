"""What a holder changes in the store is merged with what is there, confirmed by a read, and made in time only."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta

import pytest

from airflow_provider_atlas.cache.claim import READS, Claim
from airflow_provider_atlas.cache.content import Content, decode, encode
from airflow_provider_atlas.cache.stored import WRITES, Overtaken, StoredTokens
from airflow_provider_atlas.exceptions import StoreUnavailable
from airflow_provider_atlas.oauth.token import AccessToken

SECONDS = 60.0
NOW = datetime.fromtimestamp(1_800_000_000, UTC)


def token(value):
    return AccessToken(value, "Bearer", NOW, NOW + timedelta(hours=1))


@pytest.fixture
def claim(store, names, clock):
    claim = Claim(store, names.claim, names.holder, clock=clock, monotonic=clock, sleep=clock.sleep)
    with claim.held(SECONDS) as ours:
        assert ours
        yield claim


@pytest.fixture
def stored(account, store, claim, clock):
    """The store as the holder of the claim changes it."""
    return StoredTokens(account, store, claim, clock)


@pytest.fixture
def fill(account, store, names):
    """Write tokens as another task does: the first is the current one."""

    def fill(*values, account=account):
        tokens = [token(value) for value in values]
        store.texts[names.token] = encode(account, Content(tokens[0], tuple(tokens[1:])))

    return fill


@pytest.fixture
def another_secret(account):
    return dataclasses.replace(account, client_secret=account.client_secret + "-new")


def values(stored):
    return [token.value for token in stored.read().tokens]


def writes(store, names):
    return store.calls.count(("write", names.token))


def after_writes(store, names, *changes):
    """Run one change after the effect of each write of the token's Variable."""
    waiting, before = list(changes), [None]

    def step():
        if store.calls[-1] == ("write", names.token) and store.texts.get(names.token) != before[0] and waiting:
            waiting.pop(0)()
        before[0] = store.texts.get(names.token)

    store.step = step


def test_a_new_token_supersedes_the_current_one_and_joins_the_superseded(stored, store, names, fill):
    fill("current", "older")
    assert [old.value for old in stored.put(token("new"))] == ["current", "older"]
    assert values(stored) == ["new", "current", "older"]
    assert writes(store, names) == 1


def test_a_token_that_is_stored_already_is_not_written_again(stored, store, names, fill):
    fill("current", "older")
    assert [old.value for old in stored.put(token("current"))] == ["older"]
    assert writes(store, names) == 0


def test_a_new_token_keeps_what_the_other_secret_sealed(stored, fill, another_secret, store, names, clock):
    fill("theirs", account=another_secret)
    stored.put(token("ours"))
    theirs = decode(another_secret, store.texts[names.token], names.token, clock())
    assert theirs.token.value == "theirs"


@pytest.mark.parametrize("refused", [True, False])
def test_a_refusal_that_caused_a_token_is_dated(stored, clock, refused):
    stored.put(token("new"), refused=refused)
    assert stored.read().refused_at == (clock() if refused else 0)
    stored.put(token("newer"))
    assert stored.read().refused_at == (clock() if refused else 0)


# -- writes of other tasks -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("times", range(1, WRITES))
def test_a_write_that_collides_with_another_task_s_is_merged_with_it(stored, store, names, fill, times):
    left = [*range(times)]

    def collide(name, _):
        if name == names.token and left:
            fill(f"another-{left.pop(0)}", "superseded")
            raise StoreUnavailable

    store.before_write = collide
    stored.put(token("new"))
    assert values(stored) == ["new", f"another-{times - 1}", "superseded"]
    assert writes(store, names) == times + 1


@pytest.mark.parametrize("times", range(1, WRITES))
def test_a_write_that_another_task_s_replaces_is_merged_with_it(stored, store, names, fill, times):
    after_writes(store, names, *(lambda: fill("another", "superseded") for _ in range(times)))
    stored.put(token("new"))
    assert values(stored) == ["new", "another", "superseded"]
    assert writes(store, names) == times + 1


@pytest.mark.parametrize("times", range(WRITES))
def test_a_write_that_fails_is_made_again(stored, store, names, fill, times):
    fill("current")
    left = [*range(times)]

    def fail(name, _):
        if left:
            left.pop()
            raise StoreUnavailable

    store.before_write = fail
    assert [old.value for old in stored.put(token("new"))] == ["current"]
    assert writes(store, names) == times + 1


def test_writes_that_all_fail_are_an_error_after_some(stored, store, names, fill):
    fill("current")

    def fail(name, _):
        raise StoreUnavailable("Airflow's Variables cannot be written (OperationalError)")

    store.before_write = fail
    with pytest.raises(StoreUnavailable, match="OperationalError"):
        stored.put(token("new"))
    assert (writes(store, names), values(stored)) == (WRITES, ["current"])


@pytest.mark.parametrize("text", [None, "", "by hand"])
def test_a_hidden_variable_is_an_error_that_names_it_and_the_cause(stored, store, names, text):
    store.hidden[names.token] = text
    with pytest.raises(StoreUnavailable, match=f"{names.token} does not keep .* environment variable or a secrets"):
        stored.put(token("new"))
    assert writes(store, names) == WRITES


# -- a holder that took too long -------------------------------------------------------------------------------------

CHANGES = [
    lambda stored: stored.put(token("new")),
    lambda stored: stored.take_out(["current"]),
    lambda stored: stored.remove([]),
]


@pytest.mark.parametrize("change", CHANGES, ids=["put", "take_out", "remove"])
@pytest.mark.parametrize("late", ["too late", "replaced", "holder not found"])
def test_a_holder_that_took_longer_than_it_stated_writes_nothing(stored, store, names, fill, clock, change, late):
    fill("current", "older")
    if late == "too late":
        clock.now += SECONDS
    elif late == "replaced":
        store.texts[names.holder] = '{"nonce": "another"}'
    else:
        store.missed[names.holder] = READS
    texts = dict(store.texts)
    store.calls.clear()
    with pytest.raises(Overtaken):
        change(stored)
    assert store.texts == texts
    assert {call for call, _ in store.calls} == {"read"}


def test_a_holder_whose_second_look_at_an_empty_store_takes_long_writes_nothing(stored, store, names, fill, clock):
    reads = []

    def stall(name):
        text = before(name)
        reads.append(name)
        if reads.count(names.token) == 2 and name == names.token:
            clock.now += SECONDS
            fill("another")
        return text

    before, store.read = store.read, stall
    with pytest.raises(Overtaken):
        stored.put(token("new"))
    store.read = before
    assert values(stored) == ["another"]


def test_a_holder_that_is_overtaken_between_its_writes_stops(stored, store, names, fill):
    def overtake():
        fill("another")
        store.texts[names.holder] = '{"nonce": "another"}'

    after_writes(store, names, overtake)
    with pytest.raises(Overtaken):
        stored.put(token("new"))
    assert (writes(store, names), values(stored)) == (1, ["another"])


# -- reads that fail as "not found" ----------------------------------------------------------------------------------


@pytest.mark.parametrize("when", ["before the write", "after the write"])
def test_a_read_that_fails_as_not_found_erases_no_superseded_token(stored, store, names, fill, when):
    fill("current", "older")
    if when == "before the write":
        store.missed[names.token] = 1
    else:
        store.before_write = lambda *_: store.missed.update({names.token: 1})
    assert [old.value for old in stored.put(token("new"))] == ["current", "older"]
    assert values(stored) == ["new", "current", "older"]


def test_a_read_that_fails_as_not_found_hides_nothing_that_is_to_be_taken_out(stored, store, names, fill):
    fill("current", "older")
    store.missed[names.token] = 1
    stored.take_out(["older"])
    assert values(stored) == ["current"]


def test_a_read_that_fails_as_not_found_removes_no_token_of_the_other_secret(
    stored, store, names, fill, another_secret
):
    fill("theirs", account=another_secret)
    store.missed[names.token] = 1
    stored.remove([])
    assert stored.read().foreign != ()


# -- taking out ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("revoked", "left", "written"),
    [
        (["current"], ["older", "oldest"], 1),
        (["older"], ["current", "oldest"], 1),
        (["older", "oldest", "unknown"], ["current"], 1),
        (["current", "older", "oldest"], [], 1),
        (["unknown"], ["current", "older", "oldest"], 0),
        ([], ["current", "older", "oldest"], 0),
    ],
)
def test_what_was_revoked_is_taken_out_and_nothing_else(stored, store, names, fill, revoked, left, written):
    fill("current", "older", "oldest")
    stored.take_out(revoked)
    assert (values(stored), writes(store, names)) == (left, written)


def test_without_tokens_the_variables_are_removed(stored, store):
    stored.put(token("new"))
    stored.take_out(["new"])
    stored.remove([])
    assert store.texts == {}


def test_the_variables_stay_with_tokens_of_either_secret(stored, store, fill, names, another_secret):
    fill("ours")
    stored.remove([])
    assert values(stored) == ["ours"]
    fill("theirs", account=another_secret)
    stored.remove([])
    assert set(store.texts) == set(names)
