"""The hook in deployment scope: what its sessions, its context manager and its revocations do to the shared token."""

from __future__ import annotations

import json
from functools import partial

import pytest

from airflow_provider_atlas import exceptions
from airflow_provider_atlas.api import codes
from airflow_provider_atlas.cache import deployment, task
from airflow_provider_atlas.cache.variables import names_for
from airflow_provider_atlas.hooks import tokens
from airflow_provider_atlas.hooks.service_account import AtlasServiceAccountHook
from tests.conftest import deployment_token, shared_token

pytestmark = pytest.mark.usefixtures("store")

GROUPS = "/api/atlas/v2/groups"


@pytest.fixture
def worker(atlas_sandbox):
    """A hook in a process of its own, as far as memory goes."""

    def worker(**kwargs):
        task._caches.clear()
        codes._learned.clear()
        return AtlasServiceAccountHook(**{"cache_scope": "deployment", **kwargs})

    return worker


def test_all_workers_share_one_token(worker, atlas_sandbox):
    assert len({worker().get_token().value for _ in range(10)}) == 1
    assert atlas_sandbox.counters.token_requests == 1


def test_generated_and_reused_tokens_are_counted(worker, mocker):
    counted = mocker.patch.object(tokens.metrics, "count")
    hook = worker()
    hook.get_token()
    worker().get_token()
    worker(cache_scope=None, token=hook.seal(hook.get_token())).get_token()
    assert [call.args[0] for call in counted.call_args_list] == ["generated", "reused", "reused"]


def test_the_scope_may_be_the_connection_s_or_the_deployment_s(worker, atlas_sandbox, monkeypatch):
    monkeypatch.setenv("AIRFLOW__ATLAS__CACHE_SCOPE", "deployment")
    assert worker(cache_scope=None).get_token() == worker(cache_scope=None).get_token()
    assert atlas_sandbox.counters.token_requests == 1


def test_a_warm_hook_does_not_ask_the_store(worker, store, atlas_sandbox):
    hook = worker()
    token = hook.get_token()
    store.down = True
    assert hook.get_token() is token


def test_after_a_rotation_a_task_with_the_old_token_follows_the_store(worker, atlas_sandbox):
    running = worker()
    running.run(GROUPS)
    for _ in range(5):
        rotation = worker(cache_scope="task")
        _, replaced = deployment_token(rotation).publish()
        for sealed in replaced:
            rotation.revoke_token(sealed)
        assert len(running.run(GROUPS)["results"]) == 3
    assert atlas_sandbox.counters.token_requests == 6
    assert atlas_sandbox.counters.active == 1


def test_a_token_that_a_refusal_replaced_is_revoked_once(worker, atlas_sandbox):
    hook = worker()
    token = hook.get_token()
    atlas_sandbox.fail_next("api", status=401)
    hook.run(GROUPS)
    assert not atlas_sandbox.is_active(token.value)
    assert atlas_sandbox.counters.token_requests == 2


#: As many as the sandbox gives tokens to in a minute, if each requests two.
TASKS = 5


@pytest.mark.parametrize("trouble", ["hidden token", "hidden claim", "hidden holder", "read_only", "down"])
@pytest.mark.parametrize(("code", "requests"), [("USER_UNAUTHORIZED", TASKS), ("", 2 * TASKS)])
def test_a_fleet_without_rights_behind_a_store_that_fails_has_one_active_token_a_task(
    worker, atlas_sandbox, store, trouble, code, requests
):
    client_id, secret = atlas_sandbox.add_account(rights=False, error_code=code)
    credentials = {"client_id": client_id, "client_secret": secret, "base_url": atlas_sandbox.url}
    if trouble.startswith("hidden"):
        names = names_for(worker(**credentials).settings.account)
        store.hidden[getattr(names, trouble.removeprefix("hidden "))] = "by hand"
    else:
        setattr(store, trouble, True)
    for _ in range(TASKS):
        with pytest.raises(exceptions.AtlasApiError, match="401"):
            worker(**credentials).run(GROUPS)
    assert (atlas_sandbox.counters.token_requests, atlas_sandbox.counters.active) == (requests, TASKS)


@pytest.mark.parametrize(("code", "requests"), [("USER_UNAUTHORIZED", 1), ("", 2)])
def test_a_fleet_without_rights_does_not_eat_up_the_tokens(worker, atlas_sandbox, code, requests):
    client_id, secret = atlas_sandbox.add_account(rights=False, error_code=code)
    for _ in range(20):
        hook = worker(client_id=client_id, client_secret=secret, base_url=atlas_sandbox.url)
        with pytest.raises(exceptions.AtlasApiError, match="401"):
            hook.run(GROUPS)
    assert atlas_sandbox.counters.token_requests == requests


def test_with_has_a_token_of_its_own_and_leaves_the_shared_one_alone(worker, atlas_sandbox):
    shared = worker().get_token()
    with worker() as own:
        assert own.get_token().value != shared.value
        own.run(GROUPS)
    assert atlas_sandbox.is_active(shared.value)
    assert atlas_sandbox.counters.active == 1


def test_revoking_a_replaced_token_takes_it_out_of_the_store(worker, atlas_sandbox):
    worker().get_token()
    hook = worker()
    _, replaced = deployment_token(hook).publish()
    hook.revoke_token(replaced[0])
    assert shared_token(worker()).read().superseded == ()
    _, replaced = deployment_token(hook).publish()
    assert len(replaced) == 1


def test_a_revocation_that_cannot_be_noted_is_a_warning(worker, store, caplog):
    worker().get_token()
    hook = worker()
    _, (sealed,) = deployment_token(hook).publish()
    store.down = True
    hook.revoke_token(sealed)
    assert "will be revoked again" in caplog.text


def test_a_rotation_that_cannot_publish_gives_its_token_back(worker, store, atlas_sandbox):
    def fail(name: str, text: str) -> None:
        if "access_token" in name:
            raise exceptions.StoreUnavailable

    store.before_write = fail
    with pytest.raises(exceptions.StoreUnavailable):
        deployment_token(worker()).publish()
    assert (atlas_sandbox.counters.issued, atlas_sandbox.counters.active) == (1, 0)


def test_a_token_that_cannot_be_published_because_another_task_is_busy_is_given_back(
    worker, store, atlas_sandbox, mocker, clock
):
    hook = worker(max_wait=0)
    token = hook.generate_token()
    holder = {"nonce": "another", "seconds": 3600.0}
    store.texts[names_for(hook.settings.account).holder] = json.dumps(holder)
    mocker.patch.object(deployment, "SharedToken", partial(deployment.SharedToken, monotonic=clock, sleep=clock.sleep))
    with pytest.raises(exceptions.RateLimited):
        deployment_token(hook).publish(token)
    assert (atlas_sandbox.counters.issued, atlas_sandbox.counters.active) == (1, 0)


def test_the_deployment_s_tokens_can_be_taken_out_of_service(worker, store, atlas_sandbox, mocker):
    waits = mocker.patch.object(deployment.SharedToken, "_sleep_a_poll")
    worker().get_token()
    deployment_token(worker()).publish()
    assert deployment_token(worker()).dissolve() == 2
    assert (atlas_sandbox.counters.active, store.texts) == (0, {})
    assert waits.call_count == 0  # for a claim that is its own


def test_a_rate_limit_is_waited_for_by_the_one_who_asks(worker, atlas_sandbox):
    atlas_sandbox.fail_next("token", status=429, headers={"Retry-After": "1"})
    worker().get_token()
    atlas_sandbox.fail_next("token", status=429, headers={"Retry-After": "60"})
    with pytest.raises(exceptions.RateLimited):
        deployment_token(worker(max_wait=0)).publish()
