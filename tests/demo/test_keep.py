"""`make demo KEEP=1` for real: somebody can look around, and Ctrl-C leaves nothing behind."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import urllib.request
from pathlib import Path

import airflow
import pytest

from harness import processes

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parent.parent.parent
API = "/api/v1" if airflow.__version__.startswith("2.") else "/api/v2"


@pytest.fixture
def kept():
    process = subprocess.Popen(
        # What a shell starts in the background ignores Ctrl-C, and so would a demo that these tests start from there.
        ["env", "--default-signal=INT", sys.executable, "-m", "demo"],
        cwd=ROOT,
        env={**os.environ, "KEEP": "1"},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    # Its guard ends what an Airflow has left. A demo that hangs ends in an empty line below, and with it the test.
    limit = threading.Timer(500, process.kill)
    limit.start()
    yield process
    limit.cancel()
    process.kill()
    process.communicate()


def read(url: str) -> dict:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=30) as answer:
        return json.load(answer)


def test_airflow_stays_up_with_connection_dags_and_runs_until_ctrl_c(kept):
    said = ""
    while "until Ctrl-C" not in said:
        line = kept.stdout.readline()
        assert line, said
        said += line
    url = re.search(r"^  Airflow \S+ +(\S+)", said, re.MULTILINE)[1]
    atlas = re.search(r"^  Local Atlas +(\S+)", said, re.MULTILINE)[1]
    assert "3 of 3 succeeded" in said

    (connection,) = read(f"{url}{API}/connections")["connections"]
    assert (connection["connection_id"], connection["conn_type"]) == ("atlas_default", "mongodbatlas")
    dags = {dag["dag_id"] for dag in read(f"{url}{API}/dags")["dags"]}
    assert dags == {"atlas_clusters_report", "atlas_token_lifecycle", "atlas_token_rotation"}
    runs = read(f"{url}{API}/dags/~/dagRuns")["dag_runs"]
    assert [run["state"] for run in runs] == ["success"] * 3
    assert read(f"{atlas}/_sandbox/counters")["revoked"] == 2

    begun = {int(pid) for pid in Path(f"/proc/{kept.pid}/task/{kept.pid}/children").read_text().split()}
    assert len(processes.living(begun)) >= 4
    kept.send_signal(signal.SIGINT)
    assert kept.wait(60) == 0
    assert processes.living(begun) == []
