"""What a task pays before its first response: calls of Airflow's Variables, and imports."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from airflow_provider_atlas.cache import task
from airflow_provider_atlas.cache.variables import names_for
from airflow_provider_atlas.hooks.service_account import AtlasServiceAccountHook

GROUPS = "/api/atlas/v2/groups"


def test_a_task_with_a_warm_store_makes_one_read_and_no_write(store, atlas_sandbox):
    names = names_for(AtlasServiceAccountHook(cache_scope="deployment").settings.account)
    for expected in (None, [("read", names.token)], [("read", names.token)]):
        task._caches.clear()  # as in a new process
        store.calls.clear()
        hooks = [AtlasServiceAccountHook(cache_scope="deployment") for _ in range(2)]
        for hook in hooks * 2:
            hook.run(GROUPS)
        if expected is not None:
            assert store.calls == expected
    assert atlas_sandbox.counters.token_requests == 1


@pytest.mark.parametrize("scope", ["task", "given"])
def test_a_task_in_another_scope_does_not_use_the_store(store, atlas_sandbox, scope):
    hook = AtlasServiceAccountHook()
    given = hook.seal(hook.get_token()) if scope == "given" else None
    task._caches.clear()
    AtlasServiceAccountHook(token=given).run(GROUPS)
    assert store.calls == []


LOOK = """
import json, sys
from airflow.providers.common.compat.sdk import BaseHook, Variable

of_airflow = set(sys.modules)  # Airflow 2.11 imports requests
from airflow_provider_atlas.hooks.service_account import AtlasServiceAccountHook

hook = AtlasServiceAccountHook(**json.loads(sys.argv[1]))
imported = set(sys.modules) - of_airflow
hook.run("/api/atlas/v2/groups")
print(json.dumps([name for name in sys.modules if name.startswith("airflow_provider_atlas.")]))
print(json.dumps([name for name in imported if name in ("requests", "urllib3")]))
"""
#: What only some tasks use.
REQUESTS_A_TOKEN = {"airflow_provider_atlas.oauth.client"}
STORE = {f"airflow_provider_atlas.cache.{name}" for name in ("claim", "content", "deployment", "stored", "variables")}
NO_HOOK = ("operators", "sensors", "triggers", "sandbox", "stores", "retry_policy", "hooks.client_secrets")


@pytest.mark.parametrize(
    ("scope", "unused"), [("task", STORE), ("given", STORE | REQUESTS_A_TOKEN), ("warm", REQUESTS_A_TOKEN)]
)
def test_a_task_imports_nothing_that_it_does_not_use(atlas_sandbox, store, scope, unused):
    from airflow_provider_atlas.hooks.tokens import DeploymentToken, Tokens

    hook, environment = AtlasServiceAccountHook(), dict(os.environ)
    kwargs = {"task": {}, "given": {"token": hook.seal(hook.get_token())}, "warm": {"cache_scope": "deployment"}}[scope]
    if scope == "warm":
        DeploymentToken(Tokens(hook.settings), 0).publish()
        name, text = names_for(hook.settings.account).token, store.texts[names_for(hook.settings.account).token]
        environment[f"AIRFLOW_VAR_{name.upper()}"] = text
    run = subprocess.run(
        [sys.executable, "-c", LOOK, json.dumps(kwargs)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    ours, before = map(json.loads, run.stdout.splitlines()[-2:])
    assert before == []
    assert unused & {*ours} == set()
    assert [name for name in ours if name.removeprefix("airflow_provider_atlas.").startswith(NO_HOOK)] == []
    assert len(ours) > 20
