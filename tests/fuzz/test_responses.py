"""Responses from Atlas or from another server in its place: any status, any headers, any bytes."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from email.utils import format_datetime
from unittest import mock

import requests
from hypothesis import assume, example, given
from hypothesis import strategies as st

from airflow_provider_atlas import exceptions as errors
from airflow_provider_atlas.api.codes import api_error
from airflow_provider_atlas.api.obstacles import limit_of, obstacle
from airflow_provider_atlas.exceptions import AtlasApiError, RateLimited
from airflow_provider_atlas.oauth.client import TokenClient
from airflow_provider_atlas.oauth.responses import LONGEST_DESCRIPTION, LONGEST_LIFETIME, json_object
from airflow_provider_atlas.oauth.retry_after import LONGEST_WAIT, retry_after, seconds_to_wait, stated_limit
from airflow_provider_atlas.oauth.token import AccessToken
from tests.conftest import CLIENT_SECRET, TOKEN
from tests.fuzz.properties import (
    ACCOUNT,
    NOW,
    any_text,
    as_json,
    broken_json,
    json_values,
    numbers,
    result_or_typed_error,
    scalars,
    words,
)

statuses = st.one_of(
    st.sampled_from([200, 200, 200, 204, 301, 400, 401, 403, 404, 429, 500, 503]), st.integers(100, 599)
)
codes = st.sampled_from(
    ["invalid_request", "unsupported_grant_type", "invalid_grant", "access_denied", "IP_ADDRESS_NOT_ON_ACCESS_LIST"]
)
descriptions = st.one_of(
    words,
    st.just("The token limit is reached"),
    st.builds("limited to {} requests every {} minutes".format, st.integers(), st.integers() | st.floats()),
)
refusals = st.fixed_dictionaries(
    {},
    optional={
        "error": codes | json_values | words,
        "error_description": descriptions | json_values,
        "errorCode": codes | json_values | words,
        "detail": descriptions | json_values,
        "reason": words | json_values,
        "parameters": st.lists(scalars | words, max_size=5) | json_values,
        "badRequestDetail": json_values
        | st.fixed_dictionaries(
            {"fields": st.lists(st.dictionaries(st.sampled_from(["field", "description"]), words))}
        ),
        "status": numbers,
    },
)
token_bodies = st.fixed_dictionaries(
    {},
    optional={
        "access_token": any_text | st.just(TOKEN) | json_values,
        "token_type": st.sampled_from(["Bearer", "bearer", "mac"]) | json_values,
        "expires_in": st.integers(1, 3600) | numbers | json_values,
    },
)
good_token_bodies = st.fixed_dictionaries(
    {
        "access_token": st.text(st.characters(min_codepoint=33, max_codepoint=126)).map("eyJ.{}".format),
        "token_type": st.sampled_from(["Bearer", "bearer", "BEARER"]),
        "expires_in": st.integers(1, LONGEST_LIFETIME) | st.floats(1, LONGEST_LIFETIME),
    }
)
objects = st.one_of(token_bodies, good_token_bodies, refusals, json_values)
enveloped = st.fixed_dictionaries({"status": statuses | numbers, "content": objects})
bodies = st.one_of(broken_json, (objects | enveloped).map(lambda value: as_json(value).encode()))
dates = st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31), timezones=st.just(UTC)).map(
    lambda moment: format_datetime(moment, usegmt=True)
)
header_values = st.one_of(
    any_text,
    dates,
    numbers.map(repr),
    st.sampled_from(["0", "17", "1e999", "-0.5", "9" * 5000, "Wed, 21 Oct 2026 07:28:00 +9999", "1 Jan 1 0:0:0 -9959"]),
)
headers = st.dictionaries(st.sampled_from(["Retry-After", "Date", "RateLimit-Limit"]), header_values)


def respond(status: int, headers: dict[str, str], body: bytes) -> requests.Response:
    response = requests.Response()
    response.status_code, response._content = status, body
    response.headers.update(headers)
    return response


def post(method: str, response: requests.Response, envelope: bool) -> object:
    client = TokenClient(ACCOUNT, clock=lambda: NOW)
    with mock.patch.object(requests.Session, "post", lambda *args, **kwargs: response):
        return client.generate(envelope=envelope) if method == "generate" else client.revoke(TOKEN, envelope=envelope)


@given(st.sampled_from(["generate", "revoke"]), statuses, headers, bodies, st.booleans())
@example("generate", 200, {}, b'{"status": ' + b"9" * 4000 + b', "content": {}}', True)
@example("revoke", 429, {"Retry-After": "9" * 5000}, b"", False)
def test_any_response_becomes_a_token_or_a_typed_error(method, status, headers, body, envelope):
    sent = [CLIENT_SECRET, *([TOKEN] if method == "revoke" else [])]  # the client can only scrub what it sent
    result = result_or_typed_error(lambda: post(method, respond(status, headers, body), envelope), *sent)
    read = json_object(body)
    if envelope and read is not None and type(read.get("status")) is int:
        status, read = read["status"], read.get("content")
    if isinstance(result, errors.AtlasError):
        assert result.status == status
        assert all(len(text or "") <= LONGEST_DESCRIPTION for text in (result.error, result.description))
        assert str(result).isprintable()
        wait = seconds_to_wait(result, 1)
        assert wait is None or 1 <= wait <= LONGEST_WAIT * 1.1
        expected = {401: errors.InvalidClient, 429: errors.RateLimited, 503: errors.ServiceUnavailable}.get(status)
        assert type(result) is expected or (expected is None and not isinstance(result, errors.RetryableResponse))
        assert isinstance(result, errors.ServerError) is (status >= 500 and status != 503)
    else:
        assert status == 200
        if method == "generate":
            assert isinstance(result, AccessToken)
            assert read is not None
            assert result.value == read["access_token"]
            assert 0 <= (result.expires_at - result.issued_at).total_seconds() <= LONGEST_LIFETIME
            assert result.issued_at.timestamp() == NOW


@given(good_token_bodies)
def test_every_documented_token_response_becomes_a_token(fields):
    token = post("generate", respond(200, {}, as_json(fields).encode()), envelope=False)
    assert isinstance(token, AccessToken)
    assert token.value == fields["access_token"]
    assert token.value not in repr(token)
    assert abs(token.expires_at.timestamp() - NOW - fields["expires_in"]) < 1e-3


@given(headers)
@example({"Retry-After": "Wed, 21 Oct 2026 07:28:00 +9999"})
def test_any_retry_after_becomes_a_possible_wait_or_none(headers):
    seconds = result_or_typed_error(lambda: retry_after(headers))
    assert seconds is None or 0 <= seconds <= LONGEST_WAIT


@given(st.integers(0, int(LONGEST_WAIT)), st.datetimes(datetime(1970, 1, 1), datetime(9000, 1, 1)))
def test_retry_after_has_the_same_value_as_seconds_and_as_date(seconds, now):
    date = format_datetime(now.replace(microsecond=0, tzinfo=UTC), usegmt=True)
    later = format_datetime(
        datetime.fromtimestamp(now.replace(microsecond=0, tzinfo=UTC).timestamp() + seconds, UTC), usegmt=True
    )
    assert retry_after({"Retry-After": str(seconds)}) == seconds
    assert retry_after({"Retry-After": later, "Date": date}) == seconds


@given(st.none() | descriptions, json_values | st.lists(numbers | any_text, min_size=3, max_size=3))
def test_a_stated_limit_has_both_limit_and_window_or_neither(description, parameters):
    limit, window = stated_limit(description, parameters)
    assert (limit is None) is (window is None)
    assert limit is None or (limit > 0 and type(limit) is int)
    assert window is None or 0 < window <= LONGEST_WAIT


@given(
    st.integers(1, 10**9 - 1), st.sampled_from([("second", 1), ("minutes", 60), ("hours", 3600)]), st.integers(1, 3600)
)
def test_limit_and_window_are_read_from_the_description(limit, unit, length):
    name, seconds = unit
    assume(length * seconds <= LONGEST_WAIT)
    assert stated_limit(f"Resource x is limited to {limit} requests every {length} {name}.") == (
        limit,
        length * seconds,
    )


@given(statuses, headers, bodies)
@example(429, {"RateLimit-Limit": "9" * 5000}, b"")
@example(429, {}, b'{"parameters": ["/", Infinity, 1, 1, 1]}')
def test_any_refusal_by_the_administration_api_becomes_a_typed_error(status, headers, body):
    response = respond(status, headers, body)
    limit = result_or_typed_error(lambda: limit_of(response))
    read, change = (obstacle(response, reads=reads) for reads in (True, False))
    assert (read is None) or status in (429, 500, 502, 503, 504)
    assert (change is None) or isinstance(change, RateLimited)
    wait = limit.retry_after if limit is not None else None
    assert wait is None or 0 <= wait <= LONGEST_WAIT

    def refuse() -> None:
        raise api_error(status, json_object(body), lambda text: ACCOUNT.scrub(text, TOKEN), wait)

    error = result_or_typed_error(refuse, kind=AtlasApiError)
    assert isinstance(error, AtlasApiError)
    assert error.status == status
    assert isinstance(error.remedy, str)
    seconds = seconds_to_wait(error, 1)
    assert seconds is None or not math.isnan(seconds)
