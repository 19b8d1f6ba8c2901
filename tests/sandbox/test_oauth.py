"""Both token endpoints, each error with the words of Atlas's documentation, on a fake clock."""

from __future__ import annotations

import pytest

from airflow_provider_atlas.sandbox.oauth import generate, revoke
from airflow_provider_atlas.sandbox.requests import FORM, AtlasRequest
from tests.sandbox.conftest import CLIENT_ID, CLIENT_SECRET, basic, form_request

GRANT = "grant_type=client_credentials"
CREDENTIALS_NOT_VALID = (400, "invalid_request", "The provided credentials are not valid.")
GRANT_TYPE_NOT_VALID = (400, "unsupported_grant_type", "Invalid grant type.")
CREDENTIALS_REFUSED = (401, "invalid_client", "Invalid credentials provided.")
ADDRESS_DENIED = (403, "access_denied", "IP access list validation failed for the service account.")


def error(response):
    return response.status, response.content["error"], response.content["error_description"]


def test_token_response_has_the_documented_form(state):
    response = generate(state, form_request("token", GRANT))
    (token,) = state.issued
    assert (response.status, response.content) == (
        200,
        {"access_token": token, "expires_in": 3600, "token_type": "Bearer"},
    )
    assert state.owner(token).client_id == CLIENT_ID


@pytest.mark.parametrize("endpoint", [generate, revoke])
@pytest.mark.parametrize("headers", [{}, {"authorization": "Bearer x"}, {"authorization": "Digest x"}])
def test_request_without_basic_credentials_gets_the_front_server_s_401_in_html(state, endpoint, headers):
    request = AtlasRequest("/api/oauth/token", headers={"content-type": FORM, **headers}, body=GRANT.encode())
    response = endpoint(state, request)
    assert response.status == 401
    assert response.content.startswith("<html>")
    assert response.headers["WWW-Authenticate"].startswith('Digest realm="MMS Public API", domain="", nonce="')


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
def test_credentials_that_are_wrong_or_percent_encoded_are_refused(state, endpoint, authorization, expected):
    assert error(endpoint(state, form_request("token", GRANT, authorization))) == expected
    assert state.counters.credentials_refused == 1


@pytest.mark.parametrize("body", ["", "grant_type=", "grant_type=password", "grant_type=Client_Credentials", "x=y"])
def test_other_grant_types_than_client_credentials_are_refused(state, body):
    assert error(generate(state, form_request("token", body))) == GRANT_TYPE_NOT_VALID


@pytest.mark.parametrize("body", ["", "token=", "token_type_hint=access_token", "grant_type=client_credentials"])
def test_revocation_without_a_token_is_refused(state, body):
    assert error(revoke(state, form_request("revoke", body))) == CREDENTIALS_NOT_VALID


@pytest.mark.parametrize("endpoint", [generate, revoke])
def test_body_that_is_not_a_form_is_refused(state, endpoint):
    request = AtlasRequest("/", headers={"authorization": basic(), "content-type": "application/json"}, body=b"{}")
    assert error(endpoint(state, request)) == CREDENTIALS_NOT_VALID


@pytest.mark.parametrize("endpoint", [generate, revoke])
def test_address_not_on_the_ip_access_list_is_refused(state, endpoint):
    state.ip_denied = True
    assert error(endpoint(state, form_request("token", GRANT))) == ADDRESS_DENIED
    assert state.issued == ()


def test_each_address_account_and_endpoint_has_its_own_window(state):
    state.rate_limit = 1
    other = basic(*state.add_account())
    sent = [
        (generate, form_request("token", GRANT)),
        (generate, form_request("token", GRANT, other)),
        (generate, form_request("token", GRANT, address="127.0.0.2")),
        (revoke, form_request("revoke", "token=x")),
    ]
    assert [[endpoint(state, request).status for endpoint, request in sent] for _ in range(2)] == [[200] * 4, [429] * 4]
    assert state.counters.rate_limited == 4


def test_wrong_secrets_do_not_count_in_the_account_s_window(state):
    state.rate_limit = 1
    for _ in range(5):
        generate(state, form_request("token", GRANT, basic(secret="mdb_sa_sk_guess")))
    assert generate(state, form_request("token", GRANT)).status == 200


def test_bad_request_with_valid_credentials_counts_in_the_window(state):
    state.rate_limit = 1
    assert [generate(state, form_request("token", body)).status for body in ("", GRANT)] == [400, 429]


def test_429_says_when_the_window_closes(state, clock):
    state.rate_limit = 1
    generate(state, form_request("token", GRANT))
    clock.now += 20.5
    assert generate(state, form_request("token", GRANT)).headers == {"Retry-After": "40"}
    clock.now += 39.5
    assert generate(state, form_request("token", GRANT)).status == 200


def test_cap_refuses_until_a_token_is_revoked_or_expires(state, clock):
    state.token_cap, state.rate_limit = 2, 100
    statuses = []
    first = generate(state, form_request("token", GRANT)).content["access_token"]
    clock.now += 10
    statuses += [
        generate(state, form_request("token", GRANT)).status,
        generate(state, form_request("token", GRANT)).status,
    ]
    revoke(state, form_request("revoke", f"token={first}&token_type_hint=access_token"))
    statuses += [
        generate(state, form_request("token", GRANT)).status,
        generate(state, form_request("token", GRANT)).status,
    ]
    clock.now += 3600
    statuses.append(generate(state, form_request("token", GRANT)).status)
    assert statuses == [200, 403, 200, 403, 200]
    assert (state.counters.cap_refused, state.counters.issued) == (2, 4)


def test_403_for_the_cap_has_its_own_text_and_each_account_its_own_cap(state):
    state.token_cap = 1
    other = basic(*state.add_account())
    generate(state, form_request("token", GRANT))
    status, code, description = error(generate(state, form_request("token", GRANT)))
    assert (status, code) == (403, "access_denied")
    assert description.startswith("Access Token limit reached.")
    assert generate(state, form_request("token", GRANT, other)).status == 200


def test_revocation_ends_the_token_and_has_an_empty_response(state, token):
    response = revoke(state, form_request("revoke", f"token={token}"))
    assert (response.status, response.content, state.owner(token)) == (200, None, None)
    assert state.counters.revoked == 1


def test_revoking_an_unknown_expired_or_revoked_token_succeeds_and_changes_nothing(state, token, clock):
    revoke(state, form_request("revoke", f"token={token}"))
    expired = state.issue(CLIENT_ID, CLIENT_SECRET, 3600)
    clock.now += 3600
    responses = [revoke(state, form_request("revoke", f"token={text}")) for text in (token, expired, "nonsense")]
    assert [(response.status, response.content) for response in responses] == [(200, None)] * 3
    assert state.counters.revoked == 1


def test_account_cannot_revoke_a_token_of_another_account(state, token):
    other = basic(*state.add_account())
    assert revoke(state, form_request("revoke", f"token={token}", other)).status == 200
    assert state.owner(token) is not None
    assert state.counters.revoked == 0


def test_token_expires_after_the_lifetime_in_the_response(state, clock):
    state.token_life = 7
    response = generate(state, form_request("token", GRANT))
    clock.now += 7
    assert (response.content["expires_in"], state.owner(response.content["access_token"])) == (7, None)
