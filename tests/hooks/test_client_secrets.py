"""What Atlas tells about the client secrets of a service account, and the warning of the Test button."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from airflow_provider_atlas import exceptions
from airflow_provider_atlas.hooks import service_account
from airflow_provider_atlas.hooks.client_secrets import ClientSecret, ClientSecrets
from airflow_provider_atlas.hooks.service_account import AtlasServiceAccountHook

CREATED = {"id": "0" * 24, "createdAt": "2026-01-01T00:00:00Z", "expiresAt": "2026-04-01T00:00:00Z"}


@pytest.fixture
def owner(hook):
    """The ids of the sandbox's organization and of its first project."""
    return {
        "org_id": hook.run("/api/atlas/v2/orgs")["results"][0]["id"],
        "project_id": hook.run("/api/atlas/v2/groups")["results"][0]["id"],
    }


def expires_in(sandbox, days):
    """Let the account's only secret expire so many days from now."""
    sandbox.accounts[sandbox.client_id].secrets[0].expires = sandbox.clock() + days * 86_400


@pytest.mark.parametrize("kind", ["org_id", "project_id"])
def test_the_secrets_are_listed_with_aware_times_the_newest_last(hook, owner, atlas_sandbox, kind, says_nothing):
    first = hook.client_secrets(**{kind: owner[kind]})
    atlas_sandbox.accounts[atlas_sandbox.client_id].secrets[0].created -= 1000
    new = atlas_sandbox.add_secret(atlas_sandbox.client_id)
    secrets = hook.client_secrets(**{kind: owner[kind]})
    assert [secret.id for secret in secrets][:1] == [first[0].id]
    assert [secret.last_used_at is None for secret in secrets] == [False, True]
    assert all(secret.expires_at.tzinfo is UTC and secret.created_at.tzinfo is UTC for secret in secrets)
    assert secrets[0].left() <= timedelta(days=7) < secrets[1].left()
    says_nothing(ValueError(repr(secrets)), atlas_sandbox.client_secret, new)


@pytest.mark.parametrize("given", [{}, {"org_id": "a", "project_id": "b"}, {"org_id": ""}])
def test_one_of_org_id_and_project_id_is_needed(hook, given):
    with pytest.raises(exceptions.InvalidCall, match="One of org_id and project_id is needed"):
        hook.client_secrets(**given)


def test_an_account_that_may_not_see_them_gets_atlas_s_refusal(owner, atlas_sandbox):
    client_id, secret = atlas_sandbox.add_account(roles=("ORG_MEMBER",))
    hook = AtlasServiceAccountHook(client_id=client_id, client_secret=secret, base_url=atlas_sandbox.url)
    with pytest.raises(exceptions.AtlasApiError, match="NOT_ORG_OWNER"):
        hook.client_secrets(org_id=owner["org_id"])


@pytest.mark.parametrize(
    "body",
    [
        None,
        [],
        {"secrets": "none"},
        {"secrets": [7]},
        {"secrets": [{}]},
        {"secrets": [CREATED | {"createdAt": "soon"}]},
        {"secrets": [CREATED | {"expiresAt": None}]},
        {"secrets": [CREATED | {"lastUsedAt": 7}]},
    ],
)
def test_a_response_of_another_form_is_an_error(body):
    with pytest.raises(exceptions.AtlasApiError, match="is not a"):
        ClientSecrets(lambda *args: body, "mdb_sa_id_x", org_id="o").read()


@pytest.mark.parametrize("body", [None, {}, CREATED, CREATED | {"secret": 7}])
def test_a_created_secret_without_its_value_is_an_error(body):
    with pytest.raises(exceptions.AtlasApiError, match="is not a"):
        ClientSecrets(lambda *args, **kwargs: body, "mdb_sa_id_x", org_id="o").create(timedelta(days=1))


def test_ids_are_quoted_in_the_path():
    paths = []
    ClientSecrets(lambda path: paths.append(path) or {}, "mdb_sa_id_x/y", project_id="a/../b?c").read()
    assert paths == ["/api/atlas/v2/groups/a%2F..%2Fb%3Fc/serviceAccounts/mdb_sa_id_x%2Fy"]


@pytest.mark.parametrize(("status", "raises"), [(404, False), (401, True), (500, True)])
def test_deleting_a_secret_that_is_gone_already_is_no_error(status, raises):
    def run(*args):
        raise exceptions.AtlasApiError(status=status)

    secrets = ClientSecrets(run, "mdb_sa_id_x", org_id="o")
    if raises:
        with pytest.raises(exceptions.AtlasApiError):
            secrets.delete("x")
    else:
        secrets.delete("x")


def test_a_secret_as_text_tells_its_id_and_times():
    at = datetime(2026, 1, 1, tzinfo=UTC)
    secret = ClientSecret("abc", at, at + timedelta(days=90), None, "")
    assert str(secret) == "abc (created 2026-01-01, expires 2026-04-01, never used)"


@pytest.mark.parametrize(
    ("days", "warns"), [(13, True), (0, True), (15, False), (300, False)], ids=lambda value: str(value)
)
def test_the_test_button_warns_of_a_secret_that_expires_within_14_days(hook, atlas_sandbox, days, warns):
    expires_in(atlas_sandbox, days + 0.5)
    worked, text = hook.test_connection()
    assert worked
    assert (f"in {days} days: rotate it." in text) is warns
    assert atlas_sandbox.counters.active == 0


@pytest.mark.parametrize(
    "fault",
    [{"status": 401}, {"status": 429}, {"status": 500}, {"kind": "drop"}, {"kind": "silence"}, {"body": "<html>"}],
    ids=str,
)
def test_the_test_button_says_nothing_of_the_expiry_where_atlas_does_not(hook, atlas_sandbox, fault, mocker):
    mocker.patch.object(service_account, "LOOK_TIMEOUT", 0.2)
    expires_in(atlas_sandbox, 3)
    atlas_sandbox.fail_next("api", times=9, **fault)
    worked, text = hook.test_connection()
    assert worked
    assert text.endswith("and took it back.")


def test_the_test_button_says_nothing_to_an_account_that_may_not_see_its_secrets(atlas_sandbox):
    client_id, secret = atlas_sandbox.add_account(roles=("ORG_MEMBER",))
    atlas_sandbox.accounts[client_id].secrets[0].expires = atlas_sandbox.clock() + 86_400
    hook = AtlasServiceAccountHook(client_id=client_id, client_secret=secret, base_url=atlas_sandbox.url)
    assert hook.test_connection()[1].endswith("and took it back.")
