"""The connection form in Airflow 3.3 in a browser: fill in, save, test, open again."""

from __future__ import annotations

import json
import re
import socket

import pytest
from cryptography.fernet import Fernet
from playwright.sync_api import expect

WRONG_SECRET = "mdb_sa_sk_Some-Other_Secret"


class Connections:
    """The connections page of Airflow."""

    def __init__(self, page, url):
        self.page = page
        self.form = page.get_by_role("dialog")
        self.notice = page.get_by_role("status").filter(has_text="Test Connection")
        page.goto(f"{url}/connections")

    def row(self, name):
        return self.page.get_by_role("row").filter(has=self.page.get_by_role("cell", name=name, exact=True))

    def add(self, name, fields):
        self.page.get_by_role("button", name="Add Connection").click()
        self.form.get_by_label("Connection ID").fill(name)
        self.form.get_by_label("Connection Type").fill("atlas")
        self.page.get_by_role("option", name="MongoDB Atlas service account").click()
        for label, value in fields.items():
            self.form.get_by_label(label, exact=True).fill(str(value))

    def open(self, name):
        self.row(name).get_by_role("button", name="Edit Connection").click()

    def show_extra_fields(self):
        self.form.get_by_role("button", name="Extra Fields", exact=True).click()

    def choose(self, label, value):
        self.form.get_by_role("combobox", name=label).click()
        self.page.get_by_role("option", name=value, exact=True).click()

    def extra_field(self, label):
        """The group of an extra field. Airflow does not link every label to its input."""
        return self.form.get_by_role("group").filter(has=self.page.get_by_text(label, exact=True))

    def save(self):
        self.form.get_by_role("button", name="Save").click()
        expect(self.form).to_be_hidden()
        self.page.reload()  # removes the notice that the connection was saved

    def test(self, name):
        with self.page.expect_response("**/connections/test"):
            self.row(name).get_by_role("button", name="Test Connection").click()
        self.notice.hover()  # else it disappears after two seconds


@pytest.fixture
def connections(page, airflow):
    return Connections(page, airflow.url)


@pytest.fixture
def account(sandbox):
    return {
        "Atlas URL": f"http://{sandbox.host}",
        "Client ID": sandbox.client_id,
        "Client secret": sandbox.client_secret,
        "Port": sandbox.port,
    }


def test_a_connection_entered_in_the_form_works_for_the_test_button_and_for_a_dag(
    connections, account, airflow, sandbox, screenshot
):
    connections.add("atlas_default", account)
    screenshot("connection-form", 960)
    connections.save()
    sandbox.reset_counters()
    connections.test("atlas_default")
    expect(connections.notice).to_have_text(
        f"Test Connection Successful{sandbox.url} gave a token to {sandbox.client_id} and took it back."
    )
    screenshot("connection-test", 480)
    assert (sandbox.counters.issued, sandbox.counters.revoked) == (1, 1)
    run = airflow.run_dag("atlas_token_lifecycle")
    connections.page.goto(f"{airflow.url}/dags/{run.dag_id}/runs/{run.run_id}")
    rows = connections.page.get_by_role("table").get_by_role("row").filter(has_text="Success")
    expect(rows).to_have_count(len(run.tasks))


def test_the_test_button_reports_a_wrong_secret(connections, account, screenshot):
    connections.add("atlas_wrong_secret", account | {"Client secret": WRONG_SECRET})
    connections.save()
    connections.test("atlas_wrong_secret")
    expect(connections.notice).to_contain_text("Test Connection Failed")
    expect(connections.notice).to_contain_text("HTTP 401 invalid_client")
    screenshot("connection-test-failed", 620)


def test_the_test_button_reports_an_unreachable_atlas(connections, account):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    connections.add("atlas_elsewhere", account | {"Port": port})
    connections.save()
    connections.test("atlas_elsewhere")
    expect(connections.notice).to_contain_text("Test Connection Failed")
    expect(connections.notice).to_contain_text("Nothing listens at the Atlas URL.")


def test_the_test_button_reports_an_api_key_in_place_of_the_client_id(connections, account):
    connections.add("atlas_api_key", account | {"Client ID": "abcdefgh"})
    connections.save()
    connections.test("atlas_api_key")
    expect(connections.notice).to_contain_text("A public or private API key does not work")
    expect(connections.notice).not_to_contain_text("abcdefgh")


@pytest.mark.parametrize(
    ("name", "host"),
    [
        ("atlas_mine", "https://mine.example"),
        ("atlas_look_alike", "https://cloud.mongodb.com.mine.example"),
        ("atlas_subdomain", "https://sub.cloud.mongodb.com"),
        ("atlas_ipv6", "https://[2001:db8::1]"),
    ],
)
def test_the_test_button_refuses_a_host_that_the_deployment_does_not_allow(connections, account, sandbox, name, host):
    connections.add(name, account | {"Atlas URL": host, "Port": 443})
    connections.save()
    sandbox.reset_counters()
    connections.test(name)
    expect(connections.notice).to_contain_text("Test Connection Failed")
    expect(connections.notice).to_contain_text("[atlas] allowed_hosts")
    assert sandbox.counters.token_requests == 0


def test_a_reopened_connection_shows_all_values_and_masks_the_secret(connections, account, screenshot):
    connections.add("atlas_reopened", account)
    connections.show_extra_fields()
    connections.choose("Token scope", "deployment")
    connections.extra_field("API version").get_by_role("textbox").fill("2025-03-12")
    connections.extra_field("Longest wait").get_by_role("spinbutton").fill("0")
    connections.save()
    connections.open("atlas_reopened")
    expect(connections.form.get_by_label("Client ID")).to_have_value(account["Client ID"])
    expect(connections.form.get_by_label("Client secret")).to_have_attribute("type", "password")
    expect(connections.form.get_by_label("Client secret")).to_have_value("***")
    connections.show_extra_fields()
    expect(connections.extra_field("Token scope")).to_contain_text("deployment")
    expect(connections.extra_field("API version").get_by_role("textbox")).to_have_value("2025-03-12")
    expect(connections.extra_field("Longest wait").get_by_role("spinbutton")).to_have_value("0")
    screenshot("connection-reopened", 1400)
    assert account["Client secret"] not in connections.page.content()


def test_an_edited_connection_keeps_its_secret_and_its_proxies(connections, account, airflow):
    connections.add("atlas_edited", account)
    connections.show_extra_fields()
    connections.extra_field("Proxies").get_by_role("textbox").fill('{"http": "http://127.0.0.1:1"}')
    connections.save()
    connections.open("atlas_edited")
    connections.form.get_by_label("Description").fill("Edited")
    connections.show_extra_fields()
    expect(connections.extra_field("Proxies").get_by_role("textbox")).to_have_value(
        re.compile(r'{\s*"http": "\*\*\*"\s*}')
    )
    connections.save()
    expect(connections.row("atlas_edited")).to_contain_text("Edited")
    stored = airflow.query("SELECT password, extra FROM connection WHERE conn_id = 'atlas_edited'")[0]
    password, extra = (Fernet(airflow.fernet_key).decrypt(text).decode() for text in stored)
    assert password == account["Client secret"]
    assert json.loads(extra)["proxies"] == {"http": "http://127.0.0.1:1"}


def test_airflow_refuses_to_test_a_connection_without_a_port(connections, sandbox):
    sandbox.reset_counters()
    connections.test("atlas_portless")
    expect(connections.notice).to_have_text("Test Connection FailedBad Request")
    assert sandbox.counters.token_requests == 0
