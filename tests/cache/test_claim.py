"""One writer at a time, without compare-and-set; whoever dies with the claim blocks nobody for long."""

from __future__ import annotations

import json

import pytest

from airflow_provider_atlas.cache.claim import HEARTBEAT, PAUSE, POLL, STALE, Claim
from airflow_provider_atlas.exceptions import RateLimited, StoreUnavailable
from tests.cache.fakes import MemoryStore


@pytest.fixture
def store():
    return MemoryStore()


@pytest.fixture
def claim(store, clock):
    return Claim(store, "claim", clock=clock, monotonic=clock, sleep=clock.sleep)


def held_by(store, nonce="another", wait=None, believed_until=1_800_000_000 + STALE):
    store.texts["claim"] = json.dumps({"nonce": nonce, "wait": wait, "believed_until": believed_until})


def test_a_free_claim_is_taken_after_a_pause_and_given_back(claim, store, clock):
    with claim.held() as ours:
        assert ours
        assert json.loads(store.texts["claim"])["nonce"]
    assert clock.slept == [PAUSE]
    assert store.texts["claim"] == "{}"


@pytest.mark.parametrize("text", ["", "{}", "not json", "[]", "[" * 100_000, '{"nonce": 7}', '{"nonce": null}'])
def test_what_is_no_claim_is_nobody_s(claim, store, text):
    store.texts["claim"] = text
    with claim.held() as ours:
        assert ours


def test_another_s_claim_is_respected_and_left_alone(claim, store, clock):
    held_by(store)
    with claim.held() as ours:
        assert not ours
    assert clock.slept == []
    assert json.loads(store.texts["claim"])["nonce"] == "another"


def test_of_two_who_saw_it_free_the_last_writer_has_it(claim, store, clock, mocker):
    mocker.patch.object(claim, "_sleep", side_effect=lambda seconds: held_by(store))
    with claim.held() as ours:
        assert not ours
    assert json.loads(store.texts["claim"])["nonce"] == "another"


@pytest.mark.parametrize("given_back", ["{}", '{"closed_until": 1800000040.0}'])
def test_who_looks_again_when_the_winner_is_through_already_has_lost_a_race_and_no_store(
    claim, store, mocker, given_back
):
    mocker.patch.object(claim, "_sleep", side_effect=lambda seconds: store.texts.update(claim=given_back))
    with claim.held() as ours:
        assert not ours
    assert store.texts["claim"] == given_back


def test_a_claim_whose_nonce_stands_still_is_taken_over(claim, store, clock):
    held_by(store)
    clock.now += 1000  # how old it is by other clocks means nothing
    with claim.held() as ours:
        assert not ours
    clock.now += STALE - 0.1
    with claim.held() as ours:
        assert not ours
    clock.now += 0.1
    with claim.held() as ours:
        assert ours


def test_a_claim_whose_nonce_moves_is_never_stale(claim, store, clock):
    for number in range(20):
        held_by(store, f"nonce-{number}")
        clock.now += STALE - 0.1
        with claim.held() as ours:
            assert not ours


def test_a_holder_that_waits_moves_its_nonce_and_says_how_long_it_waits(claim, store, clock, mocker):
    seen = []
    store.before_write = lambda name, text: seen.append(json.loads(text))
    with claim.held():
        claim.keep(5)
    nonces, waits = [claim["nonce"] for claim in seen[:-1]], [claim["wait"] for claim in seen[:-1]]
    assert len(set(nonces)) == 4
    assert waits == [None, 5.0, 5.0 - HEARTBEAT, 5.0 - 2 * HEARTBEAT]
    assert sum(clock.slept) == PAUSE + 5


def test_a_holder_that_lost_its_claim_stops_to_wait_and_leaves_the_new_one_alone(claim, store, clock):
    with claim.held():
        held_by(store)
        claim.keep(60)
    assert sum(clock.slept) == PAUSE
    assert json.loads(store.texts["claim"])["nonce"] == "another"


def test_waiting_for_a_holder_is_a_short_sleep(claim, store, clock):
    held_by(store)
    claim.wait(clock.now + 100)
    assert clock.slept == [POLL]


def test_who_may_not_wait_as_long_as_the_holder_does_is_told_how_long_that_is(claim, store, clock):
    held_by(store, wait=42)
    with pytest.raises(RateLimited) as caught:
        claim.wait(clock.now)
    assert caught.value.retry_after == 42


def test_a_holder_that_has_died_while_it_waited_for_atlas_holds_up_not_even_who_may_not_wait(claim, store, clock):
    with claim.held():
        claim._write(28.0)
        left_behind = store.texts["claim"]
    store.texts["claim"] = left_behind
    with pytest.raises(RateLimited):
        claim.wait(clock.now)
    clock.now += STALE
    while not claim._try():
        claim.wait(clock.now)  # an error would leave the claim to the dead for ever
    assert sum(clock.slept) <= STALE + 2 * PAUSE + POLL


def test_a_holder_that_only_asks_atlas_is_given_a_little_longer(claim, store, clock):
    held_by(store)
    claim.wait(clock.now - STALE)
    with pytest.raises(RateLimited, match="may not wait longer"):
        claim.wait(clock.now - 2 * STALE)


def test_a_store_that_keeps_nothing_is_an_error_and_no_lost_race(claim, store):
    store.before_write = lambda name, text: store.texts.clear()
    store.write = lambda name, text: None
    with pytest.raises(StoreUnavailable, match="do not keep"), claim.held():
        pass


@pytest.mark.parametrize(("wait", "told"), [("9" * 400, 3600), ("-1", 0), ("NaN", 0)])
def test_a_wait_that_nobody_can_have_is_told_as_one_that_can_be_waited(claim, store, clock, wait, told):
    store.texts["claim"] = f'{{"nonce": "another", "wait": {wait}, "believed_until": 1800000010.0}}'
    with pytest.raises(RateLimited) as caught:
        claim.wait(clock.now)
    assert caught.value.retry_after == told


def test_who_gives_up_for_the_longest_wait_and_its_spread_is_believed(claim, store):
    with claim.held():
        claim.give_up(3960)
    assert claim.closed_for() == 3600


def test_who_gives_up_tells_the_others_not_to_ask_either(claim, store, clock):
    with claim.held():
        claim.give_up(40)
    assert claim.closed_for() == pytest.approx(40)
    clock.now += 41
    assert claim.closed_for() == 0


@pytest.mark.parametrize("until", [-STALE, 3600, 1e300, None, "soon"])
def test_a_holder_is_not_believed_for_what_its_clock_alone_says(claim, store, clock, until):
    held_by(store, wait=42, believed_until=clock.now + until if isinstance(until, float | int) else until)
    claim.wait(clock.now)
    assert clock.slept == [POLL]


def test_who_takes_the_claim_next_does_not_lose_what_was_told(claim, store, clock):
    with claim.held():
        claim.give_up(40)
    other = Claim(store, "claim", clock=clock, monotonic=clock, sleep=clock.sleep)
    with other.held() as ours:
        assert ours
        assert claim.closed_for() == pytest.approx(40 - PAUSE)
    assert claim.closed_for() == pytest.approx(40 - PAUSE)
    clock.now += 40
    with other.held():
        pass
    assert store.texts["claim"] == "{}"


@pytest.mark.parametrize("until", [None, "soon", -5, 1e300, 10**400])
def test_a_word_that_nobody_can_have_given_closes_nothing(claim, store, until):
    store.texts["claim"] = json.dumps({"closed_until": until})
    assert claim.closed_for() == 0


def test_a_store_that_fails_on_release_leaves_a_claim_that_goes_stale(claim, store):
    with claim.held() as ours:
        assert ours
        store.down = True


def test_a_store_that_fails_before_is_an_error(claim, store):
    store.down = True
    with pytest.raises(StoreUnavailable), claim.held():
        pass
