"""One token for the whole deployment: renewed by one, found by all, never lost and never in the way."""

from __future__ import annotations

import dataclasses
import json
from datetime import UTC, datetime, timedelta

import pytest

from airflow_provider_atlas.cache import variables as module
from airflow_provider_atlas.cache.content import Content, decode, encode
from airflow_provider_atlas.cache.deployment import SharedToken
from airflow_provider_atlas.exceptions import InvalidClient, RateLimited, StoreUnavailable
from airflow_provider_atlas.oauth.token import AccessToken
from tests.cache.fakes import MemoryStore
from tests.conftest import CLIENT_SECRET, TOKEN


@pytest.fixture(autouse=True)
def warn_again(monkeypatch):
    monkeypatch.setattr(module, "_warned", set())


@pytest.fixture
def store():
    return MemoryStore()


@pytest.fixture
def minted():
    return []


@pytest.fixture
def make(account, store, clock, minted):
    """A worker's view of the deployment's token; ``outcomes`` are raised before a token is given."""

    def make(*outcomes, max_wait=300.0, account=account, offset=0.0, store=store):
        waiting = list(outcomes)

        def mint() -> AccessToken:
            if waiting:
                raise waiting.pop(0)
            now = datetime.fromtimestamp(clock() + offset, UTC)
            token = AccessToken(f"token-{len(minted) + 1}", "Bearer", now, now + timedelta(hours=1))
            minted.append(token)
            return token

        return SharedToken(
            account, store, mint, max_wait, clock=lambda: clock() + offset, monotonic=clock, sleep=clock.sleep
        )

    return make


def test_the_first_reader_mints_and_all_others_find_it(make, minted):
    assert {make().get().value for _ in range(10)} == {"token-1"}
    assert len(minted) == 1


def test_airflow_redacts_the_token_s_variable_and_not_the_claim_s(make, account):
    shared = make()
    assert "access_token" in shared.name
    assert "token" not in shared.claim_name  # its nonces would fill the masker of the API server
    assert shared.claim_name.endswith(shared.name[-12:])
    other = dataclasses.replace(account, client_secret=account.client_secret + "x")
    assert make(account=other).name == shared.name
    assert make(account=dataclasses.replace(account, client_id=account.client_id + "0")).name != shared.name


def test_what_is_stored_is_sealed(make, store, says_nothing):
    shared = make()
    now = datetime.fromtimestamp(1_800_000_000, UTC)
    token = AccessToken(TOKEN, "Bearer", now, now + timedelta(hours=1))
    shared._write(Content(token, (token,)))
    assert store.texts[shared.name].count("atlas-sealed:") == 2
    says_nothing(ValueError(json.dumps(store.texts)), TOKEN, CLIENT_SECRET)


@pytest.mark.parametrize(("minutes", "expected"), [(54, "token-1"), (56, "token-2"), (61, "token-2")])
def test_a_stale_token_is_renewed(make, clock, minutes, expected):
    make().get()
    clock.now += minutes * 60
    assert make().get().value == expected


def test_while_one_renews_a_living_token_the_others_go_on_with_it(make, store, clock, minted):
    shared = make()
    shared.get()
    clock.now += 56 * 60
    store.texts[shared.claim_name] = '{"nonce": "another"}'
    assert make().get().value == "token-1"
    assert len(minted) == 1


def test_while_the_old_token_lives_a_refusal_is_a_warning(make, clock, caplog):
    make().get()
    clock.now += 56 * 60
    assert make(RateLimited(retry_after=60)).get().value == "token-1"
    assert "could not be renewed yet" in caplog.text
    assert max(clock.slept) < 1


def test_without_a_token_all_wait_for_the_one_who_asks(make, store, clock, minted, account):
    shared = make()
    store.texts[shared.claim_name] = '{"nonce": "another"}'

    def answer(seconds: float) -> None:
        clock.sleep(seconds)
        if len(clock.slept) == 3:  # meanwhile the other writes its token
            now = datetime.fromtimestamp(clock(), UTC)
            token = AccessToken(TOKEN, "Bearer", now, now + timedelta(hours=1))
            store.texts[shared.name] = encode(account, Content(token))

    shared._claim._sleep = answer
    assert shared.get().value == TOKEN
    assert minted == []


def test_who_waits_for_atlas_looks_at_the_store_again_before_asking(make, store, clock, minted, account):
    shared = make(RateLimited(retry_after=30))

    def publish(name: str, text: str) -> None:
        if name == shared.claim_name and json.loads(text).get("wait"):
            now = datetime.fromtimestamp(clock(), UTC)
            token = AccessToken(TOKEN, "Bearer", now, now + timedelta(hours=1))
            store.texts[shared.name] = encode(account, Content(token))

    store.before_write = publish
    assert shared.get().value == TOKEN
    assert minted == []


def test_a_rate_limit_is_waited_for_within_max_wait(make, clock):
    start = clock.now
    assert make(RateLimited(retry_after=60), RateLimited(retry_after=60)).get().value == "token-1"
    assert 120 <= clock.now - start <= 140
    with pytest.raises(RateLimited):
        make(RateLimited(retry_after=60), max_wait=59, store=MemoryStore()).get()


def test_a_final_error_is_raised_and_frees_the_claim(make, minted):
    with pytest.raises(InvalidClient):
        make(InvalidClient()).get()
    assert make().get().value == "token-1"


def test_a_dead_holder_is_waited_for_some_seconds_only(make, store, clock):
    shared = make()
    store.texts[shared.claim_name] = '{"nonce": "dead"}'
    start = clock.now
    assert shared.get().value == "token-1"
    assert 10 <= clock.now - start < 12


def test_waits_for_other_tasks_are_told_once_each_and_an_error_says_how_long_they_were(make, store, clock, caplog):
    caplog.set_level("INFO")
    shared = make(RateLimited(retry_after=60), max_wait=45)
    store.texts[shared.claim_name] = json.dumps({"nonce": "dead", "closed_until": clock.now + 20})
    with pytest.raises(RateLimited) as caught:
        shared.get()
    assert caught.value.waited == pytest.approx(sum(clock.slept)) == pytest.approx(30, abs=2)
    assert caplog.text.count("Waiting 20.0 s, as Atlas has told another task.") == 1
    assert caplog.text.count("Waiting for another task") == 1


def test_a_new_secret_notices_at_once_and_the_old_token_is_not_used(make, account, caplog):
    make().get()
    new = dataclasses.replace(account, client_secret=account.client_secret + "-new")
    assert make(account=new).get().value == "token-2"
    assert caplog.text.count("does not open") == 1
    assert make(account=new).get().value == "token-2"


def test_two_valid_secrets_do_not_take_each_other_s_token_away(make, account, minted):
    new = dataclasses.replace(account, client_secret=account.client_secret + "-new")
    for _ in range(20):
        assert make().get().value == "token-1"
        assert make(account=new).get().value == "token-2"
    make().publish()
    assert make(account=new).get().value == "token-2"
    assert {token.value for token in make().read().superseded} == {"token-1"}


def test_what_another_secret_sealed_is_let_go_once_it_has_expired(make, account, clock):
    make().get()
    clock.now += 2 * 3600
    new = dataclasses.replace(account, client_secret=account.client_secret + "-new")
    make(account=new).get()
    assert make(account=new).read().foreign == ()


def test_a_fleet_that_may_not_wait_asks_once_and_believes_the_answer(make, minted):
    outcomes = []
    for _ in range(30):
        with pytest.raises(RateLimited) as caught:
            make(RateLimited(retry_after=60), max_wait=20).get()
        outcomes.append(str(caught.value))
    assert [outcome for outcome in outcomes if "another task" not in outcome] == outcomes[:1]


def test_behind_a_dead_holder_a_task_that_may_not_wait_still_asks_in_turn(make, store, minted):
    shared = make(max_wait=0)
    store.texts[shared.claim_name] = '{"nonce": "dead"}'
    assert shared.get().value == "token-1"
    assert make(max_wait=0).get().value == "token-1"


# -- a refusal by Atlas ----------------------------------------------------------------------------------------------


def test_a_refusal_follows_the_store_before_it_mints(make, minted):
    old = make().get()
    make().publish()
    assert make().replace(old, True).value == "token-2"
    assert len(minted) == 2


def test_a_refusal_mints_where_the_store_has_no_other(make):
    old = make().get()
    assert make().replace(old, True).value == "token-2"
    assert make().get().value == "token-2"


def test_refusals_mint_once_a_minute_for_the_whole_deployment(make, clock, minted):
    token = make().get()
    token = make().replace(token, True)
    assert [make().replace(token, True) for _ in range(5)] == [None] * 5
    clock.now += 60
    assert make().replace(token, True).value == "token-3"


@pytest.mark.parametrize("offset", [-300.0, 300.0])
def test_clocks_that_differ_by_minutes_cost_one_more_token_at_most(make, offset, minted):
    token = make().get()
    for turn in range(20):
        token = make(offset=offset if turn % 2 else 0.0).replace(token, True) or token
    assert len(minted) <= 3


@pytest.mark.parametrize("offset", [-240.0, 240.0, 900.0])
def test_workers_whose_clocks_differ_share_a_token_all_the_same(make, offset, minted):
    make().get()
    for _ in range(5):
        make(offset=offset).get()
        make().get()
    assert len(minted) == 1


def test_with_the_store_down_a_refusal_may_mint_for_itself_if_it_may_at_all(make, store):
    token = make().get()
    store.down = True
    assert make().replace(token, False) is None
    assert make().replace(token, True).value == "token-2"


# -- rotation --------------------------------------------------------------------------------------------------------


def test_publish_replaces_whatever_the_age_and_tells_what_is_unrevoked(make):
    first = make().get()
    token, replaced = make().publish()
    assert (token.value, replaced) == ("token-2", [first])
    assert make().get().value == "token-2"


def test_a_rotation_that_died_before_revoking_is_finished_by_the_next(make):
    make().get()
    make().publish()
    _, replaced = make().publish()
    assert {token.value for token in replaced} == {"token-1", "token-2"}
    make().forget(["token-1", "token-2"])
    assert make().read().superseded == ()
    assert make().publish()[1] != []


def test_a_renewal_by_a_reader_is_not_lost_on_a_rotation(make, clock):
    make().get()
    clock.now += 56 * 60
    make().get()
    _, replaced = make().publish()
    assert {token.value for token in replaced} == {"token-1", "token-2"}


def test_tokens_that_have_expired_need_no_revocation_and_are_let_go(make, clock):
    make().get()
    make().publish()
    clock.now += (60 + 16) * 60  # by any worker's clock
    _, replaced = make().publish()
    assert replaced == []


@pytest.mark.parametrize("trouble", ["down", "read_only"])
def test_a_rotation_that_cannot_publish_is_an_error(make, store, trouble):
    setattr(store, trouble, True)
    with pytest.raises(StoreUnavailable):
        make().publish()


def test_a_rotation_whose_last_write_fails_is_an_error(make, store):
    shared = make()

    def fail(name: str, text: str) -> None:
        if name == shared.name:
            raise StoreUnavailable

    store.before_write = fail
    with pytest.raises(StoreUnavailable):
        shared.publish()


def test_forgetting_the_token_itself_empties_its_place(make):
    token = make().get()
    make().forget([token.value])
    assert make().read().token is None


def test_forgetting_what_is_not_there_writes_nothing(make, store):
    shared = make()
    shared.get()
    writes = []
    store.before_write = lambda name, text: writes.append(name)
    shared.forget(["unknown"])
    assert shared.name not in writes


def test_dissolving_revokes_everything_and_leaves_no_variable(make, store):
    make().get()
    make().publish()
    revoked = []
    assert make().dissolve(revoked.append) == 2
    assert {token.value for token in revoked} == {"token-1", "token-2"}
    assert store.texts == {}
    assert make().dissolve(revoked.append) == 0


def test_changes_wait_for_their_turn(make, store, clock):
    shared = make()
    shared.get()
    store.texts[shared.claim_name] = '{"nonce": "dead"}'
    start = clock.now
    make().forget(["token-1"])
    assert clock.now - start >= 10


# -- bad input -------------------------------------------------------------------------------------------------------


def stored(account, **change):
    now = datetime.fromtimestamp(1_800_000_000, UTC)
    whole = json.loads(encode(account, Content(AccessToken(TOKEN, "Bearer", now, now + timedelta(hours=1)))))
    return json.dumps({**whole, **change})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "null",
        "[]",
        "7",
        "a hand-written note",
        "[" * 100_000,
        {"version": 2},
        {"version": None},
        {"tokens": 7},
        {"tokens": None},
        {"tokens": [7]},
        {"tokens": [["x"]]},
        {"tokens": [["x", "soon", True]]},
        {"refused_at": "soon"},
        {"refused_at": None},
        {"tokens": [["plain", 1_800_003_600, True]]},
        {"tokens": [["atlas-sealed:1:damaged", 1_800_003_600, True]]},
        {"tokens": [["atlas-sealed:2:newer", 1e300, True], [None, 1, 1]]},
    ],
    ids=repr,
)
def test_a_variable_that_nobody_can_read_is_a_miss_with_one_warning(make, account, store, text, caplog, says_nothing):
    shared = make()
    store.texts[shared.name] = text if isinstance(text, str) else stored(account, **text)
    assert shared.get().value == "token-1"
    assert len([record for record in caplog.records if record.levelname == "WARNING"]) == 1
    says_nothing(None)
    assert make().get().value == "token-1"


def test_a_missing_variable_is_a_miss_without_a_warning(make, caplog):
    make().get()
    assert caplog.text == ""


@pytest.mark.parametrize("trouble", ["down", "read_only"])
def test_a_store_in_trouble_costs_a_token_of_one_s_own_and_a_warning(make, store, trouble, caplog):
    setattr(store, trouble, True)
    shared = make()
    assert (shared.get().value, shared.get().value) == ("token-1", "token-2")
    assert caplog.text.count("gets an Atlas token of its own") == 1


def test_a_store_that_fails_once_the_token_is_there_does_not_cost_another(make, store, minted, caplog):
    shared = make()

    def fail(name: str, text: str) -> None:
        if name == shared.name:
            store.down = True
            raise StoreUnavailable

    store.before_write = fail
    assert shared.get().value == "token-1"
    assert len(minted) == 1
    assert "stays its own" in caplog.text


def test_contents_come_back_as_they_were(account):
    now = datetime.fromtimestamp(1_800_000_000, UTC)
    tokens = [AccessToken(f"t{n}", "Bearer", now, now + timedelta(hours=1)) for n in range(3)]
    content = Content(tokens[0], tuple(tokens[1:]), 17.0)
    assert decode(account, encode(account, content), "name", 1_800_000_000) == content
