"""What is repeated: reads after hiccups, changes only if they certainly had no effect."""

from __future__ import annotations

import json
import socket

import pytest
import requests
import urllib3

from airflow_provider_atlas import exceptions
from airflow_provider_atlas.api.obstacles import limit_of, obstacle
from airflow_provider_atlas.hooks.service_account import AtlasServiceAccountHook

GROUPS = "/api/atlas/v2/groups"
WRITES = ("POST", "PUT", "PATCH", "DELETE")
BUCKET = {"errorCode": "RATE_LIMITED_TOKEN_BUCKET", "parameters": ["/x", 7, 10, 1, 60]}


def response(status, body=None, **headers):
    made = requests.Response()
    made.status_code, made._content = status, b"" if body is None else json.dumps(body).encode()
    made.headers.update(headers)
    return made


@pytest.mark.parametrize(
    ("status", "body", "headers", "limited", "wait"),
    [
        (429, None, {}, True, None),
        (429, None, {"Retry-After": "3"}, True, 3),
        (429, BUCKET, {}, True, 7),
        (429, {"errorCode": "RATE_LIMITED"}, {}, True, None),
        (429, {"errorCode": ""}, {}, True, None),
        (429, {"errorCode": "TOO_MANY_THINGS"}, {"Retry-After": "3"}, True, 3),
        (429, {"errorCode": "TOO_MANY_THINGS"}, {}, False, None),
        (503, BUCKET, {}, True, 7),
        (503, None, {"Retry-After": "3"}, False, None),
        (403, {"errorCode": "FORBIDDEN"}, {}, False, None),
    ],
)
def test_a_rate_limit_is_told_by_what_atlas_says(status, body, headers, limited, wait):
    found = limit_of(response(status, body, **headers))
    assert (found is not None) is limited
    assert found is None or found.retry_after == wait


@pytest.mark.parametrize(
    ("status", "read", "change"),
    [
        (200, None, None),
        (302, None, None),
        (400, None, None),
        (404, None, None),
        (429, exceptions.RateLimited, exceptions.RateLimited),
        (500, exceptions.ServerError, None),
        (501, None, None),
        (502, exceptions.ServerError, None),
        (503, exceptions.ServiceUnavailable, None),
        (504, exceptions.ServerError, None),
    ],
)
def test_each_status_for_a_read_and_for_a_change(status, read, change):
    assert type(obstacle(response(status), reads=True)) is (read or type(None))
    assert type(obstacle(response(status), reads=False)) is (change or type(None))


FAULTS = {
    "500": {"status": 500},
    "502": {"status": 502, "body": "<html>"},
    "503": {"status": 503, "headers": {"Retry-After": "2"}},
    "504": {"status": 504},
    "dropped": {"kind": "drop"},
    "broken gzip": {"status": 200, "body": "x", "headers": {"Content-Encoding": "gzip"}},
    "not JSON": {"status": 200, "body": "<html>"},
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_read_is_repeated_after_a_hiccup(time_of_tests, hook, atlas_sandbox, fault):
    atlas_sandbox.fail_next("api", times=2, **FAULTS[fault])
    assert len(hook.run(GROUPS)["results"]) == 3
    assert atlas_sandbox.counters.api_requests == 3
    assert len(time_of_tests.slept) == 2


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("method", WRITES)
def test_a_change_is_not_repeated_and_the_error_says_that_it_may_have_been_made(
    time_of_tests, hook, atlas_sandbox, method, fault
):
    atlas_sandbox.fail_next("api", **FAULTS[fault])
    with pytest.raises(exceptions.AtlasError) as caught:
        hook.run(f"{GROUPS}/0123456789abcdef01234567", method, json={})
    if fault != "not JSON":  # a success that cannot be read
        assert "Atlas may have made the change" in str(caught.value)
    assert atlas_sandbox.counters.api_requests == 1
    assert time_of_tests.slept == []


@pytest.mark.parametrize("method", WRITES)
def test_a_change_is_repeated_after_a_rate_limit(time_of_tests, hook, atlas_sandbox, method):
    atlas_sandbox.fail_next("api", status=429, headers={"Retry-After": "5"})
    with pytest.raises(exceptions.AtlasApiError) as caught:
        hook.run("/api/atlas/v2/nothing", method, json={})
    assert atlas_sandbox.counters.api_requests == 2
    assert not caught.value.unknown_effect
    assert time_of_tests.slept[0] >= 5


@pytest.mark.parametrize("method", ["GET", *WRITES])
def test_every_request_is_repeated_that_had_no_connection(time_of_tests, atlas_sandbox, method):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    hook = AtlasServiceAccountHook(
        client_id=atlas_sandbox.client_id,
        client_secret=atlas_sandbox.client_secret,
        base_url=f"http://127.0.0.1:{port}",
        max_wait=20,
    )
    hook.get_conn()._adapter._source = lambda: AtlasServiceAccountHook()._find_source()
    with pytest.raises(exceptions.AtlasUnreachable, match="Nothing listens") as caught:
        hook.run(GROUPS, method)
    assert len(time_of_tests.slept) > 2
    assert sum(time_of_tests.slept) <= 20
    assert not caught.value.unknown_effect


@pytest.mark.parametrize(
    ("cause", "sent"),
    [
        (urllib3.exceptions.ConnectTimeoutError(None, "timed out"), False),
        (urllib3.exceptions.ProxyError("", OSError("Tunnel connection failed: 403 Forbidden")), False),
        (urllib3.exceptions.ClosedPoolError(None, "Pool is closed."), False),
        (urllib3.exceptions.ProtocolError("", ConnectionResetError()), True),
        (urllib3.exceptions.ReadTimeoutError(None, "/", "timed out"), True),
    ],
)
def test_a_change_may_have_been_made_only_if_there_was_a_connection(hook, mocker, cause, sent):
    error = requests.ConnectionError(urllib3.exceptions.MaxRetryError(None, "/", cause))
    mocker.patch("requests.adapters.HTTPAdapter.send", side_effect=error)
    hook.get_conn()._adapter._source = lambda: mocker.Mock(**{"get.return_value.value": "token"})
    hook.get_conn().max_wait = hook.get_conn()._adapter._max_wait = 0
    with pytest.raises(exceptions.AtlasUnreachable) as caught:
        hook.run(GROUPS, "POST", json={})
    assert caught.value.unknown_effect is sent


def test_a_read_that_keeps_failing_ends_with_its_error(time_of_tests, hook, atlas_sandbox):
    atlas_sandbox.fail_next("api", times=50, status=500)
    with pytest.raises(exceptions.AtlasApiError, match="HTTP 500"):
        hook.run(GROUPS)
    assert atlas_sandbox.counters.api_requests == 4


def test_without_a_wait_nothing_is_repeated(atlas_sandbox):
    atlas_sandbox.fail_next("api", status=503)
    with pytest.raises(exceptions.AtlasApiError, match="HTTP 503"):
        AtlasServiceAccountHook(max_wait=0).run(GROUPS)
    assert atlas_sandbox.counters.api_requests == 1


def test_a_request_of_the_session_can_have_a_wait_of_its_own(time_of_tests, hook, atlas_sandbox):
    atlas_sandbox.fail_next("api", times=2, status=503, headers={"Retry-After": "9"})
    conn = hook.get_conn()
    assert conn.request("GET", GROUPS, max_wait=0).status_code == 503
    assert conn.request("GET", GROUPS, max_wait=5).status_code == 503
    assert conn.get(GROUPS).status_code == 200
    assert time_of_tests.slept == []


FAULTS_OF_PAGES = [
    {"kind": "drop"},
    {"status": 502, "body": "<html>bad gateway"},
    {"status": 503},
    {"status": 429, "headers": {"Retry-After": "1"}},
    {"status": 200, "body": '{"results": [1, 2'},
    {"status": 200, "body": "\x1f\x8b broken", "headers": {"Content-Encoding": "gzip"}},
]


def test_500_pages_with_a_fault_at_each_yield_every_item_once_and_in_order(time_of_tests, hook, atlas_sandbox):
    atlas_sandbox.page_total = 1000
    expected = [group["id"] for group in AtlasServiceAccountHook().paginate(GROUPS)]
    ids = []
    for number, group in enumerate(hook.paginate(GROUPS, params={"itemsPerPage": 2})):
        if number % 2 == 0:
            atlas_sandbox.fail_next("api", **FAULTS_OF_PAGES[number // 2 % len(FAULTS_OF_PAGES)])
        ids.append(group["id"])
    assert ids == expected
    assert len(set(ids)) == 1000
    assert atlas_sandbox.counters.faults >= 499
