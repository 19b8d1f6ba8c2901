"""Who may use the Administration API, how often, in which version, and the errors for the rest, on a fake clock."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from airflow_provider_atlas.sandbox.administration import administer, negotiate, version_headers
from airflow_provider_atlas.sandbox.requests import AtlasRequest

GROUPS = "/api/atlas/v2/groups"
NOW = datetime(2026, 7, 1, tzinfo=UTC).timestamp()


def accept(date):
    return f"application/vnd.atlas.{date}+json"


ACCEPT = accept("2025-03-12")


def send(state, authorization, path=GROUPS, version=ACCEPT, **more):
    headers = {"authorization": authorization, "accept": version}
    return administer(state, AtlasRequest(path, headers=headers, **more))


def error(response):
    return response.status, response.content["errorCode"], response.content["reason"]


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_active_token_may_read(state, token, scheme):
    response = send(state, f"{scheme} {token}")
    assert response.status == 200
    assert response.headers == {"Content-Type": "application/vnd.atlas.2025-03-12+json;charset=utf-8"}


@pytest.mark.parametrize("authorization", ["", "Bearer", "Bearer nonsense", "Basic {token}", "Bearer {token}x"])
def test_request_without_an_active_token_gets_a_401(state, token, authorization):
    response = send(state, authorization.format(token=token))
    # Atlas sends an empty body to a token that it does not know, and JSON to a request without a token.
    if authorization.startswith("Bearer"):
        assert (response.status, response.content) == (401, None)
    else:
        assert error(response) == (401, "UNEXPECTED_ERROR", "Unauthorized")
    assert response.headers["WWW-Authenticate"].startswith("Digest ")
    assert state.counters.api_unauthorized == 1


def test_expired_or_revoked_token_gets_a_401(state, token, clock):
    other = state.issue("mdb_sa_id_0123456789abcdef01234567", "secret", 3600)
    state.revoke(other)
    clock.now += 3600
    assert [send(state, f"Bearer {value}").status for value in (token, other)] == [401, 401]


@pytest.mark.parametrize("code", ["USER_UNAUTHORIZED", "USER_CANNOT_ACCESS_GROUP", "", "NEW_IN_ATLAS"])
def test_account_without_rights_gets_a_401_with_its_own_code(state, code):
    client_id, secret = state.add_account(rights=False, error_code=code)
    response = send(state, f"Bearer {state.issue(client_id, secret, 3600)}")
    assert error(response) == (401, code, "Unauthorized")
    assert state.counters.api_unauthorized == 1


def test_403_for_the_ip_access_list_names_the_address(state, token):
    state.ip_denied = True
    response = send(state, f"Bearer {token}", address="127.0.0.9")
    assert error(response) == (403, "IP_ADDRESS_NOT_ON_ACCESS_LIST", "Forbidden")
    assert response.content["parameters"] == ["127.0.0.9"]


@pytest.mark.parametrize(
    ("path", "version", "status"),
    [(GROUPS, "application/json", 406), (GROUPS, ACCEPT.replace("2025", "2020"), 410), (f"{GROUPS}/x", ACCEPT, 404)],
)
def test_error_has_no_version_headers(state, token, path, version, status):
    response = send(state, f"Bearer {token}", path, version)
    assert (response.status, response.content["error"], response.headers) == (status, status, {})


def test_response_shows_the_bucket_s_level_and_an_empty_bucket_s_wait(state, token):
    state.api_rate_limit, state.api_refill, state.api_refill_seconds = 2, 1, 2.5
    responses = [send(state, f"Bearer {token}") for _ in range(3)]
    assert [response.headers["RateLimit-Remaining"] for response in responses] == ["1", "0", "0"]
    assert {response.headers["RateLimit-Limit"] for response in responses} == {"2"}
    assert error(responses[2]) == (429, "RATE_LIMITED_TOKEN_BUCKET", "Too Many Requests")
    assert responses[2].content["parameters"] == [GROUPS, 3, 2, 1, 2.5]
    assert responses[2].headers["Retry-After"] == "3"
    assert state.counters.api_rate_limited == 1


def test_request_is_admitted_after_the_stated_wait_and_not_before(state, token, clock):
    state.api_rate_limit, state.api_refill_seconds = 1, 10
    send(state, f"Bearer {token}")
    clock.now += 3.5
    wait = int(send(state, f"Bearer {token}").headers["Retry-After"])
    clock.now += wait - 0.6
    early = send(state, f"Bearer {token}").status
    clock.now += 0.6
    assert (wait, early, send(state, f"Bearer {token}").status) == (7, 429, 200)


def test_whole_refill_seconds_are_written_as_integers(state, token):
    state.api_rate_limit = 1
    parameters = [send(state, f"Bearer {token}").content.get("parameters") for _ in range(2)][1]
    assert [type(value) for value in parameters] == [str, int, int, int, int]


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (accept("2025-03-12"), "2025-03-12"),
        (accept("2025-03-11"), "2024-08-05"),
        (accept("2026-07-01"), "2025-03-12"),
        (accept("2023-01-01"), "2023-01-01"),
        (accept("2023-01-31"), "2023-01-01"),
        (f"text/html, {accept('2024-05-30')};q=0.9, */*", "2024-05-30"),
    ],
)
def test_newest_version_not_after_the_date_is_served(header, expected):
    assert negotiate(header, GROUPS, NOW) == expected


@pytest.mark.parametrize(
    "header",
    [
        "",
        "*/*",
        "application/json",
        accept("2026-07-02"),
        accept("2025-13-45"),
        accept("2025-3-12"),
        accept("latest"),
        accept("2025-03-12").replace("+json", "+csv"),
        accept("2025-03-12") + "x",
    ],
)
def test_missing_version_bad_date_or_future_date_gets_a_406(header):
    response = negotiate(header, GROUPS, NOW)
    assert (response.status, response.content["errorCode"]) == (406, "INVALID_VERSION_DATE")
    assert response.content["detail"] == "Invalid accept header or version date."


def test_removed_version_gets_a_410():
    response = negotiate(accept("2022-12-31"), GROUPS, NOW)
    assert (response.status, response.content["errorCode"]) == (410, "VERSION_GONE")
    assert response.content["parameters"] == ["2022-12-31", "api/atlas/v2/groups"]


def test_newest_version_is_served_even_if_the_clock_is_before_its_date():
    assert negotiate(accept("2025-03-12"), "/", 0.0) == "2025-03-12"


def test_only_old_versions_have_deprecation_headers():
    assert set(version_headers("2023-11-15")) == {"Content-Type", "Deprecation", "Sunset"}
    assert version_headers("2023-11-15")["Deprecation"] == "Mon, 01 Jan 2024 00:00:00 GMT"
    assert version_headers("2024-05-30") == {"Content-Type": "application/vnd.atlas.2024-05-30+json;charset=utf-8"}
