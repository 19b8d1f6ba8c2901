"""The session: relative URLs, versions, the token on each request and nowhere else, refusals and rate limits."""

from __future__ import annotations

import io
import json
import os
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
import requests

from airflow_provider_atlas import exceptions
from airflow_provider_atlas.api import session as module
from airflow_provider_atlas.cache import deployment
from airflow_provider_atlas.hooks import tokens
from airflow_provider_atlas.hooks.service_account import AtlasServiceAccountHook
from airflow_provider_atlas.oauth.retry import call_with_retry

GROUPS = "/api/atlas/v2/groups"


@pytest.fixture
def sleeps(mocker, clock):
    """The sleeps of the session, which uses a fake clock."""
    mocker.patch.object(module, "time", mocker.Mock(monotonic=clock, sleep=clock.sleep))
    return clock.slept


@pytest.fixture
def sent(mocker):
    """Headers, body and options of each request that is sent."""
    seen = []
    real = requests.adapters.HTTPAdapter.send

    def send(adapter, request, **options):
        if not request.path_url.startswith("/api/oauth"):
            seen.append((dict(request.headers), request.body, options))
        return real(adapter, request, **options)

    mocker.patch("requests.adapters.HTTPAdapter.send", send)
    return seen


def test_a_relative_url_is_completed_and_the_token_is_added(hook, atlas_sandbox):
    response = hook.get_conn().get(GROUPS)
    assert response.status_code == 200
    assert len(response.json()["results"]) == 3
    assert atlas_sandbox.counters.token_requests == 1


def test_a_hook_has_one_session_which_is_a_requests_session(hook):
    assert hook.get_conn() is hook.get_conn()
    assert isinstance(hook.get_conn(), requests.Session)


def test_a_request_does_not_hold_the_token_after_it_was_sent(hook, atlas_sandbox, sent):
    response = hook.get_conn().get(GROUPS)
    assert sent[0][0]["Authorization"] == f"Bearer {hook.get_token().value}"
    assert "Authorization" not in response.request.headers
    atlas_sandbox.fail_next("api", kind="drop")
    with pytest.raises(requests.ConnectionError) as caught:
        hook.get_conn().post(GROUPS)
    assert "Authorization" not in caught.value.request.headers


def test_version_and_timeout_come_from_the_connection_unless_the_call_sets_them(hook, sent):
    conn = hook.get_conn()
    conn.get(GROUPS)
    conn.get(GROUPS, headers={"Accept": "application/vnd.atlas.2024-08-05+json"}, timeout=3)
    conn.post(GROUPS, json={"name": "x"})
    conn.post(GROUPS, json={}, headers={"Content-Type": "application/json; charset=utf-8"})
    conn.post(GROUPS, data=b"raw")
    version = "application/vnd.atlas.2025-03-12+json"
    assert [headers["Accept"] for headers, _, _ in sent] == [version, version.replace("2025-03-12", "2024-08-05")] + [
        version
    ] * 3
    assert [headers.get("Content-Type") for headers, _, _ in sent[2:]] == [
        version,
        "application/json; charset=utf-8",
        None,
    ]
    assert [options["timeout"] for _, _, options in sent[:2]] == [(30.0, 30.0), 3]


def test_ca_bundle_and_proxies_come_from_the_connection_and_verification_stays_on(atlas_sandbox, monkeypatch, mocker):
    extra = {"ca_bundle": "/ours.pem", "proxies": {"https": "http://ours:1"}}
    conn = {**json.loads(os.environ["AIRFLOW_CONN_ATLAS_DEFAULT"]), "host": "https://atlas.example", "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_ATLAS_DEFAULT", json.dumps(conn))
    monkeypatch.setenv("AIRFLOW__ATLAS__ALLOWED_HOSTS", "atlas.example")
    monkeypatch.setenv("AIRFLOW__ATLAS__ALLOW_CA_BUNDLE_IN_EXTRA", "True")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/environment.pem")
    monkeypatch.setenv("HTTPS_PROXY", "http://environment:1")
    sent = mocker.patch("airflow_provider_atlas.api.session._BearerAdapter.send", side_effect=ZeroDivisionError)
    session = AtlasServiceAccountHook().get_conn()
    by_hand = session.prepare_request(requests.Request("GET", GROUPS))
    for call in (lambda: session.get(GROUPS, verify=False), lambda: session.send(by_hand, verify=False)):
        with pytest.raises(ZeroDivisionError):
            call()
        assert sent.call_args.kwargs["verify"] == "/ours.pem"
        assert sent.call_args.kwargs["proxies"]["https"] == "http://ours:1"


def test_plain_http_to_loopback_uses_no_proxy(atlas_sandbox, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as proxy:
        address = f"http://127.0.0.1:{proxy.getsockname()[1]}"
        conn = json.loads(os.environ["AIRFLOW_CONN_ATLAS_DEFAULT"])
        conn |= {"extra": {"proxies": {"http": address, "http://127.0.0.1": address, "all": address}}}
        monkeypatch.setenv("AIRFLOW_CONN_ATLAS_DEFAULT", json.dumps(conn))
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, address)
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
        hook = AtlasServiceAccountHook()
        assert hook.test_connection()[0]
        assert len(hook.run(GROUPS)["results"]) == 3
        proxy.settimeout(0.01)
        with pytest.raises(TimeoutError):
            proxy.accept()


def by_session(hook, url, method="GET", **kwargs):
    return hook.get_conn().request(method, url, **kwargs)


CALLS = [AtlasServiceAccountHook.run, by_session]


@pytest.mark.parametrize(
    "url",
    [
        "https://cloud.mongodb.com.evil.example/",
        "https://cloud.mongodb.com@evil.example/",
        "http://127.0.0.1:1/",
        "//x",
    ],
)
@pytest.mark.parametrize("call", CALLS)
def test_hook_and_session_refuse_a_url_of_another_origin_before_the_request(hook, url, call, sent):
    with pytest.raises(exceptions.InvalidCall) as caught:
        call(hook, url)
    assert isinstance(caught.value, exceptions.AtlasError)
    assert sent == []


@pytest.fixture
def other_origin(atlas_sandbox):
    """Another sandbox on another port, which counts its requests and would redirect them back."""
    from airflow_provider_atlas.sandbox import Sandbox

    with Sandbox() as other:
        for _ in range(5):
            other.fail_next("api", status=302, headers={"Location": f"{atlas_sandbox.url}{GROUPS}"})
        yield other


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("call", CALLS)
def test_a_redirect_to_another_origin_is_refused_before_the_request(
    hook, atlas_sandbox, other_origin, status, method, call, says_nothing
):
    atlas_sandbox.fail_next("api", status=status, headers={"Location": f"{other_origin.url}{GROUPS}"})
    with pytest.raises(exceptions.InvalidCall, match="redirects away") as caught:
        call(hook, GROUPS, method, json={"password": "of a database user"} if method == "POST" else None)
    assert other_origin.counters.api_requests == 0
    says_nothing(caught.value, hook.get_token().value)


def test_a_redirect_within_atlas_is_followed_with_the_token(hook, atlas_sandbox):
    atlas_sandbox.fail_next("api", status=307, headers={"Location": GROUPS})
    assert len(hook.run(GROUPS)["results"]) == 3


@pytest.mark.parametrize(("status", "method"), [(301, "POST"), (302, "DELETE"), (302, "PATCH"), (303, "PUT")])
@pytest.mark.parametrize("call", CALLS)
def test_a_redirect_that_would_make_a_change_a_get_is_an_error(hook, atlas_sandbox, status, method, call):
    atlas_sandbox.fail_next("api", status=status, headers={"Location": GROUPS})
    with pytest.raises(exceptions.UnexpectedResponse, match="redirects a change to a GET") as caught:
        call(hook, GROUPS, method)
    assert atlas_sandbox.counters.api_requests == 1
    assert caught.value.unknown_effect is (call is AtlasServiceAccountHook.run)


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("application/json", "application/json"),
        (None, "application/json"),
        ("application/vnd.atlas.2024-08-05+gzip", "application/vnd.atlas.2024-08-05+json"),
        ("application/vnd.atlas.preview+json, */*", "application/vnd.atlas.preview+json"),
    ],
)
def test_a_json_body_has_the_version_that_accept_names(hook, sent, accept, kind):
    hook.get_conn().post(GROUPS, json={}, headers={"Accept": accept})
    assert sent[-1][0]["Content-Type"] == kind


def test_proxies_of_a_request_are_used_where_the_connection_has_none_and_those_of_the_environment_are_not_kept(
    atlas_sandbox, monkeypatch, mocker
):
    sent = mocker.patch("airflow_provider_atlas.api.session._BearerAdapter.send", side_effect=ZeroDivisionError)
    session = AtlasServiceAccountHook(
        client_id=atlas_sandbox.client_id, client_secret=atlas_sandbox.client_secret
    ).get_conn()

    def proxy(**kwargs):
        with pytest.raises(ZeroDivisionError):
            session.get(GROUPS, **kwargs)
        return sent.call_args.kwargs["proxies"].get("https")

    monkeypatch.setenv("HTTPS_PROXY", "http://environment:1")
    assert proxy(proxies={"https": "http://request:1"}) == "http://request:1"
    assert proxy() == "http://environment:1"
    monkeypatch.delenv("HTTPS_PROXY")
    assert proxy() is None


def test_50_threads_with_a_revoked_token_request_one_new_token(hook, atlas_sandbox):
    token, conn = hook.get_token(), hook.get_conn()
    atlas_sandbox.revoke(token.value)
    start = threading.Barrier(50)

    def call(_: int) -> int:
        start.wait()
        return conn.get(GROUPS).status_code

    with ThreadPoolExecutor(50) as pool:
        assert set(pool.map(call, range(50))) == {200}
    assert atlas_sandbox.counters.token_requests == 2
    assert atlas_sandbox.counters.api_unauthorized <= 50


@pytest.mark.parametrize(("code", "tokens"), [("USER_UNAUTHORIZED", 1), ("", 2), ("UNAUTHORIZED", 2)])
def test_50_threads_without_rights_request_at_most_one_new_token(atlas_sandbox, code, tokens):
    client_id, secret = atlas_sandbox.add_account(rights=False, error_code=code)
    hook = AtlasServiceAccountHook(client_id=client_id, client_secret=secret, base_url=atlas_sandbox.url)
    start = threading.Barrier(50)

    def call(_: int) -> str:
        start.wait()
        try:
            return hook.run(GROUPS)
        except exceptions.AtlasApiError as error:
            return f"{error.status} {error.remedy}"

    with ThreadPoolExecutor(50) as pool:
        (text,) = set(pool.map(call, range(50)))
    assert text.startswith("401 The token is valid")
    assert atlas_sandbox.counters.token_requests == tokens
    assert atlas_sandbox.counters.active == 1


def test_a_refused_token_is_revoked_after_its_replacement(hook, atlas_sandbox):
    token = hook.get_token()
    atlas_sandbox.fail_next("api", status=401, body=b"")
    assert hook.get_conn().get(GROUPS).status_code == 200
    assert not atlas_sandbox.is_active(token.value)


def test_a_refused_token_from_another_task_raises_token_expired(hook, atlas_sandbox):
    token = hook.generate_token()
    other = AtlasServiceAccountHook(token=hook.seal(token))
    assert len(other.run(GROUPS)["results"]) == 3
    atlas_sandbox.revoke(token.value)
    before = atlas_sandbox.counters.token_requests
    with pytest.raises(exceptions.TokenExpired, match="Atlas refused the token"):
        other.run(GROUPS)
    assert atlas_sandbox.counters.token_requests == before


def test_a_task_continues_after_its_token_has_expired(hook, atlas_sandbox):
    atlas_sandbox.token_life = 1
    session = hook.get_conn()
    session.get(GROUPS)
    atlas_sandbox.token_life = 3600
    time.sleep(1.1)
    assert session.get(GROUPS).status_code == 200
    assert (atlas_sandbox.counters.token_requests, atlas_sandbox.counters.api_unauthorized) == (2, 0)


@pytest.mark.parametrize(
    ("fault", "waits"),
    [
        ({"status": 429, "headers": {"Retry-After": "7"}}, (7, 8)),
        ({"status": 503, "headers": {"Retry-After": "5"}}, (5, 6)),
        ({"status": 503}, (1, 2)),
        ({"status": 429, "body": '{"parameters": ["/x", 12, 5, 5, 60]}'}, (12, 13.2)),
        (
            {"status": 429, "body": '{"parameters": ["/x", true, 5, 5, 60]}', "headers": {"RateLimit-Limit": "5"}},
            (1, 2),
        ),
        ({"status": 429, "body": '{"parameters": ["/x", 1e9, 5, 5, 60]}'}, (1, 2)),
        ({"status": 429, "body": "<html>"}, (1, 2)),
    ],
)
def test_a_rate_limited_call_waits_as_long_as_atlas_says(hook, atlas_sandbox, sleeps, fault, waits):
    atlas_sandbox.fail_next("api", **fault)
    assert hook.get_conn().get(GROUPS).status_code == 200
    (slept,) = sleeps
    assert waits[0] <= slept <= waits[1]


def test_a_wait_longer_than_max_wait_is_not_started_and_the_response_is_returned(atlas_sandbox, sleeps):
    atlas_sandbox.fail_next("api", status=429, headers={"Retry-After": "60"})
    assert AtlasServiceAccountHook(max_wait=59).get_conn().get(GROUPS).status_code == 429
    assert sleeps == []


@pytest.mark.parametrize("scope", ["task", "deployment"])
@pytest.mark.parametrize(
    ("max_wait", "token_waits", "api", "slept"),
    [
        (6, [4], [(429, 4)], 4),  # the second wait would exceed it; each has a spread of a second
        (10.5, [4], [(429, 4)], 8),
        (10.5, [], [(429, 4), (429, 4), (429, 4)], 8),
        (10.5, [4, 4, 4], [], 8),
        (10.5, [], [(401, 0), (429, 4), (429, 4), (503, 4)], 8),
        (3, [], [(429, 4)], 0),
    ],
)
def test_max_wait_is_for_all_waits_of_one_call_together(
    atlas_sandbox, mocker, store, sleeps, clock, scope, max_wait, token_waits, api, slept
):
    begin = clock.now - time.time()
    sleeping = {"monotonic": clock, "sleep": clock.sleep, "clock": lambda: clock() - begin}
    mocker.patch.object(deployment, "SharedToken", partial(deployment.SharedToken, **sleeping))
    mocker.patch.object(tokens, "call_with_retry", partial(call_with_retry, clock=clock, sleep=clock.sleep))
    for seconds in token_waits:
        atlas_sandbox.fail_next("token", status=429, headers={"Retry-After": str(seconds)})
    for status, seconds in api:
        atlas_sandbox.fail_next("api", status=status, headers={"Retry-After": str(seconds)})
    hook = AtlasServiceAccountHook(max_wait=max_wait, cache_scope=scope)
    start = clock.now
    if slept < 4 * (len(token_waits) + sum(status != 401 for status, _ in api)):
        with pytest.raises(exceptions.AtlasError):
            hook.run(GROUPS)
    else:
        hook.run(GROUPS)
    assert slept <= clock.now - start <= max_wait


def test_under_many_429_no_call_is_lost_and_no_retry_is_too_early(atlas_sandbox):
    atlas_sandbox.page_total = 1
    atlas_sandbox.api_rate_limit, atlas_sandbox.api_refill, atlas_sandbox.api_refill_seconds = 5, 5, 1.0
    hook = AtlasServiceAccountHook(max_wait=120)
    refused: list[tuple[int, float, float]] = []  # thread, when, Retry-After
    early: list[float] = []
    conn, real = hook.get_conn(), module.BoundedAdapter.send

    def send(adapter, request, *args, **kwargs):
        me, now = threading.get_ident(), time.monotonic()
        early.extend(when + wait - now for who, when, wait in refused if who == me and now < when + wait)
        response = real(adapter, request, *args, **kwargs)
        if response.status_code == 429:
            refused.append((me, time.monotonic(), float(response.headers["Retry-After"])))
        return response

    with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor(20) as pool:
        patch.setattr(module.BoundedAdapter, "send", send)
        statuses = list(pool.map(lambda _: conn.get(GROUPS).status_code, range(30)))
    assert statuses == [200] * 30
    assert refused != []
    assert early == []


@pytest.mark.parametrize("body", [b"bytes", "text", None])
def test_a_retry_sends_the_whole_body_again(hook, atlas_sandbox, sleeps, sent, body):
    atlas_sandbox.fail_next("api", status=429)
    hook.get_conn().post(GROUPS, data=body)
    assert [seen for _, seen, _ in sent] == [body, body]


def test_a_retry_rewinds_a_file_and_a_stream_is_not_retried(hook, atlas_sandbox, sleeps):
    atlas_sandbox.fail_next("api", status=429)
    file = io.BytesIO(b"x" * 1000)
    assert hook.get_conn().post(GROUPS, data=file).status_code != 429
    atlas_sandbox.fail_next("api", status=429)
    assert hook.get_conn().post(GROUPS, data=iter([b"once"])).status_code == 429


def test_a_deprecation_is_logged_once_per_endpoint_and_task(hook, caplog):
    old = {"Accept": "application/vnd.atlas.2023-01-01+json"}
    conn = hook.get_conn()
    for group in conn.get(GROUPS, headers=old).json()["results"]:
        conn.get(f"{GROUPS}/{group['id']}", headers=old)
    AtlasServiceAccountHook().get_conn().get(GROUPS, headers=old)  # another hook of the same task
    warnings = [record.message for record in caplog.records if "deprecated" in record.message]
    assert len(warnings) == 2
    assert "GET /api/atlas/v2/groups/{id} (since" in warnings[1]
