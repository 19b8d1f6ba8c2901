"""The rules of both token endpoints, each error with the words of Atlas's pages, on a fake clock."""

from __future__ import annotations

import pytest

from airflow_provider_atlas.sandbox.call import FORM, Call
from airflow_provider_atlas.sandbox.oauth import generate, revoke
from tests.sandbox.conftest import CLIENT_ID, CLIENT_SECRET, basic, form_call

GRANT = "grant_type=client_credentials"
CREDENTIALS_NOT_VALID = (400, "invalid_request", "The provided credentials are not valid.")
GRANT_TYPE_NOT_VALID = (400, "unsupported_grant_type", "Invalid grant type.")
CREDENTIALS_REFUSED = (401, "invalid_client", "Invalid credentials provided.")
ADDRESS_DENIED = (403, "access_denied", "IP access list validation failed for the service account.")


def said(answer):
    return answer.status, answer.content["error"], answer.content["error_description"]


def test_a_token_is_generated_in_the_documented_form(state):
    answer = generate(state, form_call("token", GRANT))
    (token,) = state.issued()
    assert (answer.status, answer.content) == (
        200,
        {"access_token": token, "expires_in": 3600, "token_type": "Bearer"},
    )
    assert state.owner(token).client_id == CLIENT_ID


@pytest.mark.parametrize("endpoint", [generate, revoke])
@pytest.mark.parametrize("headers", [{}, {"authorization": "Bearer x"}, {"authorization": "Digest x"}])
def test_the_server_in_front_answers_those_without_basic_credentials_in_html(state, endpoint, headers):
    answer = endpoint(state, Call("/api/oauth/token", headers={"content-type": FORM, **headers}, body=GRANT.encode()))
    assert answer.status == 401
    assert answer.content.startswith("<html>")
    assert answer.headers["WWW-Authenticate"].startswith('Digest realm="MMS Public API", domain="", nonce="')


@pytest.mark.parametrize("endpoint", [generate, revoke])
@pytest.mark.parametrize(
    ("authorization", "expected"),
    [
        (basic(CLIENT_ID.replace("_", "%5F"), CLIENT_SECRET.replace("_", "%5F")), CREDENTIALS_REFUSED),
        (basic(CLIENT_ID, CLIENT_SECRET.replace("_", "%5F")), CREDENTIALS_REFUSED),
        (basic(secret="mdb_sa_sk_wrong"), CREDENTIALS_REFUSED),
        (basic(client_id="mdb_sa_id_unknown"), CREDENTIALS_REFUSED),
        (basic("", ""), CREDENTIALS_REFUSED),
        ("Basic ???", CREDENTIALS_NOT_VALID),
        ("Basic bm8gY29sb24=", CREDENTIALS_NOT_VALID),
    ],
)
def test_credentials_are_raw_and_right_or_refused(state, endpoint, authorization, expected):
    assert said(endpoint(state, form_call("token", GRANT, authorization))) == expected
    assert state.counters().credentials_refused == 1


@pytest.mark.parametrize("body", ["", "grant_type=", "grant_type=password", "grant_type=Client_Credentials", "x=y"])
def test_only_client_credentials_are_a_grant(state, body):
    assert said(generate(state, form_call("token", body))) == GRANT_TYPE_NOT_VALID


@pytest.mark.parametrize("body", ["", "token=", "token_type_hint=access_token", "grant_type=client_credentials"])
def test_a_revocation_names_a_token(state, body):
    assert said(revoke(state, form_call("revoke", body))) == CREDENTIALS_NOT_VALID


@pytest.mark.parametrize("endpoint", [generate, revoke])
def test_what_is_no_form_is_no_request(state, endpoint):
    call = Call("/", headers={"authorization": basic(), "content-type": "application/json"}, body=b"{}")
    assert said(endpoint(state, call)) == CREDENTIALS_NOT_VALID


@pytest.mark.parametrize("endpoint", [generate, revoke])
def test_an_address_that_is_not_on_the_access_list_is_refused(state, knobs, endpoint):
    knobs.ip_denied = True
    assert said(endpoint(state, form_call("token", GRANT))) == ADDRESS_DENIED
    assert state.issued() == ()


def test_the_window_counts_each_address_account_and_endpoint_apart(state, knobs):
    knobs.rate_limit = 1
    other = basic(*state.add_account("", "", None))
    calls = [
        (generate, form_call("token", GRANT)),
        (generate, form_call("token", GRANT, other)),
        (generate, form_call("token", GRANT, address="127.0.0.2")),
        (revoke, form_call("revoke", "token=x")),
    ]
    assert [[endpoint(state, call).status for endpoint, call in calls] for _ in range(2)] == [[200] * 4, [429] * 4]
    assert state.counters().rate_limited == 4


def test_a_stranger_cannot_use_up_an_account_s_window(state, knobs):
    knobs.rate_limit = 1
    for _ in range(5):
        generate(state, form_call("token", GRANT, basic(secret="mdb_sa_sk_guess")))
    assert generate(state, form_call("token", GRANT)).status == 200


def test_a_bad_request_with_good_credentials_counts_in_the_window(state, knobs):
    knobs.rate_limit = 1
    assert [generate(state, form_call("token", body)).status for body in ("", GRANT)] == [400, 429]


def test_a_refused_request_learns_when_the_window_closes(state, knobs, clock):
    knobs.rate_limit = 1
    generate(state, form_call("token", GRANT))
    clock.now += 20.5
    assert generate(state, form_call("token", GRANT)).headers == {"Retry-After": "40"}
    clock.now += 39.5
    assert generate(state, form_call("token", GRANT)).status == 200


def test_the_cap_ends_when_a_token_is_revoked_or_expires(state, knobs, clock):
    knobs.token_cap, knobs.rate_limit = 2, 100
    statuses = []
    first = generate(state, form_call("token", GRANT)).content["access_token"]
    clock.now += 10
    statuses += [generate(state, form_call("token", GRANT)).status, generate(state, form_call("token", GRANT)).status]
    revoke(state, form_call("revoke", f"token={first}&token_type_hint=access_token"))
    statuses += [generate(state, form_call("token", GRANT)).status, generate(state, form_call("token", GRANT)).status]
    clock.now += 3600
    statuses.append(generate(state, form_call("token", GRANT)).status)
    assert statuses == [200, 403, 200, 403, 200]
    assert (state.counters().cap_refused, state.counters().issued) == (2, 4)


def test_the_cap_names_itself_and_is_each_account_s_own(state, knobs):
    knobs.token_cap = 1
    other = basic(*state.add_account("", "", None))
    generate(state, form_call("token", GRANT))
    status, error, description = said(generate(state, form_call("token", GRANT)))
    assert (status, error) == (403, "access_denied")
    assert description.startswith("Access Token limit reached.")
    assert generate(state, form_call("token", GRANT, other)).status == 200


def test_a_revoked_token_is_dead_and_the_answer_is_empty(state, token):
    answer = revoke(state, form_call("revoke", f"token={token}"))
    assert (answer.status, answer.content, state.owner(token)) == (200, None, None)
    assert state.counters().revoked == 1


def test_revoking_what_is_unknown_expired_or_revoked_is_a_success_that_changes_nothing(state, token, clock):
    revoke(state, form_call("revoke", f"token={token}"))
    expired = state.issue(CLIENT_ID, CLIENT_SECRET)
    clock.now += 3600
    answers = [revoke(state, form_call("revoke", f"token={text}")) for text in (token, expired, "nonsense")]
    assert [(answer.status, answer.content) for answer in answers] == [(200, None)] * 3
    assert state.counters().revoked == 1


def test_an_account_cannot_revoke_another_s_token(state, token):
    other = basic(*state.add_account("", "", None))
    assert revoke(state, form_call("revoke", f"token={token}", other)).status == 200
    assert state.owner(token) is not None
    assert state.counters().revoked == 0


def test_the_life_of_a_token_is_what_the_answer_says(state, knobs, clock):
    knobs.token_life = 7
    answer = generate(state, form_call("token", GRANT))
    clock.now += 7
    assert (answer.content["expires_in"], state.owner(answer.content["access_token"])) == (7, None)
