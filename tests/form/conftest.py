"""A real Airflow and a sandbox, and Debian's Chromium to type into the form; shared by all tests of this folder."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import pytest

from airflow_provider_atlas.sandbox import Sandbox
from harness.airflow import EXAMPLES, PrivateAirflow

CHROMIUM = "/usr/bin/chromium"
#: As root, without a graphics card, and silent on the network.
ARGUMENTS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
]
#: Where the pictures of the docs go, if they are wanted: `make screenshots`.
PICTURES = os.environ.get("ATLAS_SCREENSHOTS")

# Only `make test-form` installs Playwright.
collect_ignore = [] if importlib.util.find_spec("playwright") else ["test_connection.py"]


@pytest.fixture(scope="module")
def sandbox():
    with Sandbox(client_id="mdb_sa_id_0123456789abcdef01234567") as running:
        yield running


@pytest.fixture(scope="module")
def airflow(sandbox):
    with PrivateAirflow(EXAMPLES, connections={"atlas_portless": sandbox.connection}) as running:
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
def picture(page):
    """Takes a picture for the docs, if they are wanted."""

    def take(name, height=800):
        if PICTURES:
            page.set_viewport_size({"width": 1280, "height": height})
            page.screenshot(path=Path(PICTURES) / f"{name}.png", animations="disabled")

    return take
