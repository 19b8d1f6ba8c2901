"""One token in memory: fresh ones cost nothing, renewal is advisory while the old one lives and mandatory after."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from airflow_provider_atlas.cache.memory import PAUSE, Renewal, TokenCache, renewal
from airflow_provider_atlas.exceptions import RateLimited
from airflow_provider_atlas.oauth.token import AccessToken


@pytest.fixture
def issued():
    """The needs for which a token was asked, one after another."""
    return []


@pytest.fixture
def fetch(clock, issued):
    def fetch(need: Renewal) -> AccessToken:
        issued.append(need)
        now = datetime.fromtimestamp(clock(), UTC)
        return AccessToken(f"token-{len(issued)}", "Bearer", now, now + timedelta(hours=1))

    return fetch


def refuse(need: Renewal) -> AccessToken:
    raise RateLimited(retry_after=60)


@pytest.mark.parametrize(
    ("minutes", "expected"),
    [
        (0, Renewal.NOT_YET),
        (54.9, Renewal.NOT_YET),
        (55, Renewal.ADVISORY),
        (59.9, Renewal.ADVISORY),
        (60, Renewal.MANDATORY),
        (600, Renewal.MANDATORY),
    ],
)
def test_the_state_of_a_token_follows_from_its_times(minutes, expected, clock, fetch):
    token = fetch(Renewal.MANDATORY)
    assert renewal(token, clock() + minutes * 60) is expected


def test_no_token_has_to_be_replaced():
    assert renewal(None, 0) is Renewal.MANDATORY


def test_a_fresh_token_is_asked_for_once(clock, fetch, issued):
    cache = TokenCache(clock)
    assert {cache.get(fetch).value for _ in range(10)} == {"token-1"}
    assert issued == [Renewal.MANDATORY]


@pytest.mark.parametrize(("minutes", "need"), [(56, Renewal.ADVISORY), (61, Renewal.MANDATORY)])
def test_an_old_token_is_renewed_once_and_the_fetcher_knows_how_urgently(minutes, need, clock, fetch, issued):
    cache = TokenCache(clock)
    cache.get(fetch)
    clock.now += minutes * 60
    assert [cache.get(fetch).value for _ in range(2)] == ["token-2", "token-2"]
    assert issued == [Renewal.MANDATORY, need]


def test_while_the_old_token_lives_a_failed_renewal_is_a_warning_and_is_not_repeated_at_once(clock, fetch, caplog):
    cache = TokenCache(clock)
    cache.get(fetch)
    clock.now += 56 * 60
    assert cache.get(refuse).value == "token-1"
    assert "could not be renewed yet" in caplog.text
    assert cache.get(fetch).value == "token-1"
    clock.now += PAUSE
    assert cache.get(fetch).value == "token-2"


def test_the_pause_after_a_failed_renewal_ends_with_the_token(clock, fetch):
    cache = TokenCache(clock)
    cache.get(fetch)
    clock.now += 60 * 60 - 1
    cache.get(refuse)
    clock.now += 1
    assert cache.get(fetch).value == "token-2"


def test_without_a_token_a_failure_is_raised_and_the_next_call_tries_again(clock, fetch):
    cache = TokenCache(clock)
    with pytest.raises(RateLimited):
        cache.get(refuse)
    assert cache.get(fetch).value == "token-1"


def test_only_the_token_that_was_refused_is_dropped(clock, fetch):
    cache = TokenCache(clock)
    first = cache.get(fetch)
    cache.drop("another")
    assert cache.get(fetch) == first
    cache.drop(first.value)
    second = cache.get(fetch)
    cache.drop(first.value)
    assert cache.get(fetch) == second != first


@pytest.mark.parametrize("outcome", ["token", "error"])
def test_threads_that_find_no_token_share_one_request_and_its_outcome(outcome, clock, fetch, issued):
    cache, threads = TokenCache(clock), 16
    asked, answer = threading.Event(), threading.Event()

    def slow(need: Renewal) -> AccessToken:
        asked.set()
        assert answer.wait(10)
        return fetch(need) if outcome == "token" else refuse(issued.append(need) or need)

    def ask(_: int) -> str:
        try:
            return cache.get(slow).value
        except RateLimited:
            return "refused"

    with ThreadPoolExecutor(threads) as pool:
        results = [pool.submit(ask, number) for number in range(threads)]
        assert asked.wait(10)
        while cache._flight is not None and len(cache._flight._waiters) < threads - 1:
            threading.Event().wait(0.001)  # until all others wait for the one
        answer.set()
        assert {result.result() for result in results} == ({"token-1"} if outcome == "token" else {"refused"})
    assert len(issued) == 1


@pytest.mark.parametrize("call", ["get", "replace"])
def test_a_thread_waits_for_another_one_s_request_no_longer_than_it_may(call, clock, fetch):
    cache, told = TokenCache(clock), []
    refused = fetch(Renewal.MANDATORY)

    def slow(need: Renewal) -> AccessToken:
        with ThreadPoolExecutor(1) as other:  # asks while this request is under way
            ask = {"get": lambda: cache.get(fetch, 0), "replace": lambda: cache.replace(refused, fetch, 0)}[call]
            told.append(other.submit(ask).exception())
        return fetch(need)

    assert cache.get(slow).value == "token-2"
    assert isinstance(told[0], RateLimited)
    assert "max_wait" in str(told[0])


def test_while_one_thread_renews_a_living_token_the_others_go_on_with_it(clock, fetch):
    cache = TokenCache(clock)
    cache.get(fetch)
    clock.now += 56 * 60
    asked, answer = threading.Event(), threading.Event()

    def slow(need: Renewal) -> AccessToken:
        asked.set()
        assert answer.wait(10)
        return fetch(need)

    with ThreadPoolExecutor(1) as pool:
        renewed = pool.submit(cache.get, slow)
        assert asked.wait(10)
        assert cache.get(fetch).value == "token-1"
        answer.set()
        assert renewed.result().value == "token-2"


def test_a_fresh_token_is_handed_out_while_the_lock_is_held(clock, fetch):
    cache = TokenCache(clock)
    token = cache.get(fetch)
    with cache._lock:
        assert cache.get(fetch) == token


def test_an_interrupt_reaches_the_thread_that_it_was_meant_for_and_leaves_no_flight_behind(clock, fetch):
    cache = TokenCache(clock)

    def interrupted(need: Renewal) -> AccessToken:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cache.get(interrupted)
    assert cache.get(fetch).value == "token-1"
