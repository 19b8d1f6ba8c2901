"""A token in memory: no request while it is fresh; renewal is advisory while it is valid, mandatory after that."""

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
    """The need of each token request, in order."""
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
def test_the_need_for_renewal_depends_on_the_age_of_the_token(minutes, expected, clock, fetch):
    token = fetch(Renewal.MANDATORY)
    assert renewal(token, clock() + minutes * 60) is expected


def test_renewal_is_mandatory_without_a_token():
    assert renewal(None, 0) is Renewal.MANDATORY


def test_a_fresh_token_is_requested_once(clock, fetch, issued):
    cache = TokenCache(clock)
    assert {cache.get(fetch).value for _ in range(10)} == {"token-1"}
    assert issued == [Renewal.MANDATORY]


@pytest.mark.parametrize(("minutes", "need"), [(56, Renewal.ADVISORY), (61, Renewal.MANDATORY)])
def test_a_stale_token_is_renewed_once_and_the_fetcher_gets_the_need(minutes, need, clock, fetch, issued):
    cache = TokenCache(clock)
    cache.get(fetch)
    clock.now += minutes * 60
    assert [cache.get(fetch).value for _ in range(2)] == ["token-2", "token-2"]
    assert issued == [Renewal.MANDATORY, need]


def test_a_failed_renewal_of_a_valid_token_is_a_warning_and_is_retried_after_a_pause(clock, fetch, caplog):
    cache = TokenCache(clock)
    cache.get(fetch)
    clock.now += 56 * 60
    assert cache.get(refuse).value == "token-1"
    assert "could not be renewed yet" in caplog.text
    assert cache.get(fetch).value == "token-1"
    clock.now += PAUSE
    assert cache.get(fetch).value == "token-2"


def test_the_pause_after_a_failed_renewal_ends_when_the_token_expires(clock, fetch):
    cache = TokenCache(clock)
    cache.get(fetch)
    clock.now += 60 * 60 - 1
    cache.get(refuse)
    clock.now += 1
    assert cache.get(fetch).value == "token-2"


def test_an_error_without_a_token_is_raised_and_the_next_call_retries(clock, fetch):
    cache = TokenCache(clock)
    with pytest.raises(RateLimited):
        cache.get(refuse)
    assert cache.get(fetch).value == "token-1"


def test_drop_removes_only_the_refused_token(clock, fetch):
    cache = TokenCache(clock)
    first = cache.get(fetch)
    cache.drop("another")
    assert cache.get(fetch) == first
    cache.drop(first.value)
    second = cache.get(fetch)
    cache.drop(first.value)
    assert cache.get(fetch) == second != first


@pytest.mark.parametrize("outcome", ["token", "error"])
def test_threads_without_a_token_share_one_request_and_its_result(outcome, clock, fetch, issued):
    cache, threads = TokenCache(clock), 16
    requested, respond = threading.Event(), threading.Event()

    def slow(need: Renewal) -> AccessToken:
        requested.set()
        assert respond.wait(10)
        return fetch(need) if outcome == "token" else refuse(issued.append(need) or need)

    def get(_: int) -> str:
        try:
            return cache.get(slow).value
        except RateLimited:
            return "refused"

    with ThreadPoolExecutor(threads) as pool:
        results = [pool.submit(get, number) for number in range(threads)]
        assert requested.wait(10)
        while cache._flight is not None and len(cache._flight._condition._waiters) < threads - 1:
            threading.Event().wait(0.001)  # until all other threads wait for the request
        respond.set()
        assert {result.result() for result in results} == ({"token-1"} if outcome == "token" else {"refused"})
    assert len(issued) == 1


def test_other_threads_use_the_valid_token_while_one_thread_renews_it(clock, fetch):
    cache = TokenCache(clock)
    cache.get(fetch)
    clock.now += 56 * 60
    requested, respond = threading.Event(), threading.Event()

    def slow(need: Renewal) -> AccessToken:
        requested.set()
        assert respond.wait(10)
        return fetch(need)

    with ThreadPoolExecutor(1) as pool:
        renewed = pool.submit(cache.get, slow)
        assert requested.wait(10)
        assert cache.get(fetch).value == "token-1"
        respond.set()
        assert renewed.result().value == "token-2"


def test_a_fresh_token_is_returned_while_the_lock_is_held(clock, fetch):
    cache = TokenCache(clock)
    token = cache.get(fetch)
    with cache._lock:
        assert cache.get(fetch) == token


def test_an_interrupt_is_raised_in_its_thread_and_the_next_call_makes_a_new_request(clock, fetch):
    cache = TokenCache(clock)

    def interrupted(need: Renewal) -> AccessToken:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cache.get(interrupted)
    assert cache.get(fetch).value == "token-1"
