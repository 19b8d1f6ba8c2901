"""No wait of a task exceeds its ``max_wait`` or its ``execution_timeout``, on the worker or deferred."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from airflow.providers.common.compat.sdk import TaskDeferred

from airflow_provider_atlas.cache.deployment import FIRST_POLL
from airflow_provider_atlas.cache.variables import names_for
from airflow_provider_atlas.exceptions import RateLimited
from airflow_provider_atlas.operators.base import DEFERRAL_TIMEOUT_MARGIN, LONGEST_WAIT_ON_WORKER
from airflow_provider_atlas.operators.token import GenerateTokenOperator, RevokeTokenOperator

#: max_wait, execution_timeout, and which of them ends the waits first; seconds.
LIMITS = [(0, None, 0), (60, None, 60), (3000, 90, 90), (60, 90, 60), (300, 5, 5)]
REQUEST_TIME = 60.0


def timeout(seconds):
    return None if seconds is None else timedelta(seconds=seconds)


def limit(sandbox, endpoint, seconds):
    sandbox.fail_next(endpoint, times=1000, status=429, headers={"Retry-After": str(seconds)})


@pytest.fixture
def operator(hook):
    def operator(action, **kwargs):
        if action == "revoke":
            return RevokeTokenOperator(task_id="revoke", token=hook.seal(hook.generate_token()), **kwargs)
        return GenerateTokenOperator(task_id="generate", share=action == "share", **kwargs)

    return operator


@pytest.fixture
def another_holder(store, hook, time_of_tests):
    """Holders of the claim that follow each other without end."""
    read, names = store.read, names_for(hook.settings.account)

    def busy(name):
        if name == names.holder:
            nonce = f"nonce {time_of_tests.now // 40}"
            store.texts[name] = json.dumps({"nonce": nonce, "seconds": REQUEST_TIME, "closed_until": 0.0})
        return read(name)

    store.read = busy


@pytest.mark.parametrize(("max_wait", "execution_timeout", "least"), LIMITS)
@pytest.mark.parametrize("action", ["generate", "share", "revoke"])
def test_waiting_on_the_worker(
    operator, atlas_sandbox, store, time_of_tests, action, max_wait, execution_timeout, least
):
    task = operator(action, deferrable=False, max_wait=max_wait, execution_timeout=timeout(execution_timeout))
    limit(atlas_sandbox, "revoke" if action == "revoke" else "token", 4)
    with pytest.raises(RateLimited):
        task.execute({})
    assert least - 6 <= sum(time_of_tests.slept) <= least + 1


@pytest.mark.parametrize(("max_wait", "execution_timeout", "least"), [each for each in LIMITS if each[2] > 50])
@pytest.mark.parametrize("action", ["generate", "share", "revoke"])
def test_a_deferral_ends_with_the_least_of_them(
    operator, atlas_sandbox, store, time_of_tests, action, max_wait, execution_timeout, least
):
    task = operator(action, deferrable=True, max_wait=max_wait, execution_timeout=timeout(execution_timeout))
    limit(atlas_sandbox, "revoke" if action == "revoke" else "token", 40)
    started = time_of_tests.now
    with pytest.raises(TaskDeferred) as caught:
        task.execute({})
    assert caught.value.trigger.deadline == pytest.approx(started + least, abs=0.01)
    assert caught.value.trigger.moment <= started + least
    ends = started + least + DEFERRAL_TIMEOUT_MARGIN
    if execution_timeout is not None:
        ends = min(ends, started + execution_timeout)
    assert time_of_tests.now + caught.value.timeout.total_seconds() == pytest.approx(ends, abs=0.01)


@pytest.mark.parametrize(("max_wait", "execution_timeout"), [(0, None), (20, None), (3000, 20)])
@pytest.mark.parametrize("action", ["generate", "share", "revoke"])
def test_a_wait_that_none_of_them_allows_is_not_deferred(
    operator, atlas_sandbox, store, time_of_tests, action, max_wait, execution_timeout
):
    task = operator(action, deferrable=True, max_wait=max_wait, execution_timeout=timeout(execution_timeout))
    limit(atlas_sandbox, "revoke" if action == "revoke" else "token", 40)
    with pytest.raises(RateLimited):
        task.execute({})
    assert sum(time_of_tests.slept) <= 1


@pytest.mark.parametrize(("max_wait", "execution_timeout", "least"), LIMITS)
@pytest.mark.parametrize("deferrable", [False, True])
def test_a_rotation_waits_for_the_holder_of_the_claim(
    operator, another_holder, time_of_tests, deferrable, max_wait, execution_timeout, least
):
    task = operator("share", deferrable=deferrable, max_wait=max_wait, execution_timeout=timeout(execution_timeout))
    if deferrable:
        least = min(least, LONGEST_WAIT_ON_WORKER)
    try:
        task.execute({})
    except RateLimited:
        pass
    except TaskDeferred:
        assert deferrable
    assert 0 <= sum(time_of_tests.slept) - least <= REQUEST_TIME + FIRST_POLL


@pytest.mark.parametrize("left", [0, 30, 200])
def test_a_resumed_rotation_waits_for_the_holder_until_the_task_s_deadline_and_revokes_its_token(
    hook, operator, atlas_sandbox, another_holder, time_of_tests, left
):
    token = hook.generate_token()
    event = {"status": "success", "token": hook.seal(token), "deadline": time_of_tests.now + left}
    with pytest.raises(RateLimited, match="Another task is changing"):
        operator("share", deferrable=True, max_wait=3000).execute_complete({}, event)
    assert 0 <= sum(time_of_tests.slept) - left <= REQUEST_TIME + FIRST_POLL
    assert not atlas_sandbox.is_active(token.value)


def test_a_resumed_rotation_stores_its_token_when_the_holder_is_through(
    hook, operator, atlas_sandbox, store, time_of_tests
):
    store.texts[names_for(hook.settings.account).holder] = json.dumps(
        {"nonce": "killed", "seconds": REQUEST_TIME, "closed_until": 0.0}
    )
    sealed = hook.seal(hook.generate_token())
    event = {"status": "success", "token": sealed, "deadline": time_of_tests.now + 200}
    output = operator("share", deferrable=True).execute_complete({}, event)
    assert hook.unseal(output["token"]) == hook.unseal(sealed)
    assert sum(time_of_tests.slept) > LONGEST_WAIT_ON_WORKER
