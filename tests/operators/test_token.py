"""The operators: what they pass on is sealed, and a token that is not revoked never ends in success."""

from __future__ import annotations

import json
from datetime import datetime

import pytest
from airflow.providers.common.compat.sdk import DAG, AirflowFailException, AirflowSkipException

from airflow_provider_atlas import exceptions
from airflow_provider_atlas.hooks.service_account import AtlasServiceAccountHook
from airflow_provider_atlas.operators import token as module
from airflow_provider_atlas.operators.token import GenerateTokenOperator, RevokeTokenOperator
from tests.conftest import TOKEN, shared_token


@pytest.fixture
def output(atlas_sandbox):
    return GenerateTokenOperator(task_id="generate").execute({})


def revoke(token, **kwargs):
    operator = RevokeTokenOperator(task_id="revoke", **kwargs)
    operator.token = token  # as after rendering
    operator.execute({})


def test_generate_returns_a_sealed_token_and_its_times(output, hook, atlas_sandbox, says_nothing):
    assert list(output) == ["token", "token_type", "client_id", "issued_at", "expires_at", "replaced"]
    token = hook.unseal(output["token"])
    assert atlas_sandbox.is_active(token.value)
    assert datetime.fromisoformat(output["expires_at"]) == token.expires_at
    assert datetime.fromisoformat(output["issued_at"]) == token.issued_at
    assert (output["token_type"], output["client_id"], output["replaced"]) == ("Bearer", atlas_sandbox.client_id, [])
    says_nothing(ValueError(json.dumps(output)), token.value, atlas_sandbox.client_secret)


def test_generate_pushes_each_key_as_an_xcom():
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
def test_revoke_takes_generate_s_output_in_every_form_that_it_arrives_in(as_given, output, atlas_sandbox):
    revoke(as_given(output))
    assert atlas_sandbox.counters.active == 0


@pytest.mark.parametrize("nothing", [None, "None", [], (), "[]"])
def test_without_a_token_revoke_is_skipped(nothing, atlas_sandbox):
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
def test_anything_else_is_an_error_without_a_request(nonsense, atlas_sandbox, says_nothing):
    with pytest.raises(exceptions.InvalidSealedToken) as caught:
        revoke(nonsense)
    assert isinstance(caught.value, AirflowFailException)
    assert atlas_sandbox.counters.revoke_requests == 0
    says_nothing(caught.value, TOKEN)


def test_a_plain_token_is_masked_in_logs(mocker, atlas_sandbox):
    masked = mocker.patch.object(module, "mask_secret")
    with pytest.raises(exceptions.InvalidSealedToken, match="is not sealed"):
        revoke([TOKEN])
    masked.assert_called_once_with(TOKEN)


@pytest.mark.parametrize("literal", [TOKEN, [TOKEN], {"token": TOKEN}, ["{{ x }}", (TOKEN,)], TOKEN.encode(), {TOKEN}])
def test_a_plain_literal_is_refused_when_the_dag_is_parsed(literal, says_nothing):
    with pytest.raises(exceptions.InvalidSealedToken) as caught:
        RevokeTokenOperator(task_id="revoke", token=literal)
    says_nothing(caught.value, TOKEN)


def test_a_token_is_revoked_although_it_has_expired_by_a_clock_that_is_ahead(atlas_sandbox, hook, mocker):
    sealed = hook.seal(hook.generate_token())
    mocker.patch.object(module.time, "time", return_value=module.time.time() + 3601 + 600)
    revoke(sealed)
    assert atlas_sandbox.counters.active == 0


@pytest.mark.parametrize("template", ["{{ params.token }}", "{% if x %}{% endif %}", None, "None"])
def test_templates_are_not_checked_before_they_are_rendered(template):
    assert RevokeTokenOperator(task_id="revoke", token=template).token == template


@pytest.mark.parametrize("bad", ["atlas-sealed:1:damaged", TOKEN, None, {}, 7])
def test_of_a_list_the_tokens_that_open_are_revoked_before_the_error(output, atlas_sandbox, bad):
    with pytest.raises(exceptions.InvalidSealedToken):
        revoke([bad, output["token"]])
    assert atlas_sandbox.counters.active == 0


def test_a_token_of_another_account_is_an_error(atlas_sandbox):
    client_id, secret = atlas_sandbox.add_account()
    other = AtlasServiceAccountHook(client_id=client_id, client_secret=secret, base_url=atlas_sandbox.url)
    with pytest.raises(exceptions.InvalidSealedToken, match="another service account"):
        revoke(other.seal(other.generate_token()))
    assert atlas_sandbox.counters.active == 1


def test_a_teardown_that_cannot_open_its_token_warns_and_is_skipped(atlas_sandbox, caplog):
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


def test_a_rate_limit_beyond_max_wait_fails_the_revocation(output, atlas_sandbox):
    atlas_sandbox.fail_next("revoke", status=429, headers={"Retry-After": "60"})
    with pytest.raises(exceptions.RateLimited):
        revoke(output["token"], max_wait=0)


def test_max_wait_of_the_task_replaces_the_connection_s(atlas_sandbox):
    atlas_sandbox.fail_next("token", status=429, headers={"Retry-After": "60"})
    with pytest.raises(exceptions.RateLimited):
        GenerateTokenOperator(task_id="generate", max_wait=0).execute({})


def test_sharing_replaces_the_deployment_s_token_and_returns_the_old_one(atlas_sandbox, store):
    first = GenerateTokenOperator(task_id="generate", share=True).execute({})
    second = GenerateTokenOperator(task_id="generate", share=True).execute({})
    assert first["replaced"] == []
    assert AtlasServiceAccountHook(cache_scope="deployment").get_token() == AtlasServiceAccountHook().unseal(
        second["token"]
    )
    revoke(second["replaced"])
    assert atlas_sandbox.counters.active == 1
    assert GenerateTokenOperator(task_id="generate", share=True).execute({})["replaced"] != second["replaced"]


def test_revoking_what_is_shared_empties_the_store(atlas_sandbox, store):
    GenerateTokenOperator(task_id="generate", share=True).execute({})
    RevokeTokenOperator(task_id="revoke", share=True).execute({})
    assert atlas_sandbox.counters.active == 0
    with pytest.raises(AirflowSkipException, match="shares no"):
        RevokeTokenOperator(task_id="revoke", share=True).execute({})


def test_revoke_takes_a_token_or_share_and_not_both():
    with pytest.raises(ValueError, match="either"):
        RevokeTokenOperator(task_id="revoke", share=True, token="atlas-sealed:1:x")


def test_a_token_that_nobody_could_use_is_refused_when_the_dag_is_parsed():
    with pytest.raises(ValueError, match="do_xcom_push=True or share=True"):
        GenerateTokenOperator(task_id="generate", do_xcom_push=False)
    assert GenerateTokenOperator(task_id="generate", do_xcom_push=False, share=True).share


def test_an_error_at_one_token_leaves_no_other_unrevoked(hook, atlas_sandbox, store):
    for _ in range(3):
        GenerateTokenOperator(task_id="generate", share=True).execute({})
    sealed = GenerateTokenOperator(task_id="generate", share=True).execute({})["replaced"]
    atlas_sandbox.fail_next("revoke")
    with pytest.raises(exceptions.ServerError):
        revoke(sealed, max_wait=0)
    assert [atlas_sandbox.is_active(hook.unseal(text).value) for text in sealed] == [True, False, False]
    assert shared_token(hook).read().superseded == (hook.unseal(sealed[0]),)


def test_a_connection_that_is_not_found_is_an_error_that_retries_may_cure(atlas_sandbox):
    """A secrets backend that fails once looks the same."""
    for operator in (
        GenerateTokenOperator(task_id="generate", atlas_conn_id="gone"),
        RevokeTokenOperator(task_id="revoke", atlas_conn_id="gone", token="{{ x }}"),
    ):
        operator.token = "atlas-sealed:1:x"
        with pytest.raises(exceptions.ConnectionNotFound, match="gone was not found") as caught:
            operator.execute({})
        assert not isinstance(caught.value, AirflowFailException)
    assert atlas_sandbox.counters.token_requests == 0
