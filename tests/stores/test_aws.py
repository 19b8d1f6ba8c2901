"""AWS Secrets Manager, in moto's server: what the store writes is what Airflow's own backend reads."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("moto", reason="make test-stores installs it")
pytest.importorskip("airflow.providers.amazon", reason="make test-stores installs it")

from airflow.providers.amazon.aws.hooks.secrets_manager import SecretsManagerHook
from airflow.providers.amazon.aws.secrets.secrets_manager import SecretsManagerBackend
from airflow.providers.common.compat.sdk import Connection
from moto.server import ThreadedMotoServer

from airflow_provider_atlas.exceptions import SecretStoreUnavailable
from airflow_provider_atlas.hooks.settings import Settings
from airflow_provider_atlas.stores.aws import AwsSecretsManagerStore
from tests.conftest import CLIENT_ID, CLIENT_SECRET

pytestmark = pytest.mark.stores

NAME = "airflow/connections/atlas_default"
NEW = "mdb_sa_sk_New"
MANAGED = {"clientId": CLIENT_ID, "clientSecret": CLIENT_SECRET, "orgId": "0" * 24}
CONNECTION = {
    "conn_type": "mongodbatlas",
    "login": CLIENT_ID,
    "password": CLIENT_SECRET,
    "host": "https://cloud.mongodb.com",
    "extra": {"timeout": 5},
}
#: As ``docs/secret-rotation.md`` says.
WORDS = {"user": ["clientId"], "password": ["clientSecret"]}


@pytest.fixture(scope="module")
def server():
    running = ThreadedMotoServer("127.0.0.1", 0)
    running.start()
    yield "http://%s:%s" % running.get_host_and_port()  # noqa: UP031
    running.stop()


@pytest.fixture
def client(server, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    extra = {"region_name": "eu-central-1", "endpoint_url": server}
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps({"conn_type": "aws", "extra": extra}))
    client = SecretsManagerHook(aws_conn_id="aws_default").get_conn()
    yield client
    client.delete_secret(SecretId=NAME, ForceDeleteWithoutRecovery=True)


def read(server) -> Connection:
    """The connection as a task gets it from Airflow's backend."""
    backend = SecretsManagerBackend(extra_conn_words=WORDS, endpoint_url=server, region_name="eu-central-1")
    return backend.get_connection("atlas_default")


@pytest.mark.parametrize("entry", [CONNECTION, CONNECTION | {"extra": '{"timeout": 5}'}, MANAGED], ids=str)
def test_airflow_s_backend_reads_what_the_store_wrote(client, server, entry):
    client.create_secret(Name=NAME, SecretString=json.dumps(entry))
    assert Settings.from_connection(read(server)).account.client_secret == CLIENT_SECRET
    store = AwsSecretsManagerStore(NAME)
    store.check("atlas_default", CLIENT_ID)
    store.write("atlas_default", CLIENT_ID, NEW, CLIENT_SECRET)
    settings = Settings.from_connection(read(server))
    assert (settings.account.client_id, settings.account.client_secret) == (CLIENT_ID, NEW)
    if entry != MANAGED:
        assert [account.client_secret for account in settings.previous] == [CLIENT_SECRET]
        assert settings.transport.timeout == 5


def test_a_check_leaves_the_current_and_the_previous_version_where_they_are(client):
    client.create_secret(Name=NAME, SecretString=json.dumps(CONNECTION))
    store = AwsSecretsManagerStore(NAME)
    before = client.describe_secret(SecretId=NAME)["VersionIdsToStages"]
    for _ in range(3):
        store.check("atlas_default", CLIENT_ID)
    after = client.describe_secret(SecretId=NAME)["VersionIdsToStages"]
    assert {key: stages for key, stages in after.items() if "AWSCURRENT" in stages} == before


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("mongodbatlas://id:secret@host", "as a JSON object"),
        (json.dumps(MANAGED | {"clientId": "mdb_sa_id_other"}), "same service account"),
    ],
)
def test_a_secret_that_is_not_this_connection_s_is_refused_by_the_check(client, text, message):
    client.create_secret(Name=NAME, SecretString=text)
    with pytest.raises(SecretStoreUnavailable, match=message):
        AwsSecretsManagerStore(NAME).check("atlas_default", CLIENT_ID)
    assert client.get_secret_value(SecretId=NAME)["SecretString"] == text
