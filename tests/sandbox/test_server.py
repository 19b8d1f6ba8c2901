"""The running sandbox: it listens on loopback only, leaves nothing behind, and a test can change tokens and knobs."""

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


def test_stopped_sandbox_leaves_no_thread_and_a_free_port():
    with Sandbox() as sandbox:
        assert len(threads()) == 1
        assert requests.get(sandbox.url, timeout=10).status_code == 200
    assert threads() == []
    socket.create_server(("127.0.0.1", sandbox.port)).close()


def test_restarted_sandbox_has_the_same_url_account_and_tokens(sandbox, generate, read):
    url, token = sandbox.url, generate().json()["access_token"]
    sandbox.stop()
    with pytest.raises(requests.exceptions.ConnectionError):
        generate()
    sandbox.start()
    assert (sandbox.url, read(token).status_code, sandbox.counters.issued) == (url, 200, 1)


def test_second_start_is_an_error_and_second_stop_does_nothing(sandbox):
    with pytest.raises(RuntimeError, match="already running"):
        sandbox.start()
    sandbox.stop()
    sandbox.stop()
    assert threads() == []


def test_sandbox_can_be_stopped_right_after_its_start():
    Sandbox().start().stop()
    assert threads() == []


def test_response_does_not_wait_for_an_acknowledgement(sandbox):
    with requests.Session() as session:
        started = time.monotonic()
        for _ in range(250):
            session.get(f"{sandbox.url}/_sandbox/counters", timeout=10)
    # With Nagle's algorithm it takes 10 s.
    assert time.monotonic() - started < 8


def test_sandbox_can_be_stopped_under_load(sandbox, generate):
    with ThreadPoolExecutor(8) as pool:
        requested = [pool.submit(generate) for _ in range(200)]
        requested[20].result(timeout=10)
        sandbox.stop()
    errors = [one.exception() for one in requested]
    assert {type(error) for error in errors} == {type(None), requests.exceptions.ConnectionError}
    assert threads() == []


def test_two_sandboxes_share_nothing(sandbox, generate):
    with Sandbox() as other:
        generate()
        assert (other.url == sandbox.url, other.counters, other.issued) == (False, Counters(), ())


def test_sandbox_has_no_url_before_its_start():
    with pytest.raises(RuntimeError, match="before it is started"):
        _ = Sandbox().url


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "cloud.mongodb.com", "", "127.0.0.1.evil.example"])  # noqa: S104
def test_host_that_is_not_a_loopback_address_is_refused(host):
    with pytest.raises(ValueError, match=r"loopback|does not appear to be an IPv4 or IPv6 address"):
        Sandbox(host=host)


@pytest.mark.parametrize(
    ("host", "url"),
    [("127.0.0.1", "http://127.0.0.1:7"), ("localhost", "http://localhost:7"), ("::1", "http://[::1]:7")],
)
def test_url_has_ipv6_hosts_in_brackets(host, url):
    assert Sandbox(host=host, port=7).url == url


def test_start_on_a_port_in_use_is_an_error_and_leaves_no_thread(sandbox, tmp_path):
    log = tmp_path / "requests.log"
    with pytest.raises(OSError, match="in use"):
        Sandbox(port=sandbox.port, log_file=log).start()
    assert len(threads()) == 1


def test_generated_account_has_atlas_s_form(sandbox):
    assert re.fullmatch(r"mdb_sa_id_[0-9a-f]{24}", sandbox.client_id)
    assert re.fullmatch(r"mdb_sa_sk_[\w-]+_[\w-]+", sandbox.client_secret)


def test_default_account_can_be_chosen():
    sandbox = Sandbox(client_id="mdb_sa_id_given", client_secret="mdb_sa_sk_given")
    assert (sandbox.client_id, sandbox.client_secret) == ("mdb_sa_id_given", "mdb_sa_sk_given")


def test_repr_does_not_show_the_secret(sandbox):
    assert sandbox.client_id in repr(sandbox)
    assert sandbox.client_secret not in repr(sandbox)


@pytest.mark.parametrize(
    ("options", "status", "code"),
    [({}, 200, None), ({"rights": False}, 401, "USER_UNAUTHORIZED"), ({"rights": False, "error_code": ""}, 401, "")],
)
def test_added_account_has_the_rights_that_were_chosen(sandbox, generate, read, options, status, code):
    token = generate(auth=sandbox.add_account(**options)).json()["access_token"]
    response = read(token)
    assert (response.status_code, response.json().get("errorCode")) == (status, code)


def test_deleted_secret_and_its_tokens_are_refused(sandbox, generate, read):
    second = sandbox.add_secret(sandbox.client_id)
    old = generate().json()["access_token"]
    new = generate(auth=(sandbox.client_id, second)).json()["access_token"]
    sandbox.delete_secret(sandbox.client_secret)
    assert [read(old).status_code, read(new).status_code, generate().status_code] == [401, 200, 401]


@pytest.mark.parametrize("end", ["revoke", "expire"])
def test_token_can_be_revoked_or_expired_without_a_request(sandbox, generate, read, end):
    token = generate().json()["access_token"]
    before = sandbox.is_active(token)
    getattr(sandbox, end)(token)
    assert (before, sandbox.is_active(token), read(token).status_code) == (True, False, 401)
    assert (sandbox.counters.revoked, sandbox.counters.active, sandbox.issued) == (0, 0, (token,))


def test_token_expires_by_the_sandbox_s_clock(sandbox, generate, clock):
    token = generate().json()["access_token"]
    clock.now += 3600
    assert (sandbox.is_active(token), sandbox.counters.active) == (False, 0)


def test_knobs_can_be_changed_while_it_runs(sandbox, generate):
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


def test_hook_uses_the_default_account_of_the_sandbox_s_connection(sandbox, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_ATLAS_SANDBOX", json.dumps(sandbox.connection))
    account = AtlasServiceAccountHook("atlas_sandbox").settings.account
    assert (account.client_id, account.client_secret) == (sandbox.client_id, sandbox.client_secret)
    assert account.base_url == sandbox.url
    with pytest.raises(RuntimeError, match="has no URL before it is started"):
        _ = Sandbox().connection
