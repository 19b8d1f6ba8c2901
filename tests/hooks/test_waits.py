"""No wait, for Atlas or for another task or thread, exceeds ``max_wait`` by more than one request's time."""

from __future__ import annotations

import json
import threading
import time
from contextlib import suppress

import pytest

from airflow_provider_atlas.cache import claim
from airflow_provider_atlas.cache.deployment import FIRST_POLL, LAST_POLL
from airflow_provider_atlas.cache.variables import names_for
from airflow_provider_atlas.exceptions import AtlasApiError, AtlasError, RateLimited
from airflow_provider_atlas.hooks.service_account import AtlasServiceAccountHook
from tests.conftest import deployment_token

GROUPS = "/api/atlas/v2/groups"
MAX_WAITS = [0, 5, 300]


class Timeout(BaseException):
    """As Airflow's own timeout, no Exception."""


def limit(sandbox, *endpoints, seconds=4):
    for endpoint in endpoints:
        sandbox.fail_next(endpoint, times=500, status=429, headers={"Retry-After": str(seconds)})


def generate(hook):
    hook.generate_token()


def get_token(hook):
    hook.get_token()


def publish(hook):
    deployment_token(hook).publish()


def run(hook):
    hook.run(GROUPS)


@pytest.mark.parametrize("max_wait", MAX_WAITS)
@pytest.mark.parametrize("scope", ["task", "deployment"])
@pytest.mark.parametrize("call", [generate, get_token, publish, run])
def test_a_limit_on_token_requests(time_of_tests, atlas_sandbox, store, call, scope, max_wait):
    limit(atlas_sandbox, "token")
    with pytest.raises(RateLimited):
        call(AtlasServiceAccountHook(cache_scope=scope, max_wait=max_wait))
    assert max_wait - 6 <= sum(time_of_tests.slept) <= max_wait + claim.PAUSE * len(time_of_tests.slept)


@pytest.mark.parametrize("max_wait", MAX_WAITS)
def test_a_limit_on_revocations(time_of_tests, atlas_sandbox, hook, max_wait):
    token = hook.generate_token()
    limit(atlas_sandbox, "revoke")
    with pytest.raises(RateLimited):
        AtlasServiceAccountHook(max_wait=max_wait).revoke_token(token)
    assert max_wait - 6 <= sum(time_of_tests.slept) <= max_wait


@pytest.mark.parametrize("max_wait", MAX_WAITS)
def test_a_limit_on_the_revocations_of_all_that_is_shared(time_of_tests, atlas_sandbox, store, max_wait):
    for _ in range(3):
        publish(AtlasServiceAccountHook())
    limit(atlas_sandbox, "revoke")
    time_of_tests.slept.clear()
    with pytest.raises(RateLimited):
        deployment_token(AtlasServiceAccountHook(max_wait=max_wait)).dissolve()
    assert max_wait - 6 <= sum(time_of_tests.slept) <= max_wait + 1


@pytest.mark.parametrize("max_wait", MAX_WAITS)
def test_a_limit_of_the_administration_api(time_of_tests, atlas_sandbox, max_wait):
    limit(atlas_sandbox, "api")
    with pytest.raises(AtlasApiError, match="429"):
        AtlasServiceAccountHook(max_wait=max_wait).run(GROUPS)
    assert max_wait - 6 <= sum(time_of_tests.slept) <= max_wait


@pytest.mark.parametrize("scope", ["task", "deployment"])
@pytest.mark.parametrize("max_wait", MAX_WAITS)
def test_limits_of_both_and_a_refusal_share_one_max_wait(time_of_tests, atlas_sandbox, store, scope, max_wait):
    atlas_sandbox.fail_next("token", status=429, headers={"Retry-After": "2"})
    atlas_sandbox.fail_next("api", status=429, headers={"Retry-After": "2"})
    atlas_sandbox.fail_next("api", status=401)
    hook = AtlasServiceAccountHook(cache_scope=scope, max_wait=max_wait)
    with pytest.raises(AtlasError):
        while True:  # until Atlas refuses everything
            hook.run(GROUPS)
            time_of_tests.slept.clear()
            atlas_sandbox.fail_next("api", status=401)
            limit(atlas_sandbox, "token", "api")
            time_of_tests.now += 61  # a refusal may cause a new token again
    assert sum(time_of_tests.slept) <= max_wait + 1


def hold(store, hook, seconds):
    names = names_for(hook.settings.account)
    store.texts[names.holder] = json.dumps({"nonce": "another", "seconds": seconds, "closed_until": 0.0})


def dissolve(hook):
    deployment_token(hook).dissolve()


@pytest.mark.parametrize("max_wait", MAX_WAITS)
@pytest.mark.parametrize("call", [get_token, publish, dissolve])
def test_a_holder_that_was_killed_is_waited_out(time_of_tests, atlas_sandbox, store, call, max_wait):
    hook = AtlasServiceAccountHook(cache_scope="deployment", max_wait=max_wait)
    hold(store, hook, hook.settings.transport.request_time)
    call(hook)
    poll = FIRST_POLL if max_wait == 0 else LAST_POLL
    assert sum(time_of_tests.slept) <= hook.settings.transport.request_time + poll + 2 * claim.PAUSE


@pytest.mark.parametrize("max_wait", MAX_WAITS)
@pytest.mark.parametrize("call", [get_token, publish, dissolve])
def test_holders_that_follow_each_other(time_of_tests, atlas_sandbox, store, call, max_wait):
    hook = AtlasServiceAccountHook(cache_scope="deployment", max_wait=max_wait)
    read, names = store.read, names_for(hook.settings.account)

    def busy(name):
        if name == names.holder:
            nonce = f"nonce {time_of_tests.now // 40}"
            store.texts[name] = json.dumps({"nonce": nonce, "seconds": 60.0, "closed_until": 0.0})
        return read(name)

    store.read = busy
    with pytest.raises(RateLimited, match="Another task is changing"):
        call(hook)
    assert 0 <= sum(time_of_tests.slept) - max_wait <= hook.settings.transport.request_time + FIRST_POLL
    assert atlas_sandbox.counters.token_requests == 0


@pytest.mark.parametrize("max_wait", MAX_WAITS)
def test_what_another_task_was_told_by_atlas(time_of_tests, atlas_sandbox, store, max_wait):
    limit(atlas_sandbox, "token", seconds=200)
    with pytest.raises(RateLimited):
        AtlasServiceAccountHook(cache_scope="deployment", max_wait=0).get_token()
    atlas_sandbox.faults["token"].clear()
    time_of_tests.slept.clear()
    hook = AtlasServiceAccountHook(cache_scope="deployment", max_wait=max_wait)
    if max_wait < 200:
        with pytest.raises(RateLimited, match="Another task was told"):
            hook.get_token()
        assert sum(time_of_tests.slept) == 0
    else:
        hook.get_token()
        assert 199 <= sum(time_of_tests.slept) <= 225


@pytest.mark.parametrize("scope", ["task", "deployment"])
@pytest.mark.parametrize("call", [get_token, run])
def test_another_thread_s_request(atlas_sandbox, store, monkeypatch, call, scope):
    """In real time, with a request of at most 0.4 s."""
    monkeypatch.setenv("AIRFLOW__ATLAS__TIMEOUT", "0.2")
    atlas_sandbox.fail_next("token", status=429, headers={"Retry-After": "8"})
    other = AtlasServiceAccountHook(cache_scope=scope, max_wait=10)

    def wait() -> None:
        with suppress(AtlasError):  # a busy machine may need more than 0.2 s
            other.get_token()

    thread = threading.Thread(target=wait)
    thread.start()
    while atlas_sandbox.counters.faults == 0:
        time.sleep(0.001)
    begun = time.monotonic()
    with pytest.raises(RateLimited):
        call(AtlasServiceAccountHook(cache_scope=scope, max_wait=0))
    assert time.monotonic() - begun < 7
    thread.join()


@pytest.mark.parametrize("max_wait", MAX_WAITS)
@pytest.mark.parametrize(("error", "waits"), [(None, True), (ValueError, True), (Timeout, False)])
def test_leaving_with_hook_waits_unless_the_task_timed_out(time_of_tests, atlas_sandbox, max_wait, error, waits):
    def use():
        with AtlasServiceAccountHook(max_wait=max_wait) as own:
            own.get_token()
            limit(atlas_sandbox, "revoke")
            if error is not None:
                raise error

    if error is None:
        use()
    else:
        with pytest.raises(error):
            use()
    slept = sum(time_of_tests.slept)
    assert (max_wait - 6 <= slept <= max_wait) if waits else slept == 0
