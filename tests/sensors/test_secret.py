"""The sensor is true once the client secret in use expires within the given time."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from airflow_provider_atlas import exceptions, metrics
from airflow_provider_atlas.cache import variables
from airflow_provider_atlas.hooks.rotation import fingerprint
from airflow_provider_atlas.sensors.secret import AtlasSecretExpirySensor


@pytest.fixture(autouse=True)
def in_memory(store, mocker):
    mocker.patch.object(variables, "Variables", lambda: store)


@pytest.fixture
def org_id(hook):
    return hook.run("/api/atlas/v2/orgs")["results"][0]["id"]


def look(org_id, **kwargs):
    return AtlasSecretExpirySensor(task_id="look", org_id=org_id, **kwargs).poke({})


def expire_in(sandbox, days, number=0):
    sandbox.accounts[sandbox.client_id].secrets[number].expires = sandbox.clock() + days * 86_400


@pytest.mark.parametrize(
    ("days", "within", "true"), [(13.9, 14, True), (14.1, 14, False), (29, 30, True), (0.01, 14, True)]
)
def test_it_is_true_once_the_secret_expires_within_the_time(atlas_sandbox, org_id, mocker, days, within, true):
    stats = mocker.patch.object(metrics, "Stats")
    expire_in(atlas_sandbox, days)
    found = look(org_id, within=timedelta(days=within))
    assert bool(found) is true
    (call,) = [call for call in stats.gauge.call_args_list if call.args[0] == "atlas.secret.days_left"]
    assert call.args[1] == pytest.approx(days, abs=0.01)
    assert call.kwargs == {"tags": {"client_id": atlas_sandbox.client_id}}


def test_its_xcom_has_the_id_and_the_time(atlas_sandbox, org_id, hook):
    expire_in(atlas_sandbox, 1)
    (secret,) = hook.client_secrets(org_id)
    assert look(org_id).xcom_value == {"secret_id": secret.id, "expires_at": secret.expires_at.isoformat()}


@pytest.mark.parametrize("recorded", [True, False])
def test_of_two_secrets_it_is_the_recorded_one_else_the_first_to_expire(atlas_sandbox, org_id, hook, recorded, store):
    atlas_sandbox.add_secret(atlas_sandbox.client_id)
    expire_in(atlas_sandbox, 30)
    expire_in(atlas_sandbox, 3, number=1)
    ids = [secret.id for secret in atlas_sandbox.accounts[atlas_sandbox.client_id].secrets]
    if recorded:
        account = hook.settings.account
        store.texts[variables.rotation_names_for(account).record] = json.dumps(
            {"known": {ids[0]: fingerprint(account)}}
        )
    assert bool(look(org_id)) is not recorded


def test_variables_that_cannot_be_read_leave_the_first_to_expire(atlas_sandbox, org_id, store):
    atlas_sandbox.add_secret(atlas_sandbox.client_id)
    expire_in(atlas_sandbox, 30)
    expire_in(atlas_sandbox, 3, number=1)
    store.down = True
    assert look(org_id)


def test_a_look_leaves_no_token(atlas_sandbox, org_id, hook):
    before = atlas_sandbox.counters.active
    look(org_id)
    assert atlas_sandbox.counters.active == before


def test_an_account_that_may_not_see_its_secrets_is_an_error(atlas_sandbox, org_id):
    atlas_sandbox.accounts[atlas_sandbox.client_id].roles = ("ORG_MEMBER",)
    with pytest.raises(exceptions.AtlasApiError, match="NOT_ORG_OWNER"):
        look(org_id)
