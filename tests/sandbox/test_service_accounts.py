"""Secrets of service accounts: who may manage them, two slots, the cut to 7 days, what expiry and deletion end."""

from __future__ import annotations

import json

import pytest
import requests

from airflow_provider_atlas.sandbox.oauth import generate as generate_token
from airflow_provider_atlas.sandbox.responses import timestamp
from tests.sandbox.conftest import CLIENT_ID, CLIENT_SECRET, basic, form_request

ORG, GROUP = "/orgs/6a0000000000000000000000", "/groups/6b0000000000000000000000"
ACCOUNT = f"{ORG}/serviceAccounts/{CLIENT_ID}"
DAY = 86400


def request_token(state, secret=CLIENT_SECRET):
    return generate_token(state, form_request("token", "grant_type=client_credentials", basic(secret=secret)))


def create(api, hours=24, account=ACCOUNT):
    return api("POST", f"{account}/secrets", {"secretExpiresAfterHours": hours})


def error(response):
    return response.status, response.content["errorCode"]


@pytest.mark.parametrize("owner", [ORG, GROUP])
def test_accounts_are_listed_and_read_with_their_secrets_and_without_the_values(api, state, owner, clock):
    state.add_account()
    listed = api.get(f"{owner}/serviceAccounts").content
    assert (listed["totalCount"], len(listed["results"])) == (2, 2)
    account = listed["results"][0]
    assert api.get(f"{owner}/serviceAccounts/{CLIENT_ID}").content == account
    secret = account["secrets"][0]
    assert (secret["createdAt"], secret["expiresAt"]) == (timestamp(clock()), timestamp(clock() + 365 * DAY))
    assert "lastUsedAt" not in secret
    assert CLIENT_SECRET not in json.dumps(listed)


@pytest.mark.parametrize("owner", [ORG, GROUP])
def test_created_secret_is_shown_once_and_requests_tokens(api, state, owner, clock):
    created = create(api, 48, f"{owner}/serviceAccounts/{CLIENT_ID}")
    value = created.content["secret"]
    assert (created.status, created.content["expiresAt"]) == (201, timestamp(clock() + 2 * DAY))
    assert value not in json.dumps(api.get(ACCOUNT).content)
    assert value not in created.content["maskedSecretValue"]
    assert request_token(state, value).status == 200


def test_new_secret_leaves_the_other_7_days_for_good(api, clock):
    new = create(api).content
    old, _ = api.get(ACCOUNT).content["secrets"]
    api("DELETE", f"{ACCOUNT}/secrets/{new['id']}")
    (after,) = api.get(ACCOUNT).content["secrets"]
    assert old["expiresAt"] == after["expiresAt"] == timestamp(clock() + 7 * DAY)


def test_new_secret_does_not_lengthen_the_other_s_lifetime(api, state, clock):
    state.delete_secret(state.add_secret(CLIENT_ID))
    clock.now += 6 * DAY
    create(api)
    assert api.get(ACCOUNT).content["secrets"][0]["expiresAt"] == timestamp(clock() + DAY)


def test_third_secret_is_refused_also_if_one_has_expired(api, state):
    create(api)
    state.expire_secret(CLIENT_SECRET)
    assert error(create(api)) == (400, "SERVICE_ACCOUNT_SECRET_LIMIT_REACHED")
    assert len(state.accounts[CLIENT_ID].secrets) == 2


def test_expired_secret_gets_invalid_client_and_its_token_stays_active(api, state, clock):
    token = request_token(state, state.add_secret(CLIENT_ID, hours=0.5)).content["access_token"]
    clock.now += 1800
    secret = state.accounts[CLIENT_ID].secrets[1].value
    refused = request_token(state, secret)
    assert (refused.status, refused.content["error"]) == (401, "invalid_client")
    assert state.is_active(token)


def test_deleted_secret_ends_its_tokens_and_no_others(api, state):
    second = create(api).content
    token, other = (
        request_token(state, secret).content["access_token"] for secret in (second["secret"], CLIENT_SECRET)
    )
    deleted = api("DELETE", f"{ACCOUNT}/secrets/{second['id']}")
    assert (deleted.status, deleted.content) == (204, None)
    assert (state.is_active(token), state.is_active(other)) == (False, True)
    assert request_token(state, second["secret"]).status == 401


def test_last_use_is_the_last_token_that_the_secret_requested(api, state, clock):
    secret_id = create(api).content["id"]
    for _ in range(2):
        clock.now += 10
        request_token(state)
    clock.now += 10
    request_token(state, "mdb_sa_sk_wrong")
    first, second = api.get(ACCOUNT).content["secrets"]
    assert (first["lastUsedAt"], second["id"]) == (timestamp(clock() - 10), secret_id)
    assert "lastUsedAt" not in second


@pytest.mark.parametrize("hours", [7, 8761, 0, -1])
def test_lifetime_outside_the_organization_s_bounds_is_refused(api, state, hours):
    response = create(api, hours)
    assert error(response) == (400, "VALIDATION_ERROR")
    assert response.content["badRequestDetail"]["fields"][0]["field"] == "secretExpiresAfterHours"
    assert len(state.accounts[CLIENT_ID].secrets) == 1


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        ({}, "INVALID_ATTRIBUTE", "secretExpiresAfterHours"),
        ({"secretExpiresAfterHours": "8"}, "INVALID_ATTRIBUTE", "secretExpiresAfterHours"),
        ({"secretExpiresAfterHours": True}, "INVALID_ATTRIBUTE", "secretExpiresAfterHours"),
        ({"secretExpiresAfterHours": 8, "name": "x"}, "INVALID_ATTRIBUTE", "name"),
        ([], "INVALID_JSON", None),
        (None, "INVALID_JSON", None),
    ],
)
def test_body_that_atlas_does_not_take_is_refused(api, body, code, field):
    response = api("POST", f"{ACCOUNT}/secrets", body)
    assert error(response) == (400, code)
    assert field is None or response.content["badRequestDetail"]["fields"][0]["field"] == field


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        ("GET", f"{ORG}/serviceAccounts/mdb_sa_id_unknown", "SERVICE_ACCOUNT_NOT_FOUND"),
        ("DELETE", f"{ACCOUNT}/secrets/{'0' * 24}", "SERVICE_ACCOUNT_SECRET_NOT_FOUND"),
        ("GET", f"/orgs/{'0' * 24}/serviceAccounts", "ORG_NOT_FOUND"),
        ("GET", f"/groups/{'0' * 24}/serviceAccounts", "GROUP_NOT_FOUND"),
    ],
)
def test_what_does_not_exist_gets_a_404(api, method, path, code):
    assert error(api(method, path)) == (404, code)


@pytest.mark.parametrize(
    ("role", "org_read", "org_write", "group_read", "group_write"),
    [
        ("ORG_OWNER", 200, 201, 200, 201),
        ("ORG_READ_ONLY", 200, 401, 200, 401),
        ("GROUP_OWNER", 401, 401, 200, 201),
        ("GROUP_READ_ONLY", 401, 401, 200, 401),
        ("ORG_MEMBER", 401, 401, 401, 401),
    ],
)
def test_roles_decide_who_may_list_and_who_may_change(api, state, role, org_read, org_write, group_read, group_write):
    client_id, secret = state.add_account(roles=(role,))
    token = state.issue(client_id, secret, 3600)
    for owner, read, write in ((ORG, org_read, org_write), (GROUP, group_read, group_write)):
        path = f"{owner}/serviceAccounts/{state.add_account()[0]}"
        assert api("GET", path, token=token).status == read
        assert api("POST", f"{path}/secrets", {"secretExpiresAfterHours": 8}, token=token).status == write
    assert api("GET", GROUP, token=token).status == 200


def test_account_without_the_role_gets_a_code(api, state):
    client_id, secret = state.add_account(roles=())
    token = state.issue(client_id, secret, 3600)
    assert error(api("GET", ACCOUNT, token=token)) == (401, "NOT_ORG_OWNER")
    assert error(api("GET", f"{GROUP}/serviceAccounts", token=token)) == (401, "NOT_GROUP_USER_ADMIN")
    assert state.counters.api_unauthorized == 2


def test_rotation_over_http(sandbox, generate):
    headers = {"Accept": "application/vnd.atlas.2025-03-12+json"}
    headers["Authorization"] = f"Bearer {generate().json()['access_token']}"
    url = f"{sandbox.url}/api/atlas/v2{ORG}/serviceAccounts/{sandbox.client_id}"
    old = requests.get(url, headers=headers, timeout=10).json()["secrets"][0]["id"]
    created = requests.post(f"{url}/secrets", json={"secretExpiresAfterHours": 8}, headers=headers, timeout=10)
    deleted = requests.delete(f"{url}/secrets/{old}", headers=headers, timeout=10)
    assert (created.status_code, deleted.status_code, deleted.content) == (201, 204, b"")
    assert [generate().status_code, generate(auth=(sandbox.client_id, created.json()["secret"])).status_code] == [
        401,
        200,
    ]


def test_body_must_be_json(api):
    response = api("POST", f"{ACCOUNT}/secrets", headers={**headers_of(api), "content-type": "text/plain"})
    assert error(response) == (415, "UNSUPPORTED_MEDIA_TYPE")


def headers_of(api):
    token = api.state.issue(CLIENT_ID, CLIENT_SECRET, 3600)
    return {"authorization": f"Bearer {token}", "accept": "application/vnd.atlas.2025-03-12+json"}
