"""Two Airflows with one service account: each has its own Variables and its own connection."""

from __future__ import annotations

from contextlib import contextmanager

import pytest

from airflow_provider_atlas import exceptions
from airflow_provider_atlas.cache import claim, task, variables
from airflow_provider_atlas.hooks.service_account import AtlasServiceAccountHook
from tests.cache.fakes import MemoryStore
from tests.conftest import deployment_token
from tests.operators.rotating import World


class Airflows:
    """The world of one Airflow, or of the other. The client secret expires in 10 days, so a rotation replaces it."""

    def __init__(self, world, patch):
        self.world = world
        self.stores = {"production": MemoryStore(), "staging": MemoryStore()}
        self.secrets = dict.fromkeys(self.stores, world.secret)
        patch.setattr(variables, "Variables", lambda: world.variables)
        patch.setattr(claim, "PAUSE", 0.001)

    @contextmanager
    def on(self, name):
        self.world.variables, self.world.secret = self.stores[name], self.secrets[name]
        self.world._show()
        task._caches.clear()
        yield AtlasServiceAccountHook(cache_scope="deployment")
        self.secrets[name] = self.world.secret

    def call(self, name):
        """Call the Administration API from a new task; the token requests and 401s that it cost."""
        self.world.sandbox.reset_counters()
        with self.on(name) as hook:
            hook.run("/api/atlas/v2/groups")
        counters = self.world.sandbox.counters
        return counters.token_requests, counters.api_unauthorized


@pytest.fixture
def airflows(atlas_sandbox, monkeypatch):
    atlas_sandbox.rate_limit = 10_000
    world = World(atlas_sandbox, monkeypatch)
    world.expire_in(10)
    return Airflows(world, monkeypatch)


def test_each_requests_a_token_and_a_rotation_of_the_token_leaves_the_other_s_alone(airflows):
    before = airflows.world.sandbox.counters.active
    assert [airflows.call(name) for name in ("production", "staging") * 2] == [(1, 0), (1, 0), (0, 0), (0, 0)]
    assert airflows.world.sandbox.counters.active == before + 2
    with airflows.on("production") as hook:
        _, replaced = deployment_token(hook).publish()
        for sealed in replaced:
            hook.revoke_token(sealed)
    assert [airflows.call(name) for name in ("production", "staging")] == [(0, 0), (0, 0)]
    assert airflows.world.sandbox.counters.active == before + 2


def test_a_rotation_of_the_client_secret_keeps_the_other_from_rotating_and_fails_it_once_it_was_idle(airflows):
    world, old = airflows.world, airflows.world.secret
    for name in ("production", "staging"):
        airflows.call(name)
    with airflows.on("production"):
        world.run()
    assert airflows.secrets == {"production": world.secrets[1].value, "staging": old}
    assert airflows.call("staging") == (0, 0)
    with airflows.on("staging"), pytest.raises(exceptions.ClientSecretsInUse):
        world.run()
    world.now += 76 * 60
    with airflows.on("production"):
        assert len(world.run()["retired"]) == 1
    with pytest.raises(exceptions.InvalidClient):
        airflows.call("staging")
    airflows.secrets["staging"] = airflows.secrets["production"]
    assert airflows.call("staging") == (1, 0)
