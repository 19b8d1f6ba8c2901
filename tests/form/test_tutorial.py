"""The tutorial by its letter: its own blocks, in its order, in three terminals and a browser, in an empty directory."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import time
from pathlib import Path

import pytest
import requests
from playwright.sync_api import expect

from harness import processes
from tests.docs.pages import DOCS, ROOT, blocks
from tests.form.test_connection import Connections

pytestmark = pytest.mark.long
AIRFLOW, SANDBOX = "http://localhost:8080", "http://127.0.0.1:8765"
PAGE = (DOCS / "tutorial.md").read_text()


class Terminal:
    """Runs blocks of the page in one shell each, in the reader's directory."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.sessions: list[int] = []
        self._log = folder / "terminal.log"
        # Unbuffered, as in a terminal.
        self._environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "PYTHONUNBUFFERED": "1"}

    def start(self, text: str) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as log:
            process = subprocess.Popen(
                ["bash", "-e", "-c", text],
                cwd=self.folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.sessions.append(process.pid)
        return process

    def run(self, text: str) -> None:
        assert self.start(text).wait(timeout=540) == 0, self.output[-3000:]

    @property
    def output(self) -> str:
        return self._log.read_text(errors="replace")

    def wait_for(self, pattern: str, seconds: float = 180) -> str:
        end = time.monotonic() + seconds
        while (found := re.search(pattern, self.output)) is None:
            assert time.monotonic() < end, self.output[-3000:]
            time.sleep(0.5)
        return found.group(0)


@pytest.fixture
def terminal(tmp_path):
    for port in (8080, 8765):
        with socket.socket() as free:
            assert free.connect_ex(("127.0.0.1", port)), f"the tutorial needs port {port}"
    running = Terminal(tmp_path)
    yield running
    assert processes.end(running.sessions) == []


def token_requests() -> int:
    return requests.get(f"{SANDBOX}/_sandbox/counters", timeout=10).json()["token_requests"]


class Dags:
    """Airflow's pages about DAGs and their runs."""

    def __init__(self, page):
        self.page = page

    def switch_on(self, name):
        self.page.goto(f"{AIRFLOW}/dags/{name}")
        self.page.get_by_role("checkbox").first.locator("..").click()

    def trigger(self, name):
        """Trigger it, wait for its end, and return the last task's page."""
        runs = f"{AIRFLOW}/api/v2/dags/{name}/dagRuns"
        before = requests.get(runs, timeout=30).json()["total_entries"]
        self.page.goto(f"{AIRFLOW}/dags/{name}")
        self.page.get_by_role("button", name="Trigger").first.click()
        self.page.get_by_role("dialog").get_by_role("button", name="Trigger").click()
        return self.ended(name, before + 1)

    def ended(self, name, number):
        """Wait until so many runs have succeeded, and return the id of the latest."""
        end = time.monotonic() + 180
        while True:
            answer = requests.get(f"{AIRFLOW}/api/v2/dags/{name}/dagRuns?order_by=-run_after", timeout=30).json()
            states = [run["state"] for run in answer["dag_runs"]]
            if len(states) >= number and set(states) == {"success"}:
                return answer["dag_runs"][0]["dag_run_id"]
            assert time.monotonic() < end, states
            assert "failed" not in states
            time.sleep(1)

    def log(self, name, run, task):
        self.page.goto(f"{AIRFLOW}/dags/{name}/runs/{run}/tasks/{task}")
        return self.page.get_by_text(re.compile("Atlas token [0-9a-f]{8}, valid for"))


def test_the_tutorial_works_as_written(terminal, page):
    console = [block.parsed for block in blocks(DOCS / "tutorial.md", "console")]
    environment, checkout, _index, sandbox, airflow, reserialize, *_ = console
    first, rotation, *_ = [block.parsed for block in blocks(DOCS / "tutorial.md", "python")]
    files = re.findall(r"Save as `([\w/.-]+)`", PAGE)

    terminal.run(environment + checkout.replace("/path/to/airflow-provider-atlas", str(ROOT)))
    terminal.start(environment.splitlines()[1] + "\n" + sandbox)
    client_id, secret = terminal.wait_for(r"mdb_sa_id_\w+"), terminal.wait_for(r"mdb_sa_sk_[\w-]+")
    terminal.start(airflow)
    terminal.wait_for(re.search(r'prints "(.*)"', PAGE).group(1).split(" (")[0])

    connections = Connections(page, AIRFLOW)
    table = dict(re.findall(r"^\| ([\w ]+) \| `?([^`|]+?)`? \|$", PAGE, re.MULTILINE))
    name = table.pop("Connection ID")
    table.pop("field")
    connections.add(name, table | {"Client ID": client_id, "Client secret": secret})
    connections.save()
    connections.test(name)
    expect(connections.notice).to_contain_text("and took it back")

    dags = Dags(page)
    (terminal.folder / files[0]).write_text(first)
    terminal.run(reserialize)
    before = token_requests()
    dags.switch_on("projects")
    expect(dags.log("projects", dags.trigger("projects"), "list_projects")).to_contain_text("Generated")
    assert token_requests() == before + 1

    connections = Connections(page, AIRFLOW)
    connections.open(name)
    connections.show_extra_fields()
    connections.choose("Token scope", "deployment")
    connections.save()
    before = token_requests()
    runs = [dags.trigger("projects") for _ in range(3)]
    expect(dags.log("projects", runs[-1], "list_projects")).to_contain_text("Using the deployment's")
    assert token_requests() == before + 1

    (terminal.folder / files[1]).write_text(rotation)
    terminal.run(reserialize)
    dags.switch_on("rotation")
    dags.ended("rotation", 1)
    before = token_requests()
    dags.trigger("projects")
    assert token_requests() == before
