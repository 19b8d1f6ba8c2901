"""Each DAG of the documentation, run by a real Airflow."""

from __future__ import annotations

import gzip
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from airflow_provider_atlas.sandbox import Sandbox
from harness.airflow import PrivateAirflow
from tests.docs.pages import DOCS, PAGES, blocks, is_dag

pytestmark = pytest.mark.integration

DAGS = {
    re.findall(r"@dag.*\ndef (\w+)", block.parsed)[0]: block.parsed
    for page in PAGES
    for block in blocks(page, "python")
    if is_dag(block)
}
#: What the run of a DAG is triggered with, where the page's own value would take long.
CONF = {"thousand": {"tasks": 12}}
#: What the sandbox does not have: part of the path, and its response.
RESPONSES = {
    "/logs/mongodb.gz": gzip.compress(b"log"),
    "/invoices/i1/csv": b"date,cents\n",
    "/invoices": json.dumps({"results": [{"id": "i1"}], "totalCount": 1}).encode(),
}


@pytest.fixture(scope="module")
def sandbox():
    with Sandbox(rate_limit=100) as running:
        for path, body in RESPONSES.items():
            running.fail_next("api", times=3, status=200, body=body, path=path)
        yield running


@pytest.fixture(scope="module")
def airflow(sandbox, tmp_path_factory):
    dags = tmp_path_factory.mktemp("dags")
    for dag_id, text in DAGS.items():
        (dags / f"{dag_id}.py").write_text(text)
    with PrivateAirflow(dags, connections={"atlas_default": sandbox.connection}) as running:
        if running.version.startswith("2."):
            pytest.skip("the pages import airflow.sdk")
        yield running


@pytest.mark.parametrize("dag_id", sorted(DAGS))
def test_a_dag_of_the_documentation_succeeds(airflow, dag_id):
    run = airflow.run_dag(dag_id, CONF.get(dag_id))
    assert run.state == "success", "\n".join(run.errors(airflow.logs()))


def test_the_recipes_write_what_they_say(airflow):
    files = {"all_clusters": "all_clusters.csv", "host_log": "mongodb.log.gz", "invoices": "i1.csv"}
    for dag_id, name in files.items():
        (Path("/tmp") / name).unlink(missing_ok=True)
        assert airflow.run_dag(dag_id).state == "success"
    first, *lines = Path("/tmp/all_clusters.csv").read_text().splitlines()
    assert first == "project,name,stateName,paused,mongoDBVersion"
    assert lines
    assert gzip.decompress(Path("/tmp/mongodb.log.gz").read_bytes()) == b"log"
    assert Path("/tmp/i1.csv").read_bytes() == b"date,cents\n"


def test_an_async_task_with_many_threads_requests_one_token(airflow, sandbox):
    sandbox.reset_counters()
    assert airflow.run_dag("many_pages").state == "success"
    assert (sandbox.counters.token_requests, sandbox.counters.api_requests) == (1, 10)


def test_the_tutorial_requests_as_many_tokens_as_it_says(airflow, sandbox):
    def token_requests(dag_id):
        sandbox.reset_counters()
        assert airflow.run_dag(dag_id).state == "success"
        return sandbox.counters.token_requests

    token_requests("decommission")
    assert [token_requests("projects") for _ in range(2)] == [1, 1]
    edited = {"connection_id": "atlas_default", "conn_type": "mongodbatlas", "extra": '{"cache_scope": "deployment"}'}
    airflow.rest.request("PATCH", "/connections/atlas_default?update_mask=extra", edited)
    assert [token_requests("projects") for _ in range(3)] == [1, 0, 0]
    assert [token_requests(dag_id) for dag_id in ("rotation", "projects")] == [1, 0]


def test_the_page_on_testing_your_own_dags_works_as_written(tmp_path):
    page = DOCS / "how-to" / "test-your-dags.md"
    (project,) = [block.parsed for block in blocks(page, "toml")]
    loads, dag, *tests = [block.parsed for block in blocks(page, "python")]
    files = {
        "pyproject.toml": project,
        "tests/conftest.py": loads,
        "dags/project_names.py": dag,
        "tests/test_project_names.py": "\n\n".join(tests),
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
        assert "`" + name + "`" in page.read_text()
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "PYTEST"))}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    ran = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert "3 passed" in ran.stdout, ran.stdout + ran.stderr
