"""`make demo KEEP=1` with a real Airflow: it stays up, and Ctrl-C ends every process."""

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
FOLDERS = ROOT / "example_dags", ROOT / "demo" / "dags"
API = "/api/v1" if airflow.__version__.startswith("2.") else "/api/v2"


@pytest.fixture
def kept():
    process = subprocess.Popen(
        # A shell's background processes ignore SIGINT, and would pass that on to the demo.
        ["env", "--default-signal=INT", sys.executable, "-m", "demo"],
        cwd=ROOT,
        env={**os.environ, "KEEP": "1"},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    # A demo that hangs is killed: the test then reads an empty line and fails, and the guard ends Airflow's processes.
    limit = threading.Timer(500, process.kill)
    limit.start()
    yield process
    limit.cancel()
    process.kill()
    process.communicate()


def read(url: str) -> dict:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=30) as response:
        return json.load(response)


def test_airflow_stays_up_with_connection_dags_and_runs_until_ctrl_c(kept):
    output = ""
    while "until Ctrl-C" not in output:
        line = kept.stdout.readline()
        assert line, output
        output += line
    url = re.search(r"^  Airflow \S+ +(\S+)", output, re.MULTILINE)[1]
    atlas = re.search(r"^  Local Atlas +(\S+)", output, re.MULTILINE)[1]
    number = 3 if API == "/api/v1" else 7  # the secret is rotated through the API of Airflow 3
    assert f"{number} of {number} succeeded" in output

    connections = {each["connection_id"]: each["conn_type"] for each in read(f"{url}{API}/connections")["connections"]}
    assert connections["atlas_default"] == "mongodbatlas"
    dags = {dag["dag_id"] for dag in read(f"{url}{API}/dags")["dags"]}
    assert dags >= {path.stem for folder in FOLDERS for path in folder.glob("atlas_*.py")}
    runs = read(f"{url}{API}/dags/~/dagRuns")["dag_runs"]
    states = [run["state"] for run in runs]  # with those that the schedules of unpaused DAGs have begun by themselves
    assert states.count("success") >= number
    assert "failed" not in states
    assert read(f"{atlas}/_sandbox/counters")["revoked"] >= 2

    children = {int(pid) for pid in Path(f"/proc/{kept.pid}/task/{kept.pid}/children").read_text().split()}
    assert len(processes.find(children)) >= 4
    kept.send_signal(signal.SIGINT)
    assert kept.wait(60) == 0
    assert processes.find(children) == []
