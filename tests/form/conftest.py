"""A real Airflow, a sandbox and Debian's Chromium, shared by all tests in this folder."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import pytest

from airflow_provider_atlas.sandbox import Sandbox
from harness.airflow import EXAMPLES, PrivateAirflow

CHROMIUM = "/usr/bin/chromium"
#: Runs as root, without a graphics card, and makes no network requests in the background.
ARGUMENTS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
]
#: The folder for the screenshots of the docs, which `make screenshots` sets.
SCREENSHOTS = os.environ.get("ATLAS_SCREENSHOTS")

# Only `make test-form` installs Playwright.
collect_ignore = (
    [] if importlib.util.find_spec("playwright") else ["test_connection.py", "test_runs.py", "test_tutorial.py"]
)


@pytest.fixture(scope="module")
def sandbox():
    with Sandbox(client_id="mdb_sa_id_0123456789abcdef01234567") as running:
        yield running


@pytest.fixture(scope="module")
def airflow(sandbox):
    with PrivateAirflow(EXAMPLES, connections={"atlas_portless": sandbox.connection | {"port": None}}) as running:
        yield running


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=20_000)
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield running
        running.close()


@pytest.fixture
def page(browser):
    page = browser.new_page(viewport={"width": 1280, "height": 800}, color_scheme="light", locale="en-US")
    yield page
    page.close()


@pytest.fixture
def screenshot(page):
    """Call it to take a screenshot for the docs, if `make screenshots` runs."""

    def take(name, height=800):
        if SCREENSHOTS:
            page.set_viewport_size({"width": 1280, "height": height})
            page.screenshot(path=Path(SCREENSHOTS) / f"{name}.png", animations="disabled")

    return take
