"""A fleet whose service account has no rights must not use up the 100 active tokens, whatever the store does."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from airflow_provider_atlas.cache.memory import TokenCache
from airflow_provider_atlas.exceptions import AtlasApiError
from airflow_provider_atlas.hooks.service_account import AtlasServiceAccountHook
from airflow_provider_atlas.hooks.tokens import DeploymentToken, TaskToken

FLEET = 120


@pytest.fixture
def account(atlas_sandbox):
    client_id, secret = atlas_sandbox.add_account(rights=False, error_code="USER_UNAUTHORIZED")
    return {"client_id": client_id, "client_secret": secret, "base_url": atlas_sandbox.url}


@pytest.fixture
def task(account):
    """Runs a task of the fleet, in a process of its own as far as memory goes."""

    def task(scope, sealed):
        hook = AtlasServiceAccountHook(**account, token=sealed)
        if scope != "DAG run":
            kind = DeploymentToken if scope == "deployment" else TaskToken
            hook._source = kind(hook._tokens, max_wait=60, cache=TokenCache())
        with pytest.raises(AtlasApiError, match="USER_UNAUTHORIZED"):
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
    atlas_sandbox.rate_limit = atlas_sandbox.token_cap = 10**6
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
