"""Who gets into the Administration API, how often, and with which errors, on a fake clock."""

from __future__ import annotations

import pytest

from airflow_provider_atlas.sandbox.administration import administer
from airflow_provider_atlas.sandbox.call import Call

GROUPS = "/api/atlas/v2/groups"
ACCEPT = "application/vnd.atlas.2025-03-12+json"


def ask(state, authorization, path=GROUPS, accept=ACCEPT, **more):
    return administer(state, Call(path, headers={"authorization": authorization, "accept": accept}, **more))


def said(answer):
    return answer.status, answer.content["errorCode"], answer.content["reason"]


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_a_live_token_reads(state, token, scheme):
    answer = ask(state, f"{scheme} {token}")
    assert answer.status == 200
    assert answer.headers == {"Content-Type": "application/vnd.atlas.2025-03-12+json;charset=utf-8"}


@pytest.mark.parametrize("authorization", ["", "Bearer", "Bearer nonsense", "Basic {token}", "Bearer {token}x"])
def test_anything_but_a_live_token_is_unauthorized(state, token, authorization):
    answer = ask(state, authorization.format(token=token))
    assert said(answer) == (401, "UNAUTHORIZED", "Unauthorized")
    assert "WWW-Authenticate" in answer.headers
    assert state.counters().api_unauthorized == 1


def test_a_token_that_expired_or_was_revoked_is_unauthorized(state, token, clock):
    other = state.issue("mdb_sa_id_0123456789abcdef01234567", "secret")
    state.end(other)
    clock.now += 3600
    assert [ask(state, f"Bearer {value}").status for value in (token, other)] == [401, 401]


@pytest.mark.parametrize("code", ["USER_UNAUTHORIZED", ""])
def test_an_account_without_rights_is_told_so_by_the_same_status(state, code):
    client_id, secret = state.add_account("", "", code)
    answer = ask(state, f"Bearer {state.issue(client_id, secret)}")
    assert said(answer) == (401, code, "Unauthorized")
    assert state.counters().api_unauthorized == 1


def test_an_address_that_is_not_on_the_access_list_is_named(state, token, knobs):
    knobs.ip_denied = True
    answer = ask(state, f"Bearer {token}", address="127.0.0.9")
    assert said(answer) == (403, "IP_ADDRESS_NOT_ON_ACCESS_LIST", "Forbidden")
    assert answer.content["parameters"] == ["127.0.0.9"]


@pytest.mark.parametrize(
    ("path", "accept", "status"),
    [(GROUPS, "application/json", 406), (GROUPS, ACCEPT.replace("2025", "2020"), 410), (f"{GROUPS}/x", ACCEPT, 404)],
)
def test_errors_are_plain_json_without_a_version(state, token, path, accept, status):
    answer = ask(state, f"Bearer {token}", path, accept)
    assert (answer.status, answer.content["error"], answer.headers) == (status, status, {})


def test_the_bucket_shows_its_level_and_when_it_is_empty_the_wait(state, token, knobs):
    knobs.api_rate_limit, knobs.api_refill, knobs.api_refill_seconds = 2, 1, 2.5
    answers = [ask(state, f"Bearer {token}") for _ in range(3)]
    assert [answer.headers["RateLimit-Remaining"] for answer in answers] == ["1", "0", "0"]
    assert {answer.headers["RateLimit-Limit"] for answer in answers} == {"2"}
    assert said(answers[2]) == (429, "RATE_LIMITED_TOKEN_BUCKET", "Too Many Requests")
    assert answers[2].content["parameters"] == [GROUPS, 3, 2, 1, 2.5]
    assert answers[2].headers["Retry-After"] == "3"
    assert state.counters().api_rate_limited == 1


def test_who_waits_as_told_is_admitted(state, token, knobs, clock):
    knobs.api_rate_limit, knobs.api_refill_seconds = 1, 10
    ask(state, f"Bearer {token}")
    clock.now += 3.5
    wait = int(ask(state, f"Bearer {token}").headers["Retry-After"])
    clock.now += wait - 0.6
    early = ask(state, f"Bearer {token}").status
    clock.now += 0.6
    assert (wait, early, ask(state, f"Bearer {token}").status) == (7, 429, 200)


def test_whole_refill_seconds_are_written_as_integers(state, token, knobs):
    knobs.api_rate_limit = 1
    parameters = [ask(state, f"Bearer {token}").content.get("parameters") for _ in range(2)][1]
    assert [type(value) for value in parameters] == [str, int, int, int, int]
