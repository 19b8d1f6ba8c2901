"""One token for the whole deployment: renewed by one task, found by all, and never lost."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from airflow_provider_atlas.cache import variables as module
from airflow_provider_atlas.cache.claim import PAUSE, STALE
from airflow_provider_atlas.cache.content import Content, decode, encode
from airflow_provider_atlas.cache.deployment import FIRST_POLL, LAST_POLL, SharedToken
from airflow_provider_atlas.cache.variables import names_for
from airflow_provider_atlas.exceptions import InvalidClient, RateLimited, ServerError, StoreUnavailable
from airflow_provider_atlas.oauth.token import AccessToken
from tests.cache.fakes import MemoryStore, StepsOf, Tasks
from tests.conftest import CLIENT_SECRET, TOKEN

#: For which a holder here may be busy with a request.
HOLD = 60.0


class Ended(BaseException):
    """The task's timeout, or its end."""


@pytest.fixture(autouse=True)
def warn_again(monkeypatch):
    monkeypatch.setattr(module, "_warned", set())


@pytest.fixture
def requested():
    """The tokens that all tasks requested."""
    return []


@pytest.fixture
def revoked():
    """The texts of the tokens that all tasks gave back."""
    return []


@pytest.fixture
def make(account, store, clock, requested, revoked):
    """A task's view of the deployment's token; raises ``outcomes``, then gives a token after ``takes`` seconds."""

    def make(*outcomes, max_wait=300.0, account=account, offset=0.0, store=store, takes=0.0, clock=clock, sleep=None):
        waiting = list(outcomes)

        def generate(generated: list[AccessToken]) -> AccessToken:
            now = datetime.fromtimestamp(clock() + offset, UTC)
            if takes:
                clock.sleep(takes)
            if waiting:
                raise waiting.pop(0)
            token = AccessToken(f"token-{len(requested) + 1}", "Bearer", now, now + timedelta(hours=1))
            requested.append(token)
            generated.append(token)
            return token

        return SharedToken(
            account,
            store,
            generate,
            lambda token: revoked.append(token.value),
            max_wait,
            request_time=HOLD,
            clock=lambda: clock() + offset,
            monotonic=clock,
            sleep=sleep or clock.sleep,
        )

    return make


@pytest.fixture
def put(account, store, names, clock):
    """Another task's write: a token that is valid for an hour from now, and superseded ones."""

    def put(value=TOKEN, *superseded):
        now = datetime.fromtimestamp(clock(), UTC)
        tokens = [AccessToken(each, "Bearer", now, now + timedelta(hours=1)) for each in (value, *superseded)]
        store.texts[names.token] = encode(account, Content(tokens[0], tuple(tokens[1:])))

    return put


@pytest.fixture
def another_secret(account):
    return dataclasses.replace(account, client_secret=account.client_secret + "-new")


@pytest.fixture
def left_by(store, names):
    """What a task that was killed left in the store."""

    def left_by(killed):
        if killed == "holder":
            store.texts[names.holder] = json.dumps({"nonce": "killed", "seconds": HOLD})
        store.texts[names.claim] = json.dumps({"nonce": "killed"})

    return left_by


def values(shared):
    return [token.value for token in shared.read().tokens]


# -- readers ---------------------------------------------------------------------------------------------------------


def test_the_first_reader_requests_and_all_others_find_it(make, requested):
    assert {make().get().value for _ in range(10)} == {"token-1"}
    assert len(requested) == 1


def test_airflow_redacts_the_token_s_variable_and_not_the_claim_s(account, another_secret):
    names = names_for(account)
    assert "access_token" in names.token
    for name in (names.claim, names.holder):
        assert "token" not in name  # their nonces would fill the masker of the API server
        assert name.endswith(names.token[-12:])
    assert len(set(names)) == 3
    assert names_for(another_secret) == names
    assert names_for(dataclasses.replace(account, client_id=account.client_id + "0")).token != names.token


def test_what_is_stored_is_sealed(make, store, names, clock, says_nothing):
    now = datetime.fromtimestamp(clock(), UTC)
    make().publish(AccessToken(TOKEN, "Bearer", now, now + timedelta(hours=1)))
    make().publish()
    assert store.texts[names.token].count("atlas-sealed:") == 2
    says_nothing(ValueError(json.dumps(store.texts)), TOKEN, CLIENT_SECRET)


@pytest.mark.parametrize(("minutes", "expected"), [(54, "token-1"), (56, "token-2"), (61, "token-2")])
def test_a_stale_token_is_renewed(make, clock, minutes, expected):
    make().get()
    clock.now += minutes * 60
    assert make().get().value == expected


@pytest.mark.parametrize("killed", ["candidate", "holder"])
def test_while_one_renews_a_valid_token_the_others_go_on_with_it(make, clock, requested, left_by, killed):
    make().get()
    clock.now += 56 * 60
    left_by(killed)
    assert make().get().value == "token-1"
    assert len(requested) == 1
    assert sum(clock.slept) <= 2 * PAUSE


def test_while_the_old_token_is_valid_a_refusal_is_a_warning(make, clock, caplog):
    make().get()
    clock.now += 56 * 60
    assert make(RateLimited(retry_after=60)).get().value == "token-1"
    assert "could not be renewed yet" in caplog.text
    assert max(clock.slept) < 1


def test_while_the_old_token_is_valid_nobody_waits_for_what_another_task_was_told(make, clock, requested):
    make().get()
    clock.now += 56 * 60
    make(RateLimited(retry_after=60)).get()
    slept = sum(clock.slept)
    assert make().get().value == "token-1"
    assert (len(requested), sum(clock.slept)) == (1, slept)


def test_without_a_token_all_wait_for_the_one_that_requests(make, store, clock, requested, left_by, put):
    left_by("holder")

    def respond(seconds: float) -> None:
        clock.sleep(seconds)
        if len(clock.slept) == 3:  # meanwhile the other writes its token
            put(TOKEN)

    assert make(sleep=respond).get().value == TOKEN
    assert requested == []


def test_a_task_that_waits_for_atlas_looks_at_the_store_again_before_it_requests(make, store, names, requested, put):
    def publish(name: str, text: str) -> None:
        if name == names.holder and json.loads(text).get("closed_until"):
            put(TOKEN)

    store.before_write = publish
    assert make(RateLimited(retry_after=30)).get().value == TOKEN
    assert requested == []


def test_a_holder_does_not_request_if_another_task_was_told_to_wait_since_it_looked(make, store, names, clock):
    start = clock.now

    def told(name: str, text: str) -> None:
        if name == names.claim and clock.now == start:
            store.texts[names.holder] = json.dumps({"nonce": None, "closed_until": start + 20})

    store.before_write = told
    assert make().get().issued_at.timestamp() >= start + 20


def test_a_rate_limit_is_waited_for_within_max_wait(make, clock):
    start = clock.now
    assert make(RateLimited(retry_after=60), RateLimited(retry_after=60)).get().value == "token-1"
    assert 120 <= clock.now - start <= 140
    with pytest.raises(RateLimited):
        make(RateLimited(retry_after=60), max_wait=59, store=MemoryStore()).get()


def test_waits_for_a_rate_limit_do_not_use_up_the_tries_after_an_error_inside_atlas(make):
    limited, failed = RateLimited(retry_after=1), ServerError(status=500)
    assert make(*[limited] * 5, failed, limited, failed, failed).get().value == "token-1"
    with pytest.raises(ServerError):
        make(failed, failed, failed, failed, store=MemoryStore()).get()


def test_a_final_error_is_raised_and_frees_the_claim(make):
    with pytest.raises(InvalidClient):
        make(InvalidClient()).get()
    assert make().get().value == "token-1"


@pytest.mark.parametrize(("killed", "seconds"), [("candidate", STALE), ("holder", HOLD)])
def test_a_killed_task_is_waited_for_as_long_as_it_may_have_been_busy(make, clock, left_by, killed, seconds):
    left_by(killed)
    start = clock.now
    assert make().get().value == "token-1"
    assert seconds <= clock.now - start < seconds + LAST_POLL + PAUSE


def test_waits_for_other_tasks_are_told_once_each_and_an_error_says_how_long_they_were(
    make, store, names, clock, caplog, left_by
):
    caplog.set_level("INFO")
    left_by("candidate")
    store.texts[names.holder] = json.dumps({"closed_until": clock.now + 20})
    with pytest.raises(RateLimited) as caught:
        make(RateLimited(retry_after=60), max_wait=45).get()
    assert caught.value.waited == pytest.approx(sum(clock.slept)) == pytest.approx(30, abs=2)
    assert caplog.text.count("Waiting 20.0 s, as another task was told to wait for Atlas.") == 1
    assert caplog.text.count("Waiting for another task") == 1


def test_a_new_secret_notices_at_once_and_the_old_token_is_not_used(make, another_secret, caplog):
    caplog.set_level("INFO")
    make().get()
    assert make(account=another_secret).get().value == "token-2"
    assert caplog.text.count("does not open") == 1
    assert make(account=another_secret).get().value == "token-2"


def test_two_valid_secrets_do_not_take_each_other_s_token_away(make, another_secret):
    for _ in range(20):
        assert make().get().value == "token-1"
        assert make(account=another_secret).get().value == "token-2"
    make().publish()
    assert make(account=another_secret).get().value == "token-2"
    assert {token.value for token in make().read().superseded} == {"token-1"}


def test_what_another_secret_sealed_is_let_go_once_it_has_expired(make, another_secret, clock):
    make().get()
    clock.now += 2 * 3600
    make(account=another_secret).get()
    assert make(account=another_secret).read().foreign == ()


def test_a_fleet_that_must_not_wait_requests_once_and_takes_the_response_for_all(make):
    outcomes = []
    for _ in range(30):
        with pytest.raises(RateLimited) as caught:
            make(RateLimited(retry_after=60), max_wait=20).get()
        outcomes.append(str(caught.value))
    assert [outcome for outcome in outcomes if "nother task" not in outcome] == outcomes[:1]


@pytest.mark.parametrize("killed", ["candidate", "holder"])
def test_behind_a_killed_task_one_that_must_not_wait_still_requests_in_turn(make, left_by, killed):
    left_by(killed)
    assert make(max_wait=0).get().value == "token-1"
    assert make(max_wait=0).get().value == "token-1"


@pytest.mark.parametrize("max_wait", [0, 30])
def test_holders_that_never_end_are_waited_for_by_one_request_longer_than_max_wait(make, store, names, clock, max_wait):
    start = clock.now

    def go_on(seconds: float) -> None:
        clock.sleep(seconds)
        store.texts[names.holder] = json.dumps({"nonce": str(clock.now), "seconds": HOLD})

    go_on(0)
    with pytest.raises(RateLimited, match="was not ready in time"):
        make(max_wait=max_wait, sleep=go_on).get()
    assert max_wait + HOLD <= clock.now - start <= max_wait + HOLD + FIRST_POLL


def test_a_task_that_waits_calls_the_store_twice_a_second_at_first_and_less_later(make, store, clock, put):
    tasks, calls = Tasks(), Counter()
    start = tasks()
    waiting = MemoryStore()
    waiting.texts = store.texts
    waiting.step = lambda: calls.update([int(tasks() - start) // 10])

    def wait():
        tasks.sleep(2)
        make(store=waiting, clock=tasks).get()

    assert tasks.run(make(clock=tasks, takes=HOLD - 1).get, wait)
    each_ten_seconds = [calls[span] / 2 for span in range(6)]  # each call has two steps
    assert each_ten_seconds[0] <= 2 * 8
    assert max(each_ten_seconds[1:]) <= 6
    assert sum(each_ten_seconds) <= 40


# -- many tasks at once ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("minutes", [None, 56, 61], ids=["cold", "advisory", "mandatory"])
@pytest.mark.parametrize("gap", [0.0, 0.01, 0.2])
@pytest.mark.parametrize("takes", [1.0, 25.0])
def test_tasks_whose_writes_collide_request_one_token(make, store, requested, revoked, minutes, gap, takes):
    tasks = Tasks()
    if minutes is not None:
        tasks.run(make(clock=tasks).get)
        tasks.now += minutes * 60
    store.colliding = True
    store.step = lambda: tasks.sleep(0.02)

    def work(number):
        tasks.sleep(number * gap)
        return make(clock=tasks, takes=takes).get().value

    got = tasks.run(*(partial(work, number) for number in range(8)))
    assert len(requested) == (1 if minutes is None else 2)
    assert set(got) <= {token.value for token in requested}
    assert revoked == []


def test_a_response_that_takes_a_minute_causes_no_second_request(make, requested):
    tasks = Tasks()
    got = tasks.run(*(make(clock=tasks, takes=HOLD - 1).get for _ in range(6)))
    assert {token.value for token in got} == {"token-1"}
    assert len(requested) == 1


@pytest.mark.parametrize("seconds", [0.9, 5, 30])
@pytest.mark.parametrize("step", range(34))
def test_a_store_call_that_stalls_loses_no_token(make, store, requested, revoked, step, seconds):
    tasks = Tasks()
    stalling = StepsOf(store, step, partial(tasks.sleep, seconds))
    got = tasks.run(
        make(clock=tasks, store=stalling, takes=1).get,
        *(make(clock=tasks, takes=1).get for _ in range(3)),
    )
    shared = make(clock=tasks)
    assert {token.value for token in requested} == {*revoked, *values(shared)}
    assert {token.value for token in got} <= set(values(shared))
    assert len(requested) - len(revoked) == 1


# -- a holder that took longer than it stated ------------------------------------------------------------------------


def test_a_holder_that_was_overtaken_gives_its_token_back_and_takes_the_other_one(make, requested, revoked):
    tasks = Tasks()

    def work_later():
        tasks.sleep(1)
        return make(clock=tasks).get()

    slow, other = tasks.run(make(clock=tasks, takes=HOLD + 40).get, work_later)
    assert slow.value == other.value == "token-1"  # requested by the other, while the slow one still waited
    assert revoked == ["token-2"]
    assert values(make(clock=tasks)) == ["token-1"]


def test_a_holder_that_was_too_slow_tries_again_while_max_wait_lasts(make, clock, requested, revoked):
    start = clock.now
    assert make(takes=HOLD + 1, max_wait=200).get().value == "token-4"
    assert revoked == ["token-1", "token-2", "token-3"]
    assert clock.now - start <= 200 + HOLD + 5


def test_a_holder_that_is_always_too_slow_keeps_its_last_token_with_a_warning(make, clock, revoked, caplog):
    assert make(takes=HOLD + 1, max_wait=0).get().value == "token-1"
    assert revoked == []
    assert "stays its own" in caplog.text
    assert "not stored in time" in caplog.text


def test_a_rotation_that_is_always_too_slow_is_an_error_and_leaves_no_token(make, requested, revoked):
    with pytest.raises(StoreUnavailable, match="not stored in time"):
        make(takes=HOLD + 1, max_wait=100).publish()
    assert revoked == [token.value for token in requested] != []


def test_a_renewal_that_is_too_slow_gives_its_token_back_once_and_the_old_one_stays_in_use(make, clock, revoked):
    make().get()
    clock.now += 56 * 60
    assert make(takes=HOLD + 1).get().value == "token-1"
    assert revoked == ["token-2"]


# -- reads that fail as "not found" ----------------------------------------------------------------------------------


@pytest.mark.parametrize("number", range(12))
@pytest.mark.parametrize("change", ["get", "publish"])
def test_a_read_that_fails_as_not_found_erases_no_superseded_token(
    make, store, clock, requested, revoked, change, number
):
    make().get()
    make().publish()
    clock.now += 56 * 60
    store.calls.clear()

    def step():
        store.missed.clear()
        if [call for call, _ in store.calls].count("read") == number + 1:
            store.missed[store.calls[-1][1]] = 1

    store.step = step
    getattr(make(), change)()
    store.step = lambda: None
    assert {*values(make()), *revoked} == {token.value for token in requested}
    assert {"token-1", "token-2"} <= set(values(make()))


# -- a hidden Variable -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hidden", ["token", "claim", "holder"])
@pytest.mark.parametrize("text", [None, "", "by hand"])
def test_behind_a_hidden_variable_a_task_keeps_a_token_of_its_own(
    make, store, names, requested, revoked, caplog, hidden, text
):
    store.hidden[getattr(names, hidden)] = text
    shared = make()
    assert shared.get().value == "token-1"
    assert (len(requested), shared.generated, revoked) == (1, True, [])
    assert f"{getattr(names, hidden)} does not keep what is written: an environment variable or a" in caplog.text


@pytest.mark.parametrize("hidden", ["token", "claim", "holder"])
def test_a_rotation_of_a_hidden_variable_is_an_error_and_leaves_no_token(
    make, store, names, requested, revoked, hidden
):
    store.hidden[getattr(names, hidden)] = ""
    with pytest.raises(StoreUnavailable, match="does not keep"):
        make().publish()
    assert revoked == [token.value for token in requested]


# -- the end of a task -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("change", ["get", "publish", "replace"])
@pytest.mark.parametrize("step", range(38))
def test_a_task_that_ends_in_a_store_call_leaves_its_token_revoked_or_stored(
    make, store, clock, requested, revoked, change, step
):
    def end():
        raise Ended

    first = make().get() if change == "replace" else None
    ending = StepsOf(store, step, end)
    shared = make(store=ending)
    call = {"get": shared.get, "publish": shared.publish, "replace": lambda: shared.replace(first, True)}[change]
    try:
        call()
    except Ended:
        assert {token.value for token in requested} == {*revoked, *values(make())}
    else:
        assert next(ending._steps) <= step  # it has fewer steps
        assert step > 28
    start = clock.now
    make(max_wait=0).publish()
    assert clock.now - start <= HOLD + LAST_POLL + PAUSE


@pytest.mark.parametrize("trouble", [None, "down", "read_only"])
def test_a_task_that_ends_during_its_request_leaves_its_token_revoked_and_the_claim_free(
    make, account, store, clock, revoked, trouble
):
    def generate(generated):
        now = datetime.fromtimestamp(clock(), UTC)
        generated.append(AccessToken(TOKEN, "Bearer", now, now + timedelta(hours=1)))
        raise Ended

    if trouble is not None:
        setattr(store, trouble, True)
    shared = SharedToken(
        account,
        store,
        generate,
        lambda token: revoked.append(token.value),
        300,
        clock=clock,
        monotonic=clock,
        sleep=clock.sleep,
    )
    with pytest.raises(Ended):
        shared.get()
    assert (revoked, shared.generated) == ([TOKEN], False)
    start = clock.now
    make().get()
    assert clock.now - start <= PAUSE


# -- a refusal by Atlas ----------------------------------------------------------------------------------------------


def test_a_refusal_follows_the_store_before_it_requests(make, requested):
    old = make().get()
    make().publish()
    assert make().replace(old, True).value == "token-2"
    assert len(requested) == 2


def test_a_refusal_requests_where_the_store_has_no_other(make):
    old = make().get()
    assert make().replace(old, True).value == "token-2"
    assert make().get().value == "token-2"


def test_refusals_request_once_a_minute_for_the_whole_deployment(make, clock):
    token = make().get()
    token = make().replace(token, True)
    assert [make().replace(token, True) for _ in range(5)] == [None] * 5
    clock.now += 60
    assert make().replace(token, True).value == "token-3"


@pytest.mark.parametrize("offset", [-300.0, 300.0])
def test_clocks_that_differ_by_minutes_cost_one_more_token_at_most(make, offset, requested):
    token = make().get()
    for turn in range(20):
        token = make(offset=offset if turn % 2 else 0.0).replace(token, True) or token
    assert len(requested) <= 3


@pytest.mark.parametrize("offset", [-240.0, 240.0, 900.0])
def test_workers_whose_clocks_differ_share_a_token_all_the_same(make, offset, requested):
    make().get()
    for _ in range(5):
        make(offset=offset).get()
        make().get()
    assert len(requested) == 1


def test_with_the_store_down_a_refusal_may_request_for_itself_if_it_may_at_all(make, store):
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


def test_a_rotation_that_ended_before_revoking_is_finished_by_the_next(make):
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


def given(clock):
    now = datetime.fromtimestamp(clock(), UTC)
    return AccessToken(TOKEN, "Bearer", now, now + timedelta(hours=1))


@pytest.mark.parametrize("trouble", ["down", "read_only"])
def test_a_rotation_that_cannot_publish_is_an_error_and_gives_its_token_back(make, store, clock, revoked, trouble):
    setattr(store, trouble, True)
    with pytest.raises(StoreUnavailable):
        make().publish()
    assert revoked == []  # none was requested
    with pytest.raises(StoreUnavailable):
        make().publish(given(clock))
    assert revoked == [TOKEN]


def test_a_rotation_whose_last_write_fails_is_an_error_and_gives_its_token_back(make, store, names, clock, revoked):
    def fail(name: str, text: str) -> None:
        if name == names.token:
            raise StoreUnavailable

    store.before_write = fail
    with pytest.raises(StoreUnavailable):
        make().publish()
    with pytest.raises(StoreUnavailable):
        make().publish(given(clock))
    assert revoked == ["token-1", TOKEN]


def test_a_rotation_with_its_token_waits_for_another_task_until_max_wait(make, store, names, clock, left_by, revoked):
    left_by("holder")
    token, _ = make(max_wait=30).publish(given(clock))
    assert make().get() == token
    assert revoked == []


def test_forgetting_the_token_itself_empties_its_place(make):
    token = make().get()
    make().forget([token.value])
    assert make().read().token is None


def test_forgetting_what_is_not_there_takes_no_claim(make, store, clock, left_by):
    make().get()
    left_by("holder")
    store.calls.clear()
    clock.slept.clear()
    make().forget(["unknown"])
    assert ([call for call, _ in store.calls], clock.slept) == (["read"], [])


def test_dissolving_revokes_everything_and_leaves_no_variable(make, store):
    make().get()
    make().publish()
    gone = []
    assert make().dissolve(gone.append) == 2
    assert {token.value for token in gone} == {"token-1", "token-2"}
    assert store.texts == {}
    assert make().dissolve(gone.append) == 0


def test_dissolving_keeps_the_other_secret_s_tokens(make, another_secret, requested):
    make().get()
    make(account=another_secret).get()
    gone = []
    assert make().dissolve(gone.append) == 1
    assert [token.value for token in gone] == ["token-1"]
    assert make(account=another_secret).get().value == "token-2"
    assert len(requested) == 2


@pytest.mark.parametrize("failing", ["token-1", "token-2", "token-3"])
def test_a_revocation_that_fails_leaves_no_other_untried(make, failing):
    make().get()
    make().publish()
    make().publish()
    tried = []

    def revoke(token):
        tried.append(token.value)
        if token.value == failing:
            raise ServerError(status=500)

    with pytest.raises(ServerError):
        make().dissolve(revoke)
    assert set(tried) == {"token-1", "token-2", "token-3"}
    assert values(make()) == [failing]


@pytest.mark.parametrize("number", range(8))
def test_a_read_that_fails_as_not_found_hides_no_token_from_decommissioning(make, store, names, number):
    make().get()
    make().publish()
    gone, reads = [], []

    def step():
        store.missed.clear()
        if store.calls[-1] == ("read", names.token) and store.calls not in reads:
            reads.append(list(store.calls))
            if len(reads) == number + 1:
                store.missed[names.token] = 1

    store.step = step
    assert make().dissolve(gone.append) == 2
    assert (len(gone), store.texts) == (2, {})


def test_a_token_that_is_stored_while_the_last_one_is_removed_stays(make, store, names, clock, put):
    make().get()

    def revoke(token):
        clock.sleep(HOLD)  # another task is the holder by now
        put("another")

    make().dissolve(revoke)
    assert values(make()) == ["another"]


def test_changes_wait_for_their_turn(make, clock, left_by):
    make().get()
    left_by("candidate")
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
        {"tokens": [["atlas-sealed:2:newer", 1e300, True], [None, 1, 1]]},
    ],
    ids=lambda text: repr(text)[:60],
)
def test_a_variable_that_nobody_can_read_is_a_miss_with_one_warning(
    make, account, store, names, text, caplog, says_nothing
):
    store.texts[names.token] = text if isinstance(text, str) else stored(account, **text)
    assert make().get().value == "token-1"
    assert len([record for record in caplog.records if record.levelname == "WARNING"]) == 1
    says_nothing(None)
    assert make().get().value == "token-1"


def test_what_looks_as_if_another_secret_sealed_it_is_a_miss_without_a_warning(make, account, store, names, caplog):
    caplog.set_level("INFO")
    store.texts[names.token] = stored(account, tokens=[["atlas-sealed:1:damaged", 1_800_003_600, True]])
    assert make().get().value == "token-1"
    (record,) = [record for record in caplog.records if "does not open" in record.message]
    assert record.levelname == "INFO"


def test_a_missing_variable_is_a_miss_without_a_warning(make, caplog):
    make().get()
    assert caplog.text == ""


@pytest.mark.parametrize("trouble", ["down", "read_only"])
def test_a_store_that_fails_costs_a_token_of_the_task_s_own_and_a_warning(make, store, trouble, caplog):
    setattr(store, trouble, True)
    shared = make()
    assert (shared.get().value, shared.get().value) == ("token-1", "token-2")
    assert caplog.text.count("requests an Atlas token of its own") == 1


def test_a_store_that_fails_once_the_token_is_there_does_not_cost_another(make, store, names, requested, caplog):
    def fail(name: str, text: str) -> None:
        if name == names.token:
            store.down = True
            raise StoreUnavailable

    store.before_write = fail
    assert make().get().value == "token-1"
    assert len(requested) == 1
    assert "stays its own" in caplog.text


def test_contents_come_back_as_they_were(account):
    now = datetime.fromtimestamp(1_800_000_000, UTC)
    tokens = [AccessToken(f"t{n}", "Bearer", now, now + timedelta(hours=1)) for n in range(3)]
    content = Content(tokens[0], tuple(tokens[1:]), 17.0)
    assert decode(account, encode(account, content), "name", 1_800_000_000) == content
