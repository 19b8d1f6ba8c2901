"""One holder at a time without compare-and-set, however long a call of the store takes."""

from __future__ import annotations

import json
from functools import partial

import pytest

from airflow_provider_atlas.cache.claim import PAUSE, READS, STALE, Claim
from airflow_provider_atlas.cache.refusals import SKEW
from airflow_provider_atlas.exceptions import StoreUnavailable
from tests.cache.fakes import MemoryStore, StepsOf, Tasks

#: For which the holders here say that they may be busy.
SECONDS = 60.0
#: A claim that is tried and released calls the store twelve times, the last four for the release; two steps each.
STEPS = 24


@pytest.fixture
def store():
    return MemoryStore()


@pytest.fixture
def make(store, clock):
    def make(store=store, clock=clock):
        return Claim(store, "claim", "holder", clock=clock, monotonic=clock, sleep=clock.sleep)

    return make


@pytest.fixture
def claim(make):
    return make()


def nonce(store, name):
    return json.loads(store.texts[name])["nonce"]


def candidate(store, nonce="another"):
    store.texts["claim"] = json.dumps({"nonce": nonce})


def holder(store, nonce="another", seconds=SECONDS, closed_until=0.0):
    store.texts["holder"] = json.dumps({"nonce": nonce, "seconds": seconds, "closed_until": closed_until})


def is_tried(claim):
    """Whether a task becomes the holder: it looks, then tries."""
    if claim.look()[0]:
        return False
    with claim.held(SECONDS) as ours:
        return ours


# -- who has it ------------------------------------------------------------------------------------------------------


def test_a_free_claim_is_taken_after_a_pause_and_given_back(claim, store, clock):
    with claim.held(SECONDS) as ours:
        assert ours
        assert claim.stands()
        assert nonce(store, "claim") == nonce(store, "holder") != None  # noqa: E711
    assert clock.slept == [PAUSE]
    assert (nonce(store, "claim"), nonce(store, "holder")) == (None, None)


@pytest.mark.parametrize("text", ["", "{}", "not json", "[]", "[" * 100_000, '{"nonce": 7}', '{"nonce": null}'])
@pytest.mark.parametrize("name", ["claim", "holder"])
def test_a_text_without_a_nonce_belongs_to_nobody(claim, store, name, text):
    store.texts[name] = text
    assert is_tried(claim)


def test_another_candidate_is_respected_and_its_nonce_left_alone(claim, store, clock):
    candidate(store)
    assert not is_tried(claim)
    assert clock.slept == []
    assert nonce(store, "claim") == "another"
    assert "holder" not in store.texts


def test_another_holder_is_seen_and_respected_by_a_candidate_that_did_not_look(claim, store):
    holder(store)
    assert claim.look()[0]
    with claim.held(SECONDS) as ours:
        assert not ours
    assert nonce(store, "holder") == "another"
    assert nonce(store, "claim") is None


def test_of_two_candidates_that_saw_it_free_the_last_writer_has_it(claim, store, mocker):
    mocker.patch.object(claim, "_sleep", side_effect=lambda seconds: candidate(store))
    assert not is_tried(claim)
    assert nonce(store, "claim") == "another"


@pytest.mark.parametrize("closed_until", [{}, {"closed_until": 1_800_000_040.0}])
def test_a_candidate_that_looks_again_after_the_winner_released_has_lost(claim, store, mocker, closed_until):
    released = json.dumps({"nonce": None, "last": "another", **closed_until})
    mocker.patch.object(
        claim, "_sleep", side_effect=lambda seconds: store.texts.update(claim=released, holder=released)
    )
    assert not is_tried(claim)
    assert store.texts == {"claim": released, "holder": released}


# -- stale nonces ----------------------------------------------------------------------------------------------------


def test_a_candidate_whose_nonce_stands_still_is_replaced(claim, store, clock):
    candidate(store)
    clock.now += 1000  # how old it is by other clocks means nothing
    assert not is_tried(claim)
    clock.now += STALE - 0.1
    assert not is_tried(claim)
    clock.now += 0.1
    assert is_tried(claim)


def test_a_candidate_whose_nonce_moves_is_never_stale(claim, store, clock):
    for number in range(20):
        candidate(store, f"nonce-{number}")
        clock.now += STALE - 0.1
        assert not is_tried(claim)


@pytest.mark.parametrize(
    ("stated", "taken"),
    [(60, 60), (7199, 7199), (7200, STALE), (1e300, STALE), (float("nan"), STALE), ("soon", STALE), (None, STALE)],
    ids=repr,
)
def test_a_holder_is_stale_after_the_seconds_that_it_stated(claim, store, clock, stated, taken):
    holder(store, seconds=stated)
    assert claim.look()[0]
    clock.now += taken - 0.1
    assert claim.look()[0]
    clock.now += 0.2
    assert is_tried(claim)


def test_an_int_of_some_hundred_digits_is_not_taken_as_seconds(claim, store, clock):
    store.texts["holder"] = f'{{"nonce": "another", "seconds": {"9" * 400}}}'
    assert claim.look()[0]
    clock.now += STALE
    assert is_tried(claim)


def test_a_holder_that_was_killed_holds_nobody_up_for_longer_than_it_stated(claim, store, clock):
    candidate(store)  # a holder's nonce stands in both Variables
    holder(store)
    assert claim.look()[0]
    clock.now += SECONDS
    assert is_tried(claim)


@pytest.mark.parametrize(
    ("later", "free"), [(0, False), (7000, False), (7000 + SKEW - 1, False), (7000 + SKEW + 1, True)]
)
def test_a_killed_holder_that_stated_longer_than_anybody_waits_holds_up_no_new_task_for_ever(
    make, store, clock, later, free
):
    with make().held(7000):
        left = dict(store.texts)
    store.texts = left
    clock.now += later
    assert is_tried(make()) is free


@pytest.mark.parametrize("ends", [None, "soon", True, float("nan"), 1e300])
def test_an_end_that_no_holder_can_have_stated_changes_nothing(claim, store, clock, ends):
    store.texts["holder"] = json.dumps({"nonce": "another", "seconds": SECONDS, "ends": ends})
    assert claim.look()[0]
    clock.now += SECONDS
    assert not claim.look()[0]


def test_a_new_candidate_after_a_killed_holder_is_respected(claim, store, clock):
    holder(store, "killed")
    assert claim.look()[0]
    clock.now += SECONDS
    candidate(store, "new")
    assert not is_tried(claim)
    assert nonce(store, "claim") == "new"


# -- whether a holder may write --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "stands"),
    [
        (lambda store, clock: None, True),
        (lambda store, clock: clock.sleep(SECONDS - 0.1), True),
        (lambda store, clock: clock.sleep(SECONDS), False),
        (lambda store, clock: holder(store), False),
        (lambda store, clock: store.texts.clear(), False),
        (lambda store, clock: store.missed.update(holder=READS), False),
        (lambda store, clock: store.missed.update(holder=READS - 1), True),
        (lambda store, clock: candidate(store), True),
    ],
    ids=["at once", "in time", "too late", "replaced", "gone", "not found", "found in the end", "another candidate"],
)
def test_a_holder_may_write_in_time_and_while_it_was_not_replaced(claim, store, clock, change, stands):
    with claim.held(SECONDS) as ours:
        assert ours
        change(store, clock)
        assert claim.stands() is stands


def test_a_collision_while_the_holder_is_freed_leaves_no_candidate(claim, store):
    def collide(name, text):
        if name == "holder" and json.loads(text)["nonce"] is None:
            holder(store)
            raise StoreUnavailable

    store.before_write = collide
    assert is_tried(claim)
    assert (nonce(store, "claim"), nonce(store, "holder")) == (None, "another")


def test_a_holder_that_was_replaced_leaves_the_new_one_alone(claim, store):
    with claim.held(SECONDS):
        candidate(store)
        holder(store)
    assert (nonce(store, "claim"), nonce(store, "holder")) == ("another", "another")


# -- a store that fails ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["claim", "holder"])
@pytest.mark.parametrize("text", [None, "", "by hand"])
def test_a_variable_that_does_not_keep_what_is_written_is_an_error_that_names_it(claim, store, name, text):
    store.hidden[name] = text
    with pytest.raises(StoreUnavailable, match=f"The Variable {name} does not keep .* may hide it"):
        is_tried(claim)


@pytest.mark.parametrize("name", ["claim", "holder"])
def test_one_read_that_fails_as_not_found_does_not_look_like_a_hidden_variable(claim, store, name):
    store.before_write = lambda written, _: store.missed.update({written: written == name})
    assert is_tried(claim)


@pytest.mark.parametrize("name", ["claim", "holder"])
def test_a_write_that_fails_beside_another_task_s_write_is_lost(claim, store, name):
    def collide(written, _):
        if written == name:
            {"claim": candidate, "holder": holder}[name](store)
            raise StoreUnavailable

    store.before_write = collide
    with claim.held(SECONDS) as ours:
        assert not ours
        store.before_write = lambda *_: None
    assert nonce(store, name) == "another"
    if name == "holder":
        assert nonce(store, "claim") is None


@pytest.mark.parametrize("name", ["claim", "holder"])
@pytest.mark.parametrize("before", [None, '{"nonce": null}'])
def test_a_write_that_fails_and_changes_nothing_is_an_error(claim, store, name, before):
    if before is not None:
        store.texts[name] = before

    def fail(written, _):
        if written == name:
            raise StoreUnavailable

    store.before_write = fail
    with pytest.raises(StoreUnavailable):
        is_tried(claim)


def test_a_store_that_fails_at_the_release_leaves_a_nonce_that_becomes_stale(claim, make, store, clock):
    with claim.held(SECONDS) as ours:
        assert ours
        store.down = True
    store.down = False
    other = make()
    assert not is_tried(other)
    clock.now += SECONDS
    assert is_tried(other)


def test_a_store_that_fails_before_is_an_error(claim, store):
    store.down = True
    with pytest.raises(StoreUnavailable), claim.held(SECONDS):
        pass


@pytest.mark.parametrize("seconds", [0.9, 5, 12, 25, 100])
@pytest.mark.parametrize("step", range(STEPS))
def test_a_store_call_that_stalls_never_makes_two_holders(store, make, step, seconds):
    tasks, writing = Tasks(), []
    end = tasks() + seconds + 10

    def work(delay, store=store):
        claim = make(store, tasks)
        tasks.sleep(delay)
        while tasks() < end:
            if not claim.look()[0]:
                with claim.held(SECONDS) as ours:
                    for _ in range(3 * ours):
                        if claim.stands():
                            writing.append(claim)
                            assert writing == [claim]
                            tasks.sleep(1)  # a write that takes its time
                            writing.remove(claim)
            tasks.sleep(1.1)

    stalling = StepsOf(store, step, partial(tasks.sleep, seconds))
    tasks.run(partial(work, 0, stalling), *(partial(work, delay) for delay in (0.0, 0.3, 0.7, 3.0)))
    assert next(stalling._steps) > step  # the step was reached
    assert is_tried(make(clock=tasks))


class Ended(BaseException):
    """The task's timeout, or its end."""


@pytest.mark.parametrize("step", range(STEPS))
def test_a_task_that_ends_in_a_store_call_leaves_the_claim_free_or_to_become_stale(store, make, clock, step):
    def end():
        raise Ended

    ending = StepsOf(store, step, end)
    with pytest.raises(Ended):
        is_tried(make(ending))
    assert next(ending._steps) > step
    other, start = make(), clock.now
    while not is_tried(other):
        clock.sleep(1)
    in_release = step >= STEPS - 8
    assert clock.now - start <= (SECONDS + PAUSE + 1 if in_release else PAUSE)


# -- what Atlas told a holder ----------------------------------------------------------------------------------------


def test_a_holder_tells_the_others_for_how_long_atlas_refuses_requests(claim, make, clock):
    with claim.held(SECONDS):
        claim.close(40)
    other = make()
    assert other.look() == (False, pytest.approx(40))
    clock.now += 41
    assert other.look() == (False, 0)


def test_the_longest_wait_with_its_spread_is_taken_as_the_longest(claim, make):
    with claim.held(SECONDS):
        claim.close(3960)
    assert make().look()[1] == 3600


def test_the_next_holder_keeps_what_was_told(claim, make, store, clock):
    with claim.held(SECONDS):
        claim.close(40)
    other = make()
    with other.held(SECONDS) as ours:
        assert ours
        assert claim.look() == (True, pytest.approx(40 - PAUSE))
    assert claim.look() == (False, pytest.approx(40 - PAUSE))
    clock.now += 40
    with other.held(SECONDS):
        pass
    assert "closed_until" not in store.texts["holder"]


@pytest.mark.parametrize("until", [None, "soon", True, -5, float("nan"), 1e300, 10**400, 1_800_004_501])
def test_a_time_that_no_task_can_have_told_closes_nothing(claim, store, until):
    store.texts["holder"] = json.dumps({"closed_until": until})
    assert claim.look() == (False, 0)


def test_no_text_of_the_claim_is_so_short_that_airflow_warns_that_it_cannot_mask_it(make, store, mocker):
    write = mocker.spy(store, "write")
    for _ in range(2):
        with make().held(SECONDS) as ours:
            assert ours
    texts = [call.args[1] for call in write.call_args_list]
    assert len(texts) == 8
    assert min(map(len, texts)) >= 5
