"""The operators: what they hand on is sealed, and what cannot be revoked never ends green."""

from __future__ import annotations

import json
from datetime import datetime

import pytest
from airflow.providers.common.compat.sdk import DAG, AirflowFailException, AirflowSkipException

from airflow_provider_atlas import exceptions
from airflow_provider_atlas.hooks.service_account import AtlasServiceAccountHook
from airflow_provider_atlas.operators import token as module
from airflow_provider_atlas.operators.token import GenerateTokenOperator, RevokeTokenOperator
from tests.conftest import TOKEN


@pytest.fixture
def output(atlas_sandbox):
    return GenerateTokenOperator(task_id="generate").execute({})


def revoke(token, **kwargs):
    operator = RevokeTokenOperator(task_id="revoke", **kwargs)
    operator.token = token  # as after rendering
    operator.execute({})


def test_generate_hands_on_a_sealed_token_and_its_times(output, hook, atlas_sandbox, says_nothing):
    assert list(output) == ["token", "token_type", "client_id", "issued_at", "expires_at", "replaced"]
    token = hook.unseal(output["token"])
    assert atlas_sandbox.is_active(token.value)
    assert datetime.fromisoformat(output["expires_at"]) == token.expires_at
    assert datetime.fromisoformat(output["issued_at"]) == token.issued_at
    assert (output["token_type"], output["client_id"], output["replaced"]) == ("Bearer", atlas_sandbox.client_id, [])
    says_nothing(ValueError(json.dumps(output)), token.value, atlas_sandbox.client_secret)


def test_its_keys_are_xcoms_of_their_own():
    assert GenerateTokenOperator(task_id="generate").multiple_outputs is True


@pytest.mark.parametrize(
    "as_given",
    [
        lambda output: output["token"],
        lambda output: [output["token"]],
        lambda output: (output["token"],),
        lambda output: output,
        lambda output: [output],
        lambda output: repr(output),
        lambda output: repr([output["token"]]),
    ],
    ids=["sealed", "list", "tuple", "xcom", "list of xcoms", "repr of xcom", "repr of list"],
)
def test_revoke_takes_what_generate_gave_however_it_arrives(as_given, output, atlas_sandbox):
    revoke(as_given(output))
    assert atlas_sandbox.counters.active == 0


@pytest.mark.parametrize("nothing", [None, "None", [], (), "[]"])
def test_nothing_to_revoke_is_a_skip(nothing, atlas_sandbox):
    with pytest.raises(AirflowSkipException):
        revoke(nothing)
    assert atlas_sandbox.counters.revoke_requests == 0


@pytest.mark.parametrize(
    "nonsense",
    [
        "",
        " ",
        "none",
        TOKEN,
        [TOKEN],
        {"token": TOKEN},
        {"token": None},
        {"access_token": "x"},
        {},
        [None],
        [[None]],
        17,
        b"bytes",
        "'None'",
        "atlas-sealed:1:damaged",
        "atlas-sealed:9:newer",
        "{'token': ",
        "{[]: 1}",
        "(" * 10_000,
    ],
    ids=repr,
)
def test_anything_else_is_a_typed_error_and_atlas_is_not_asked(nonsense, atlas_sandbox, says_nothing):
    with pytest.raises(exceptions.InvalidSealedToken) as caught:
        revoke(nonsense)
    assert isinstance(caught.value, AirflowFailException)
    assert atlas_sandbox.counters.revoke_requests == 0
    says_nothing(caught.value, TOKEN)


def test_a_plain_token_is_masked_from_then_on(mocker, atlas_sandbox):
    masked = mocker.patch.object(module, "mask_secret")
    with pytest.raises(exceptions.InvalidSealedToken, match="is not sealed"):
        revoke([TOKEN])
    masked.assert_called_once_with(TOKEN)


@pytest.mark.parametrize("literal", [TOKEN, [TOKEN], {"token": TOKEN}, ["{{ x }}", (TOKEN,)], TOKEN.encode(), {TOKEN}])
def test_a_plain_literal_is_refused_before_it_stands_in_a_serialized_dag(literal, says_nothing):
    with pytest.raises(exceptions.InvalidSealedToken) as caught:
        RevokeTokenOperator(task_id="revoke", token=literal)
    says_nothing(caught.value, TOKEN)


def test_a_worker_s_clock_that_is_ahead_does_not_let_a_token_live(atlas_sandbox, hook, mocker):
    sealed = hook.seal(hook.generate_token())
    mocker.patch.object(module.time, "time", return_value=module.time.time() + 3601 + 600)
    revoke(sealed)
    assert atlas_sandbox.counters.active == 0


@pytest.mark.parametrize("template", ["{{ params.token }}", "{% if x %}{% endif %}", None, "None"])
def test_templates_are_rendered_before_they_are_judged(template):
    assert RevokeTokenOperator(task_id="revoke", token=template).token == template


@pytest.mark.parametrize("bad", ["atlas-sealed:1:damaged", TOKEN, None, {}, 7])
def test_of_a_list_what_opens_is_revoked_and_what_does_not_is_still_an_error(output, atlas_sandbox, bad):
    with pytest.raises(exceptions.InvalidSealedToken):
        revoke([bad, output["token"]])
    assert atlas_sandbox.counters.active == 0


def test_a_token_of_another_account_is_an_error(atlas_sandbox):
    client_id, secret = atlas_sandbox.add_account()
    other = AtlasServiceAccountHook(client_id=client_id, client_secret=secret, base_url=atlas_sandbox.url)
    with pytest.raises(exceptions.InvalidSealedToken, match="another service account"):
        revoke(other.seal(other.generate_token()))
    assert atlas_sandbox.counters.active == 1


def test_a_teardown_that_cannot_open_its_token_warns_and_is_not_green(atlas_sandbox, caplog):
    with DAG("d", schedule=None, start_date=datetime(2025, 1, 1)):
        operator = RevokeTokenOperator(task_id="revoke", token="atlas-sealed:1:damaged")
        operator.as_teardown()
    with pytest.raises(AirflowSkipException):
        operator.execute({})
    assert "stays active until it expires" in caplog.text


def test_an_expired_token_needs_no_revocation(atlas_sandbox, hook, mocker, caplog):
    sealed = hook.seal(hook.generate_token())
    caplog.set_level("INFO")
    mocker.patch.object(module.time, "time", return_value=module.time.time() + 3601 + 900)
    revoke(sealed)
    assert atlas_sandbox.counters.revoke_requests == 0
    assert "has expired already" in caplog.text


def test_a_refused_revocation_fails_the_task(output, atlas_sandbox):
    atlas_sandbox.fail_next("revoke", status=429, headers={"Retry-After": "60"})
    with pytest.raises(exceptions.RateLimited):
        revoke(output["token"], max_wait=0)


def test_max_wait_of_the_task_is_the_hook_s(atlas_sandbox):
    atlas_sandbox.fail_next("token", status=429, headers={"Retry-After": "60"})
    with pytest.raises(exceptions.RateLimited):
        GenerateTokenOperator(task_id="generate", max_wait=0).execute({})


def test_sharing_replaces_the_deployment_s_token_and_hands_on_the_old_one(atlas_sandbox, store):
    first = GenerateTokenOperator(task_id="generate", share=True).execute({})
    second = GenerateTokenOperator(task_id="generate", share=True).execute({})
    assert first["replaced"] == []
    assert AtlasServiceAccountHook(cache_scope="deployment").get_token() == AtlasServiceAccountHook().unseal(
        second["token"]
    )
    revoke(second["replaced"])
    assert atlas_sandbox.counters.active == 1
    assert GenerateTokenOperator(task_id="generate", share=True).execute({})["replaced"] != second["replaced"]


def test_revoking_what_is_shared_takes_it_out_of_service(atlas_sandbox, store):
    GenerateTokenOperator(task_id="generate", share=True).execute({})
    RevokeTokenOperator(task_id="revoke", share=True).execute({})
    assert atlas_sandbox.counters.active == 0
    with pytest.raises(AirflowSkipException, match="shares no"):
        RevokeTokenOperator(task_id="revoke", share=True).execute({})


def test_revoke_takes_a_token_or_what_is_shared_and_not_both():
    with pytest.raises(ValueError, match="either"):
        RevokeTokenOperator(task_id="revoke", share=True, token="atlas-sealed:1:x")
