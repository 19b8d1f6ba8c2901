"""How long to wait: Retry-After first, then the stated window, then exponential; clamped, with a spread on top."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from airflow_provider_atlas import exceptions as errors
from airflow_provider_atlas.oauth.retry_after import LONGEST_WAIT, Backoff, retry_after, seconds_to_wait, stated_limit

DATE = "Wed, 21 Oct 2026 07:28:00 GMT"


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None),
        ({"Retry-After": ""}, None),
        ({"Retry-After": "17"}, 17.0),
        ({"Retry-After": " 1.5 "}, 1.5),
        ({"Retry-After": "0"}, 0.0),
        ({"Retry-After": "-5"}, 0.0),
        ({"Retry-After": "999999999"}, LONGEST_WAIT),
        ({"Retry-After": "inf"}, LONGEST_WAIT),
        ({"Retry-After": "nan"}, None),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "Wed, 21 Oct 2026 07:28:42 GMT", "Date": DATE}, 42.0),
        ({"Retry-After": "Wed, 21 Oct 2026 07:27:00 GMT", "Date": DATE}, 0.0),
        ({"Retry-After": "Wed, 21 Oct 2099 07:27:00 GMT", "Date": DATE}, LONGEST_WAIT),
        ({"Retry-After": "Wed, 21 Oct 2026 07:28:42 -0000", "Date": DATE}, 42.0),
        ({"Retry-After": "Wed, 99 Oct 999999 07:27:00 GMT", "Date": DATE}, None),
    ],
)
def test_retry_after_is_read_as_seconds_or_as_a_date(headers, expected):
    assert retry_after(headers) == expected


@pytest.mark.parametrize("date", [{}, {"Date": "garbage"}])
def test_a_date_is_held_against_our_clock_if_the_answer_has_none_that_can_be_read(date):
    in_a_minute = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    assert retry_after({"Retry-After": in_a_minute, **date}) == pytest.approx(60, abs=5)


@pytest.mark.parametrize("seconds", [1e300, float("inf"), 10**400])
def test_no_error_makes_anybody_wait_longer_than_the_longest_wait_and_its_spread(seconds):
    assert LONGEST_WAIT <= seconds_to_wait(errors.RateLimited(retry_after=seconds), 1) <= LONGEST_WAIT * 1.1


@pytest.mark.parametrize("value", ["-5", "999999999"])
def test_a_clamped_value_is_logged(value, caplog):
    retry_after({"Retry-After": value})
    assert "taken as" in caplog.text


@pytest.mark.parametrize(
    ("description", "parameters", "expected"),
    [
        ("Resource /api/oauth/token is limited to 10 requests every 1 minutes.", None, (10, 60.0)),
        ("Resource x is limited to 50 requests every 2 minutes.", None, (50, 120.0)),
        ("Resource x is limited to 10 requests every 0.1 minutes.", None, (10, 6.0)),
        ("is limited to 1 request every 30 seconds", None, (1, 30.0)),
        ("is limited to 5 requests every 1 hour", None, (5, 3600.0)),
        ("nothing known", ["/api/oauth/token", 10, 1], (10, 60.0)),
        ("is limited to 50 requests every 1 minutes", ["/api/oauth/token", 10, 0.5], (10, 30.0)),
        ("is limited to 10 requests every 1 minutes", ["/x", "10", 1], (10, 60.0)),
        (None, ["/x", True, 1], (None, None)),
        (None, ["/x", 10, float("nan")], (None, None)),
        (None, ["/x", 0, 1], (None, None)),
        (None, ["/x", 10], (None, None)),
        ("is limited to 0 requests every 1 minutes", None, (None, None)),
        ("is limited to 10 requests every 99999 hours", None, (None, None)),
        (None, None, (None, None)),
    ],
)
def test_the_limit_is_read_from_either_shape(description, parameters, expected):
    assert stated_limit(description, parameters) == expected


@pytest.mark.parametrize(
    ("error", "attempt", "at_least", "at_most"),
    [
        (errors.RateLimited(retry_after=7, window=60.0), 1, 7, 8),
        (errors.RateLimited(retry_after=100), 1, 100, 110),
        (errors.RateLimited(retry_after=0, window=60.0), 1, 1, 2),
        (errors.RateLimited(window=60.0), 1, 60, 66),
        (errors.RateLimited(), 1, 1, 2),
        (errors.RateLimited(), 4, 8, 9),
        (errors.RateLimited(), 2000, 60, 66),
        (errors.ServiceUnavailable(retry_after=20), 1, 20, 22),
        (errors.ServiceUnavailable(), 2, 2, 3),
        (errors.ServerError(), 3, 4, 5),
        (errors.AtlasUnreachable(), 1, 1, 2),
    ],
)
def test_waits_follow_the_answer_with_a_spread_on_top(error, attempt, at_least, at_most):
    waits = {seconds_to_wait(error, attempt) for _ in range(50)}
    assert at_least <= min(waits) < max(waits) <= at_most


@pytest.mark.parametrize(
    ("error", "attempt", "at_least", "at_most"),
    [
        (errors.TokenLimitReached(), 1, 60, 66),
        (errors.TokenLimitReached(), 3, 240, 264),
        (errors.TokenLimitReached(), 9, 480, 528),
        (errors.RateLimited(window=60.0), 1, 30, 33),
        (errors.RateLimited(window=6.0), 1, 6, 7),
        (errors.RateLimited(retry_after=60, window=6.0), 1, 60, 66),
        (errors.AtlasUnreachable(), 1, 1, 2),
    ],
)
def test_a_wait_that_costs_no_worker_includes_the_cap_and_probes_windows(error, attempt, at_least, at_most):
    waits = {seconds_to_wait(error, attempt, deferred=True) for _ in range(50)}
    assert at_least <= min(waits) < max(waits) <= at_most


@pytest.mark.parametrize("error", [errors.InvalidClient(), errors.AccessDenied(), errors.UnexpectedResponse()])
def test_a_deferred_wait_does_not_cure_more_than_that(error):
    assert seconds_to_wait(error, 1, deferred=True) is None


@pytest.mark.parametrize(
    ("error", "attempt"),
    [
        (errors.InvalidClient(), 1),
        (errors.InvalidRequest(), 1),
        (errors.UnsupportedGrantType(), 1),
        (errors.InvalidGrant(), 1),
        (errors.AccessDenied(), 1),
        (errors.TokenLimitReached(), 1),
        (errors.CertificateRefused(), 1),
        (errors.UnexpectedResponse(), 1),
        (ValueError(), 1),
    ],
)
def test_what_waiting_does_not_cure_is_not_waited_for(error, attempt):
    assert seconds_to_wait(error, attempt) is None


LIMITED, FAILED = errors.RateLimited(retry_after=1), errors.ServerError(status=500)
NOT_FOUND, UNREACHABLE = errors.ConnectionNotFound(), errors.AtlasUnreachable()


@pytest.mark.parametrize(
    "failures",
    [
        [FAILED] * 4,
        [LIMITED] * 9 + [FAILED] * 4,
        [FAILED, LIMITED, FAILED, LIMITED, FAILED, LIMITED, FAILED],
        [FAILED, FAILED, FAILED, NOT_FOUND, UNREACHABLE, LIMITED, FAILED],
        [NOT_FOUND] * 4,
        [UNREACHABLE] * 50 + [NOT_FOUND] * 4,
        [LIMITED, errors.InvalidClient()],
        [LIMITED, errors.TokenLimitReached()],
    ],
)
def test_failures_are_counted_by_kind_and_only_the_last_of_these_is_not_waited_for(failures):
    backoff = Backoff()
    waits = [backoff.seconds(error) for error in failures]
    assert None not in waits[:-1]
    assert waits[-1] is None


@pytest.mark.parametrize("failures", [[LIMITED] * 100, [UNREACHABLE] * 100, [errors.ServiceUnavailable()] * 100])
def test_what_passes_by_itself_is_waited_for_without_an_end(failures):
    backoff = Backoff()
    assert None not in [backoff.seconds(error) for error in failures]


def test_waits_of_one_kind_do_not_lengthen_those_of_another():
    backoff = Backoff()
    for _ in range(9):
        backoff.seconds(errors.AtlasUnreachable())
    assert backoff.seconds(errors.AtlasUnreachable()) >= 60
    assert backoff.seconds(FAILED) <= 2


def test_only_a_deferred_backoff_waits_for_the_cap():
    assert Backoff().seconds(errors.TokenLimitReached()) is None
    assert 60 <= Backoff(deferred=True).seconds(errors.TokenLimitReached()) <= 66
