"""kill -9 at each step of a rotation, before it and after it, each on a service account of its own."""

from __future__ import annotations

import re
import time

import pytest
from cryptography.fernet import Fernet

from airflow_provider_atlas.hooks.service_account import AtlasServiceAccountHook
from airflow_provider_atlas.sandbox import Sandbox
from harness import leaks
from tests.fleets.conftest import airflow_with_a_store

pytestmark = pytest.mark.long
#: More than a rotation has; those of the last accounts are not killed.
STEPS = 26
KILLS = [(number, when) for number in range(STEPS) for when in ("before", "after")]
DAY = 86_400.0


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory):
    log = tmp_path_factory.mktemp("sandbox") / "sandbox.log"
    with Sandbox(rate_limit=10_000, window=60.0, token_cap=100, log_file=log) as running:
        yield running


@pytest.fixture(scope="module")
def accounts(sandbox):
    """Client id and secret by connection id. The secret expires in 30 days."""
    made = {f"atlas_{number}_{when}": sandbox.add_account() for number, when in KILLS}
    for client_id, _ in made.values():
        sandbox.accounts[client_id].secrets[0].expires = time.time() + 30 * DAY
    return made


@pytest.fixture(scope="module")
def airflow(sandbox, accounts, tmp_path_factory):
    connections = {
        name: sandbox.connection | {"login": client_id, "password": secret}
        for name, (client_id, secret) in accounts.items()
    }
    with airflow_with_a_store(tmp_path_factory.mktemp("users"), connections, slots=5) as running:
        yield running


def test_after_a_kill_at_any_step_the_next_try_leaves_the_stored_secret_working(airflow, sandbox, accounts):
    with AtlasServiceAccountHook(
        client_id=sandbox.client_id, client_secret=sandbox.client_secret, base_url=sandbox.url
    ) as own:
        org_id = own.run("/api/atlas/v2/orgs")["results"][0]["id"]
    kills = [{"atlas_conn_id": name, "kill": kill} for name, kill in zip(accounts, KILLS, strict=True)]
    run = airflow.run_dag("killed_rotations", {"org_id": org_id, "kills": kills}, timeout=900)
    # A try that finds everything done skips.
    assert set(run.tasks.values()) <= {"success", "skipped"}, "\n".join(run.errors(airflow.logs()))

    fernet, every_secret = Fernet(airflow.fernet_key), []
    for name, (client_id, old) in accounts.items():
        (row,) = airflow.query("SELECT * FROM connection WHERE conn_id = ?", (name,))
        stored = fernet.decrypt(row["password"].encode()).decode()
        secrets = sandbox.accounts[client_id].secrets
        every_secret += [secret.value for secret in secrets]
        # A secret whose value was lost is deleted. The old one stays for as long as its tokens are valid.
        assert [secret.value for secret in secrets] == [old, stored], name
        assert stored != old
    where = {
        found for _, text in airflow.logs() for found in re.findall(rb"Killed at step (\d+), (\w+ [\w.]+\w)", text)
    }
    print(f"\n{len(where)} tries killed; each account has the stored secret and the old one; {run.duration:.0f} s")
    print("\n".join(f"{int(step):2} {what.decode()}" for step, what in sorted(where)))
    # A try that Airflow itself disturbed was not killed at its step.
    steps = {int(step) for step, _ in where}
    assert steps == set(range(len(steps)))
    assert 12 < len(steps) < STEPS, "the sweep does not reach the last step"

    known = leaks.needles(sandbox.client_id, sandbox.client_secret, sandbox.issued)
    known |= {f"client secret {number}": leaks.forms(secret) for number, secret in enumerate(every_secret)}
    assert leaks.search(known, airflow, [sandbox.log_file]).leaks == []
