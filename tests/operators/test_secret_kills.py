"""A process that rotates a client secret is killed at a step; the next one finishes or undoes what it left."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from airflow_provider_atlas.hooks.service_account import AtlasServiceAccountHook
from tests.operators.rotating import DAY

pytestmark = pytest.mark.fleet  # it takes two minutes


@pytest.mark.parametrize(
    ("step", "when"),
    [
        ("record", "after"),
        ("create", "after"),
        ("store", "before"),
        ("store", "after"),
        ("revoke", "after"),
    ],
)
def test_after_a_kill_the_next_run_leaves_the_stored_secret_and_the_one_before(atlas_sandbox, tmp_path, step, when):
    secrets = atlas_sandbox.accounts[atlas_sandbox.client_id].secrets
    secrets[0].expires = atlas_sandbox.clock() + 10 * DAY
    with AtlasServiceAccountHook() as hook:
        org_id = hook.run("/api/atlas/v2/orgs")["results"][0]["id"]
    (tmp_path / "connection").write_text(json.dumps(atlas_sandbox.connection))

    def run(*arguments):
        command = [sys.executable, "-m", "tests.operators.killed_rotation", str(tmp_path), org_id, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert not [secret.value for secret in secrets if secret.value in done.stdout + done.stderr]
        return done.returncode

    def stored():
        return json.loads((tmp_path / "connection").read_text())["password"]

    assert run(step, when) == 7
    assert stored() in [secret.value for secret in secrets]
    assert run("none", "") == 0
    assert stored() != atlas_sandbox.client_secret
    assert {secret.value for secret in secrets} == {stored(), atlas_sandbox.client_secret}
    for path in tmp_path.iterdir():
        if path.name != "connection":
            assert stored() not in path.read_text()
