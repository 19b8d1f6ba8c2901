"""A fleet whose service account has no rights must not use up the 100 active tokens, whatever the store does."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from airflow_provider_atlas.api import codes
from airflow_provider_atlas.cache.memory import TokenCache
from airflow_provider_atlas.exceptions import AtlasApiError
from airflow_provider_atlas.hooks.service_account import AtlasServiceAccountHook
from airflow_provider_atlas.hooks.tokens import DeploymentToken, TaskToken
from tests.api.test_codes import RIGHTS

FLEET = 120


@pytest.fixture
def code():
    return "USER_UNAUTHORIZED"


@pytest.fixture
def account(atlas_sandbox, code):
    atlas_sandbox.rate_limit = atlas_sandbox.token_cap = 10**6
    client_id, secret = atlas_sandbox.add_account(rights=False, error_code=code)
    return {"client_id": client_id, "client_secret": secret, "base_url": atlas_sandbox.url}


@pytest.fixture
def task(account, code):
    """Runs a task of the fleet, in a process of its own as far as memory goes."""

    def task(scope, sealed):
        codes._learned.clear()
        hook = AtlasServiceAccountHook(**account, token=sealed)
        if scope != "DAG run":
            kind = DeploymentToken if scope == "deployment" else TaskToken
            hook._source = kind(hook._tokens, max_wait=60, cache=TokenCache())
        with pytest.raises(AtlasApiError, match=code or "HTTP 401"):
            hook.run("/api/atlas/v2/groups")

    return task


def spoil(store, how):
    if how == "hidden":
        store.read = lambda name: None
    store.read_only = how == "unwritable"
    store.down = how == "down"


@pytest.mark.parametrize("threads", [1, 16], ids=["one after another", "16 at a time"])
@pytest.mark.parametrize(
    ("scope", "how", "most"),
    [
        ("task", "healthy", FLEET),
        ("DAG run", "healthy", 1),
        ("deployment", "healthy", 2),
        ("deployment", "hidden", FLEET),
        ("deployment", "unwritable", FLEET),
        ("deployment", "down", FLEET),
    ],
)
def test_token_requests_of_a_fleet_without_rights(atlas_sandbox, account, task, store, scope, how, most, threads):
    spoil(store, how)
    sealed = None
    if scope == "DAG run":
        setup = AtlasServiceAccountHook(**account)
        sealed = setup.seal(setup.generate_token())
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(lambda _: task(scope, sealed), range(FLEET)))
    requests = atlas_sandbox.counters.token_requests
    print(
        f"{scope} scope, store {how}: {FLEET} tasks, {requests} token requests, {atlas_sandbox.counters.active} active"
    )
    assert atlas_sandbox.counters.api_requests == FLEET
    assert requests <= most


SMALL_FLEET = 30


@pytest.mark.parametrize("code", RIGHTS)
@pytest.mark.parametrize(("scope", "requests"), [("task", SMALL_FLEET), ("DAG run", 1), ("deployment", 1)])
def test_a_401_about_rights_costs_no_token_and_no_revocation(atlas_sandbox, account, task, store, scope, requests):
    sealed = None
    if scope == "DAG run":
        setup = AtlasServiceAccountHook(**account)
        sealed = setup.seal(setup.generate_token())
    for _ in range(SMALL_FLEET):
        task(scope, sealed)
    counters = atlas_sandbox.counters
    assert (counters.token_requests, counters.revoke_requests) == (requests, 0)


@pytest.mark.parametrize("code", ["NEW_CODE", ""])
@pytest.mark.parametrize(("scope", "most"), [("task", 2 * SMALL_FLEET), ("deployment", 2)])
def test_a_code_that_is_not_known_costs_at_most_one_more_token(atlas_sandbox, account, task, store, scope, most):
    for _ in range(SMALL_FLEET):
        task(scope, None)
    assert atlas_sandbox.counters.token_requests == most


@pytest.mark.parametrize("code", ["NEW_CODE"])
def test_a_process_learns_a_code_once(atlas_sandbox, account, store):
    hook = AtlasServiceAccountHook(**account)
    hook._source = TaskToken(hook._tokens, max_wait=60, cache=TokenCache())
    for _ in range(SMALL_FLEET):
        with pytest.raises(AtlasApiError, match="NEW_CODE"):
            hook.run("/api/atlas/v2/groups")
    assert atlas_sandbox.counters.token_requests == 2
    assert atlas_sandbox.counters.api_requests == SMALL_FLEET + 1
