"""A long wait is deferred, with absolute times and sealed tokens. The resumed task uses what the trigger brought."""

from __future__ import annotations

import json
import time
from datetime import datetime

import pytest
from airflow.providers.common.compat.sdk import DAG, AirflowSkipException, TaskDeferred

from airflow_provider_atlas import exceptions
from airflow_provider_atlas.cache import machine
from airflow_provider_atlas.hooks.service_account import AtlasServiceAccountHook
from airflow_provider_atlas.operators.base import DEFERRAL_TIMEOUT_MARGIN, LONGEST_WAIT_ON_WORKER, SHORTEST_DEFERRAL
from airflow_provider_atlas.operators.token import GenerateTokenOperator, RevokeTokenOperator
from airflow_provider_atlas.triggers.events import failure
from tests.conftest import shared_token

THROTTLED = {"status": 429, "headers": {"Retry-After": "40"}}


def generate(**kwargs):
    return GenerateTokenOperator(task_id="generate", **{"deferrable": True, **kwargs})


def deferral(operator):
    with pytest.raises(TaskDeferred) as caught:
        operator.execute({})
    return caught.value, caught.value.trigger.serialize()[1]


def test_without_a_rate_limit_nothing_is_deferred(hook, atlas_sandbox):
    assert hook.unseal(generate().execute({})["token"])
    assert atlas_sandbox.counters.token_requests == 1


def test_a_long_wait_is_deferred_after_one_try(atlas_sandbox, says_nothing):
    atlas_sandbox.fail_next("token", **THROTTLED)
    now = time.time()
    deferred, kwargs = deferral(generate(max_wait=120))
    assert atlas_sandbox.counters.token_requests == 1
    assert (kwargs["atlas_conn_id"], kwargs["action"], kwargs["tokens"]) == ("atlas_default", "generate", "")
    assert now + 40 <= kwargs["moment"] <= now + 46
    assert kwargs["deadline"] == pytest.approx(now + 120, abs=2)
    assert kwargs["started"] == pytest.approx(now, abs=2)
    assert deferred.method_name == "execute_complete"
    assert deferred.timeout.total_seconds() == pytest.approx(120 + DEFERRAL_TIMEOUT_MARGIN, abs=2)
    says_nothing(ValueError(json.dumps(kwargs)), atlas_sandbox.client_secret)


def test_a_task_defers_without_a_request_if_another_task_noted_the_rate_limit(hook, atlas_sandbox):
    atlas_sandbox.fail_next("token", **THROTTLED)
    _, first = deferral(generate())
    noted = machine._path(hook.settings.account, "generate").stat().st_mtime
    _, second = deferral(generate())
    assert atlas_sandbox.counters.token_requests == 1
    assert noted == pytest.approx(first["moment"], abs=0.1)
    assert noted <= second["moment"] <= noted + 6  # the spread
    # Only what Atlas said is noted: else the window would never open.
    assert machine._path(hook.settings.account, "generate").stat().st_mtime == noted


def test_the_error_says_that_another_task_was_told_to_wait_if_max_wait_is_too_short_for_it(atlas_sandbox):
    atlas_sandbox.fail_next("token", **THROTTLED)
    deferral(generate())
    with pytest.raises(exceptions.RateLimited, match="Atlas told another task on this machine to wait"):
        generate(max_wait=20).execute({})
    assert atlas_sandbox.counters.token_requests == 1


@pytest.mark.parametrize(
    ("left", "deferrable"),
    [(LONGEST_WAIT_ON_WORKER - 1, True), (40, False)],
    ids=["a short wait", "not deferrable"],
)
def test_a_task_that_does_not_defer_makes_its_request_despite_the_note(hook, atlas_sandbox, left, deferrable):
    machine.note_rate_limit(hook.settings.account, "generate", time.time() + left)
    generate(deferrable=deferrable).execute({})
    assert atlas_sandbox.counters.token_requests == 1


def test_an_outage_is_not_noted_as_a_rate_limit(atlas_sandbox):
    atlas_sandbox.fail_next("token", status=503, headers={"Retry-After": "40"})
    deferral(generate())
    assert generate().execute({})["token"]


def test_the_rate_limit_of_revocations_is_noted_apart(hook, atlas_sandbox):
    tokens = [hook.seal(hook.generate_token()) for _ in range(2)]
    atlas_sandbox.fail_next("revoke", **THROTTLED)
    for token in tokens:
        deferral(RevokeTokenOperator(task_id="revoke", token=token, deferrable=True))
    assert atlas_sandbox.counters.revoke_requests == 1
    assert generate().execute({})["token"]


def test_a_short_wait_happens_on_the_worker(atlas_sandbox):
    atlas_sandbox.fail_next("token", status=429, headers={"Retry-After": "1"})
    generate().execute({})
    assert atlas_sandbox.counters.token_requests == 2


def test_only_a_trigger_waits_for_the_cap(atlas_sandbox):
    atlas_sandbox.token_cap = 0
    with pytest.raises(exceptions.TokenLimitReached):
        generate(deferrable=False).execute({})
    now = time.time()
    _, kwargs = deferral(generate())
    assert now + 60 <= kwargs["moment"] <= now + 67


def test_no_trigger_fires_within_the_shortest_deferral(atlas_sandbox, mocker):
    atlas_sandbox.fail_next("token", **THROTTLED)
    mocker.patch("airflow_provider_atlas.operators.base.seconds_to_wait", return_value=1.0)
    now = time.time()
    _, kwargs = deferral(generate())
    assert kwargs["moment"] >= now + SHORTEST_DEFERRAL


@pytest.mark.parametrize(
    ("fault", "kind", "kwargs"),
    [
        (THROTTLED, exceptions.RateLimited, {"deferrable": False, "max_wait": 5}),
        (THROTTLED, exceptions.RateLimited, {"max_wait": 30}),
        (THROTTLED, exceptions.RateLimited, {"max_wait": 0}),
        ({"status": 401}, exceptions.InvalidClient, {}),
        ({"status": 200, "body": "{}"}, exceptions.UnexpectedResponse, {}),
    ],
)
def test_what_is_not_deferred_is_raised(atlas_sandbox, fault, kind, kwargs):
    atlas_sandbox.fail_next("token", **fault)
    with pytest.raises(kind):
        generate(**kwargs).execute({})


@pytest.mark.parametrize(("configured", "expected"), [("True", True), ("False", False)])
def test_the_default_of_deferrable_is_airflow_s(monkeypatch, configured, expected):
    monkeypatch.setenv("AIRFLOW__OPERATORS__DEFAULT_DEFERRABLE", configured)
    assert GenerateTokenOperator(task_id="generate").deferrable is expected
    assert RevokeTokenOperator(task_id="revoke").deferrable is expected
    assert GenerateTokenOperator(task_id="other", deferrable=not expected).deferrable is not expected


def test_a_resumed_task_passes_the_trigger_s_token_on(hook, atlas_sandbox):
    token = hook.generate_token()
    output = generate().execute_complete({}, {"status": "success", "token": hook.seal(token)})
    assert hook.unseal(output["token"]) == token
    assert output["replaced"] == []
    assert atlas_sandbox.counters.token_requests == 1


def test_a_resumed_rotation_stores_the_trigger_s_token(hook, atlas_sandbox, store):
    first = generate(share=True).execute({})
    token = hook.generate_token()
    output = generate(share=True).execute_complete({}, {"status": "success", "token": hook.seal(token)})
    assert hook.unseal(output["replaced"][0]) == hook.unseal(first["token"])
    assert AtlasServiceAccountHook(cache_scope="deployment").get_token() == token
    assert atlas_sandbox.counters.token_requests == 2


def test_a_rotation_is_deferred_at_a_rate_limit(atlas_sandbox, store):
    atlas_sandbox.fail_next("token", **THROTTLED)
    _, kwargs = deferral(generate(share=True))
    assert kwargs["action"] == "generate"


@pytest.mark.parametrize(
    "event",
    [
        None,
        {},
        [],
        "success",
        {"status": "success"},
        {"status": "success", "token": None},
        {"status": "error"},
        {"status": 7},
    ],
)
def test_an_event_that_is_not_a_trigger_s_is_an_error(atlas_sandbox, event):
    with pytest.raises(exceptions.AtlasError, match="without an event"):
        generate().execute_complete({}, event)
    with pytest.raises(exceptions.AtlasError, match="without an event"):
        RevokeTokenOperator(task_id="revoke").execute_complete({}, event)


def test_an_error_in_the_event_is_raised_as_its_own_type(atlas_sandbox):
    error = exceptions.InvalidClient(status=401, error="invalid_client", description="words")
    with pytest.raises(exceptions.InvalidClient) as caught:
        generate().execute_complete({}, failure(error))
    assert str(caught.value) == str(error)


def test_revocations_that_are_left_are_deferred_with_sealed_tokens(hook, atlas_sandbox, says_nothing):
    tokens = [hook.generate_token() for _ in range(3)]
    sealed = [hook.seal(token) for token in tokens]
    operator = RevokeTokenOperator(task_id="revoke", deferrable=True)
    operator.token = [sealed[0], "atlas-sealed:1:damaged", *sealed[1:]]
    atlas_sandbox.fail_next("revoke", **THROTTLED)
    _, kwargs = deferral(operator)
    assert kwargs["action"] == "revoke"
    assert kwargs["tokens"].split() == [*sealed, "atlas-sealed:unusable"]
    says_nothing(ValueError(json.dumps(kwargs)), *(token.value for token in tokens))


def test_what_the_trigger_revoked_is_taken_out_of_the_store(hook, atlas_sandbox, store):
    generate(share=True).execute({})
    (sealed,) = generate(share=True).execute({})["replaced"]
    RevokeTokenOperator(task_id="revoke").execute_complete({}, {"status": "success", "revoked": sealed})
    assert shared_token(hook).read().superseded == ()


def test_what_the_trigger_revoked_is_taken_out_of_the_store_before_its_error_is_raised(hook, atlas_sandbox, store):
    for _ in range(2):
        generate(share=True).execute({})
    revoked, failed = generate(share=True).execute({})["replaced"]
    event = {**failure(exceptions.ServerError(status=500)), "revoked": revoked}
    with pytest.raises(exceptions.ServerError):
        RevokeTokenOperator(task_id="revoke").execute_complete({}, event)
    assert shared_token(hook).read().superseded == (hook.unseal(failed),)


def test_of_several_tokens_only_those_that_an_error_left_are_deferred(hook, atlas_sandbox, time_of_tests):
    sealed = [hook.seal(hook.generate_token()) for _ in range(3)]
    operator = RevokeTokenOperator(task_id="revoke", token=sealed, deferrable=True)
    atlas_sandbox.fail_next("revoke", times=4)
    _, kwargs = deferral(operator)
    assert kwargs["tokens"] == sealed[0]
    assert atlas_sandbox.counters.active == 1


def test_a_token_that_the_trigger_could_not_open_is_an_error_and_in_a_teardown_a_skip(atlas_sandbox):
    event = failure(exceptions.InvalidSealedToken())
    with pytest.raises(exceptions.InvalidSealedToken):
        RevokeTokenOperator(task_id="revoke").execute_complete({}, event)
    with DAG("d", schedule=None, start_date=datetime(2025, 1, 1)):
        teardown = RevokeTokenOperator(task_id="revoke", token="{{ x }}")
        teardown.as_teardown()
    with pytest.raises(AirflowSkipException):
        teardown.execute_complete({}, event)
