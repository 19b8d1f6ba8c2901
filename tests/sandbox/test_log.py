"""The request log has one line a request, and no secret in it."""

from __future__ import annotations

import contextlib

import pytest
import requests

from airflow_provider_atlas.sandbox import Sandbox


@pytest.fixture
def log(tmp_path):
    return tmp_path / "requests.log"


@pytest.fixture
def sandbox(clock, log):
    with Sandbox(clock=clock, log_file=log) as sandbox:
        yield sandbox


def test_line_has_method_path_status_and_the_end_of_the_client_id(sandbox, generate, read, log):
    token = generate().json()["access_token"]
    read(token)
    generate(data={})
    generate(auth=("mdb_sa_id_unknown", sandbox.client_secret))
    generate(auth=None)
    requests.get(sandbox.url, timeout=10)
    end = sandbox.client_id[-6:]
    assert log.read_text().splitlines() == [
        f"POST /api/oauth/token 200 {end}",
        f"GET /api/atlas/v2/groups 200 {end}",
        f"POST /api/oauth/token 400 {end}",
        "POST /api/oauth/token 401 -",
        "POST /api/oauth/token 401 -",
        "GET / 200 -",
    ]


def test_request_without_a_response_is_logged(sandbox, generate, log):
    sandbox.fail_next("token", kind="drop")
    with contextlib.suppress(requests.exceptions.ConnectionError):
        generate()
    sandbox.stop()
    assert log.read_text() == f"POST /api/oauth/token none {sandbox.client_id[-6:]}\n"


def test_log_has_no_secret_and_no_token_wherever_a_client_puts_them(sandbox, generate, read, log):
    token = generate().json()["access_token"]
    secret = sandbox.client_secret
    generate(params={"client_secret": secret}, auth=(secret, token))
    read(secret, f"/groups/{token}")
    read(token, f"/{secret}")
    read(token, "/groups/a%0Aforged line")
    text = log.read_text()
    assert text.count("\n") == 5
    assert "forged" not in text
    assert not any(secret[at : at + 8] in text for at in range(len(secret) - 8))
    assert not any(token[at : at + 8] in text for at in range(len(token) - 8))


def test_restarted_sandbox_appends_to_its_log(sandbox, generate, log):
    generate()
    sandbox.stop()
    sandbox.start()
    generate()
    assert log.read_text().count("\n") == 2


def test_name_of_a_cluster_is_logged_and_any_other_name_is_not(generate, read, log):
    token = generate().json()["access_token"]
    for name in ("cluster-0", "cluster-9"):
        read(token, f"/groups/6b0000000000000000000000/clusters/{name}/backup/snapshots")
    paths = [line.split()[1] for line in log.read_text().splitlines()[1:]]
    backups = "/api/atlas/v2/groups/6b0000000000000000000000/clusters/{}/backup/snapshots"
    assert paths == [backups.format(name) for name in ("cluster-0", "{clusterName}")]
