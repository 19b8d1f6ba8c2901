"""A worker waits as long as max_wait allows, and not a second longer than is of use."""

from __future__ import annotations

import pytest

from airflow_provider_atlas import exceptions as errors
from airflow_provider_atlas.oauth.retry import call_with_retry


def answers(*outcomes):
    """A call that raises or returns one outcome after another."""
    waiting = iter(outcomes)

    def call():
        outcome = next(waiting)
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    return call


def test_it_waits_until_atlas_answers(clock):
    call = answers(errors.RateLimited(retry_after=30), errors.ServiceUnavailable(retry_after=10), "token")
    assert call_with_retry(call, 300, clock=clock, sleep=clock.sleep) == "token"
    assert [30 <= clock.slept[0] <= 33, 10 <= clock.slept[1] <= 11] == [True, True]


def test_waits_for_429_do_not_use_up_the_tries_of_a_later_500(clock):
    limited, failed = errors.RateLimited(retry_after=1), errors.ServerError(status=500)
    call = answers(*[limited] * 5, failed, failed, limited, failed, "token")
    assert call_with_retry(call, 300, clock=clock, sleep=clock.sleep) == "token"
    with pytest.raises(errors.ServerError):
        call_with_retry(answers(limited, failed, failed, failed, failed, "late"), 300, clock=clock, sleep=clock.sleep)


def test_it_never_adds_a_backoff_to_what_atlas_said(clock):
    call = answers(*[errors.RateLimited(retry_after=20)] * 5, "token")
    call_with_retry(call, 300, clock=clock, sleep=clock.sleep)
    assert all(20 <= wait <= 22 for wait in clock.slept)


def test_a_wait_that_goes_beyond_max_wait_is_not_begun(clock):
    with pytest.raises(errors.RateLimited):
        call_with_retry(answers(errors.RateLimited(retry_after=301)), 300, clock=clock, sleep=clock.sleep)
    assert clock.slept == []


def test_waits_add_up_to_max_wait_at_most(clock):
    start = clock.now
    with pytest.raises(errors.AtlasUnreachable):
        call_with_retry(answers(*[errors.AtlasUnreachable()] * 99), 300, clock=clock, sleep=clock.sleep)
    assert 200 < clock.now - start <= 300


def test_a_max_wait_of_zero_raises_at_once(clock):
    with pytest.raises(errors.RateLimited):
        call_with_retry(answers(errors.RateLimited(retry_after=0)), 0, clock=clock, sleep=clock.sleep)
    assert clock.slept == []


@pytest.mark.parametrize("error", [errors.InvalidClient(), errors.TokenLimitReached(), ZeroDivisionError()])
def test_other_errors_end_it(error, clock):
    with pytest.raises(type(error)):
        call_with_retry(answers(error, "never"), 300, clock=clock, sleep=clock.sleep)


def test_each_wait_is_told_before_it_begins(clock):
    told = []
    error = errors.RateLimited(retry_after=30)
    call = answers(error, 1)
    call_with_retry(call, 300, on_wait=lambda *wait: told.append((*wait, clock.now)), clock=clock, sleep=clock.sleep)
    assert told == [(error, clock.slept[0], clock.now - clock.slept[0])]


def test_who_gives_up_says_for_how_long_they_waited(clock):
    with pytest.raises(errors.AtlasUnreachable, match=r"Waited \d+ s in all") as caught:
        call_with_retry(answers(*[errors.AtlasUnreachable()] * 99), 300, clock=clock, sleep=clock.sleep)
    assert caught.value.waited == pytest.approx(sum(clock.slept))
    with pytest.raises(errors.AtlasUnreachable) as caught:
        call_with_retry(answers(errors.AtlasUnreachable()), 0, clock=clock, sleep=clock.sleep)
    assert caught.value.waited is None
    assert "Waited" not in str(caught.value)
