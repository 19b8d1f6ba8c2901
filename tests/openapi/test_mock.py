"""A second opinion on the scoreboard: prism, a mock of others, validates what the hook sends. ``make test-mock``."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from airflow_provider_atlas.exceptions import AtlasApiError, AtlasError
from airflow_provider_atlas.hooks.service_account import AtlasServiceAccountHook
from airflow_provider_atlas.oauth.token import AccessToken
from harness.commands import free_port
from tests.openapi.document import VARIABLE, document
from tests.openapi.test_operations import arguments, responses

#: The command that starts prism.
PRISM = "ATLAS_PRISM"

#: The mock refuses what the document itself makes impossible: texts that must be objects, samples that fit two kinds.
CONTRADICTIONS = {
    "POST /api/atlas/v2/federationSettings/{federationSettingsId}/identityProviders",
    "PATCH /api/atlas/v2/federationSettings/{federationSettingsId}/identityProviders/{identityProviderId}",
    "GET /api/atlas/v2/groups/{groupId}/activityFeed",
    "POST /api/atlas/v2/groups/{groupId}/alertConfigs",
    "PUT /api/atlas/v2/groups/{groupId}/alertConfigs/{alertConfigId}",
    "POST /api/atlas/v2/groups/{groupId}/backup/{cloudProvider}/privateEndpoints",
    "POST /api/atlas/v2/groups/{groupId}/cloudProviderAccess",
    "POST /api/atlas/v2/groups/{groupId}/clusters/{clusterName}/restoreJobs",
    "POST /api/atlas/v2/groups/{groupId}/encryptionAtRest/{cloudProvider}/privateEndpoints",
    "GET /api/atlas/v2/groups/{groupId}/events",
    "POST /api/atlas/v2/groups/{groupId}/streams",
    "PATCH /api/atlas/v2/groups/{groupId}/streams/{tenantName}",
    "GET /api/atlas/v2/orgs/{orgId}/activityFeed",
    "GET /api/atlas/v2/orgs/{orgId}/events",
    "POST /api/atlas/v2/users",
}

pytestmark = [
    pytest.mark.mock,
    pytest.mark.skipif(document() is None or PRISM not in os.environ, reason=f"needs {VARIABLE} and {PRISM}"),
]


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    described = document()
    assert described is not None
    file, port = tmp_path / "atlas.json", free_port()
    file.write_text(json.dumps(described.original))
    command = [os.environ[PRISM], "mock", "-h", "127.0.0.1", "-p", str(port), "--errors", str(file)]
    with (tmp_path / "log").open("w") as log, subprocess.Popen(command, stdout=log, start_new_session=True) as process:
        while "listening" not in (tmp_path / "log").read_text():
            assert process.poll() is None
            time.sleep(0.2)
        yield f"http://127.0.0.1:{port}"
        os.killpg(process.pid, 9)


def test_a_mock_of_others_accepts_each_request(url):
    described = document()
    now = datetime.now(UTC)
    credentials = {"client_id": "mdb_sa_id_" + "0" * 24, "client_secret": "mdb_sa_sk_x", "base_url": url}
    issuer = AtlasServiceAccountHook(**credentials)
    token = issuer.seal(AccessToken("a.b.c", "Bearer", now, now + timedelta(hours=1)))
    hook = AtlasServiceAccountHook(**credentials, max_wait=0, token=token)
    tally: Counter[str] = Counter()
    refused = {}
    for operation in described.operations():
        media, _ = next(iter(responses(described, operation)))
        try:
            hook.run(operation.path, operation.method.upper(), **arguments(described, operation, media))
        except AtlasApiError as error:
            kind = "the mock cannot make a response" if error.status == 500 else f"HTTP {error.status}"
            tally[kind] += 1
            if error.status != 500:
                refused[str(operation)] = str(error)
        except AtlasError as error:
            tally[type(error).__name__] += 1
            refused[str(operation)] = str(error)
        else:
            tally["success"] += 1
    print(json.dumps(tally), *(f"{name}: {why}" for name, why in refused.items()), sep="\n")
    assert set(refused) - CONTRADICTIONS == set()
    assert tally["success"] >= 450
