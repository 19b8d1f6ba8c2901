"""The handle: it listens on loopback only, leaves nothing behind, and does to tokens what others would do at Atlas."""

from __future__ import annotations

import json
import re
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from airflow_provider_atlas.hooks.service_account import AtlasServiceAccountHook
from airflow_provider_atlas.sandbox import Counters, Sandbox


def threads():
    return [thread for thread in threading.enumerate() if thread.name == "atlas-sandbox"]


def test_a_stopped_sandbox_leaves_no_thread_and_a_free_port():
    with Sandbox() as sandbox:
        assert len(threads()) == 1
        assert requests.get(sandbox.url, timeout=10).status_code == 200
    assert threads() == []
    socket.create_server(("127.0.0.1", sandbox.port)).close()


def test_a_stop_and_a_start_are_an_outage_with_the_same_url_account_and_tokens(sandbox, generate, read):
    url, token = sandbox.url, generate().json()["access_token"]
    sandbox.stop()
    with pytest.raises(requests.exceptions.ConnectionError):
        generate()
    sandbox.start()
    assert (sandbox.url, read(token).status_code, sandbox.counters.issued) == (url, 200, 1)


def test_stopping_twice_is_stopping_once_and_starting_twice_is_an_error(sandbox):
    with pytest.raises(RuntimeError, match="already running"):
        sandbox.start()
    sandbox.stop()
    sandbox.stop()
    assert threads() == []


def test_a_sandbox_can_be_stopped_as_soon_as_it_is_started():
    Sandbox().start().stop()
    assert threads() == []


def test_answers_do_not_wait_for_acknowledgements(sandbox):
    with requests.Session() as session:
        started = time.monotonic()
        for _ in range(50):
            session.get(f"{sandbox.url}/_sandbox/counters", timeout=10)
    # With Nagle's algorithm in the way it takes 2 s.
    assert time.monotonic() - started < 1.5


def test_a_sandbox_stops_under_load(sandbox, generate):
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(generate) for _ in range(200)]
        asked[20].result(timeout=10)
        sandbox.stop()
    errors = [one.exception() for one in asked]
    assert {type(error) for error in errors} == {type(None), requests.exceptions.ConnectionError}
    assert threads() == []


def test_two_sandboxes_know_nothing_of_each_other(sandbox, generate):
    with Sandbox() as other:
        generate()
        assert (other.url == sandbox.url, other.counters, other.issued) == (False, Counters(), ())


def test_before_its_start_it_has_no_url():
    with pytest.raises(RuntimeError, match="before it is started"):
        _ = Sandbox().url


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "cloud.mongodb.com", "", "127.0.0.1.evil.example"])  # noqa: S104
def test_it_listens_on_loopback_addresses_only(host):
    with pytest.raises(ValueError, match=r"loopback|does not appear to be an IPv4 or IPv6 address"):
        Sandbox(host=host)


@pytest.mark.parametrize(
    ("host", "url"),
    [("127.0.0.1", "http://127.0.0.1:7"), ("localhost", "http://localhost:7"), ("::1", "http://[::1]:7")],
)
def test_the_url_names_the_host_as_a_url_does(host, url):
    assert Sandbox(host=host, port=7).url == url


def test_a_port_that_is_taken_is_an_error_and_leaves_no_thread(sandbox, tmp_path):
    log = tmp_path / "requests.log"
    with pytest.raises(OSError, match="in use"):
        Sandbox(port=sandbox.port, log_file=log).start()
    assert len(threads()) == 1


def test_the_default_account_looks_like_one_of_atlas(sandbox):
    assert re.fullmatch(r"mdb_sa_id_[0-9a-f]{24}", sandbox.client_id)
    assert re.fullmatch(r"mdb_sa_sk_[\w-]+_[\w-]+", sandbox.client_secret)


def test_the_default_account_can_be_given():
    sandbox = Sandbox(client_id="mdb_sa_id_given", client_secret="mdb_sa_sk_given")
    assert (sandbox.client_id, sandbox.client_secret) == ("mdb_sa_id_given", "mdb_sa_sk_given")


def test_the_secret_is_not_in_the_repr(sandbox):
    assert sandbox.client_id in repr(sandbox)
    assert sandbox.client_secret not in repr(sandbox)


@pytest.mark.parametrize(
    ("options", "status", "code"),
    [({}, 200, None), ({"rights": False}, 401, "USER_UNAUTHORIZED"), ({"rights": False, "error_code": ""}, 401, "")],
)
def test_another_account_has_the_rights_that_it_was_given(sandbox, generate, read, options, status, code):
    token = generate(auth=sandbox.add_account(**options)).json()["access_token"]
    answer = read(token)
    assert (answer.status_code, answer.json().get("errorCode")) == (status, code)


def test_a_deleted_secret_opens_nothing_and_nor_do_its_tokens(sandbox, generate, read):
    second = sandbox.add_secret(sandbox.client_id)
    old = generate().json()["access_token"]
    new = generate(auth=(sandbox.client_id, second)).json()["access_token"]
    sandbox.delete_secret(sandbox.client_secret)
    assert [read(old).status_code, read(new).status_code, generate().status_code] == [401, 200, 401]


@pytest.mark.parametrize("end", ["revoke", "expire"])
def test_somebody_else_can_end_a_token(sandbox, generate, read, end):
    token = generate().json()["access_token"]
    before = sandbox.is_active(token)
    getattr(sandbox, end)(token)
    assert (before, sandbox.is_active(token), read(token).status_code) == (True, False, 401)
    assert (sandbox.counters.revoked, sandbox.counters.active, sandbox.issued) == (0, 0, (token,))


def test_the_clock_ends_a_token(sandbox, generate, clock):
    token = generate().json()["access_token"]
    clock.now += 3600
    assert (sandbox.is_active(token), sandbox.counters.active) == (False, 0)


def test_knobs_can_be_turned_while_it_runs(sandbox, generate):
    statuses = [generate().status_code]
    sandbox.ip_denied = True
    statuses.append(generate().status_code)
    sandbox.ip_denied, sandbox.token_cap = False, 1
    statuses.append(generate().status_code)
    sandbox.rate_limit = 1
    statuses.append(generate().status_code)
    sandbox.reset_counters()
    assert statuses == [200, 403, 403, 429]
    assert sandbox.counters == Counters(active=1)


def test_its_connection_leads_a_hook_to_its_default_account(sandbox, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_ATLAS_SANDBOX", json.dumps(sandbox.connection))
    account = AtlasServiceAccountHook("atlas_sandbox").settings.account
    assert (account.client_id, account.client_secret) == (sandbox.client_id, sandbox.client_secret)
    assert account.base_url == sandbox.url
    with pytest.raises(RuntimeError, match="has no URL before it is started"):
        _ = Sandbox().connection
