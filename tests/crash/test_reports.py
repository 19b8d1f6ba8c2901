"""Whatever fails, and wherever: the report of a crash reporter with its default settings holds no secret."""

from __future__ import annotations

import base64
import json
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from types import CodeType, FrameType
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
import requests
from airflow.providers.common.compat.sdk import DAG

from airflow_provider_atlas import frames
from airflow_provider_atlas.api.session import AtlasSession
from airflow_provider_atlas.exceptions import InvalidSealedToken
from airflow_provider_atlas.operators.token import RevokeTokenOperator
from airflow_provider_atlas.sandbox import Sandbox
from tests.crash import operations
from tests.crash.operations import ALL, API, REVOKE, TOKEN, World
from tests.crash.reporter import PROXY_PASSWORD, Reporter, report, report_by_log, search_for

#: Where an error is raised: at each call within, into and out of this package, and within the library beneath all.
OURS, LIBRARY = "/airflow_provider_atlas/", "/http/client.py"
#: `frames` cannot protect itself; the sandbox is another machine; an error where a thread or a callback begins is lost.
ELSEWHERE = (frames.__file__, "/airflow_provider_atlas/sandbox/", "/sentry_sdk/", "/asyncio/", threading.__file__)
#: Of the calls beneath an operation so many are tried, evenly spread.
CALLS = 20
Call = tuple[CodeType, CodeType]


def base64_of(text: str) -> str:
    return base64.b64encode(f"in the middle of {text}.".encode()).decode()


class Interrupted(BaseException):
    """As Airflow's timeout of a task."""


class Bug(Exception):
    """What nobody expected."""


def _call(frame: FrameType, event: str) -> Call | None:
    caller = frame.f_back
    if event != "call" or caller is None:
        return None
    names = caller.f_code.co_filename, frame.f_code.co_filename
    if any(part in name for name in names for part in ELSEWHERE):
        return None
    if any(OURS in name for name in names) or names[1].endswith(LIBRARY):
        return caller.f_code, frame.f_code
    return None


@contextmanager
def profiled(function: Callable[[FrameType, str, object], None]) -> Iterator[None]:
    threading.setprofile(function)
    sys.setprofile(function)
    try:
        yield
    finally:
        sys.setprofile(None)
        threading.setprofile(None)


def calls_beneath(operation: Callable[[], object]) -> list[Call]:
    """Each call, of one function by another, that an operation makes."""
    calls: dict[Call, None] = {}

    def note(frame: FrameType, event: str, _: object) -> None:
        if (call := _call(frame, event)) is not None:
            calls[call] = None

    with profiled(note):
        report(operation)
    return list(calls)


@contextmanager
def failing_at(call: Call, error: BaseException) -> Iterator[None]:
    """Raise at the first such call."""
    left = [error]

    def fail(frame: FrameType, event: str, _: object) -> None:
        if left and _call(frame, event) == call:
            raise left.pop()

    with profiled(fail):
        yield


def failures_of(
    name: str, kind: type[BaseException], make: Callable[[], World], reporter: Reporter
) -> Iterator[tuple[str, str]]:
    """Where an operation was made to fail, all over what is beneath it, and what was reported of it."""

    def operation() -> object:
        return ALL[name](here)

    here = make()
    report(operation)  # it imports modules
    here = make()
    calls = calls_beneath(operation)
    for call in calls[:: len(calls) // CALLS + 1]:
        reporter.events.clear()
        here = make()

        def failing(call: Call = call) -> None:
            with failing_at(call, kind()):
                operation()

        report(failing)
        yield f"{call[0].co_qualname} calls {call[1].co_qualname}", json.dumps(reporter.events)


# An error at the first call of a request's thread ends the thread, which pytest would report.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize(("stored", "kind"), [(True, Interrupted), (False, Bug)], ids=["stored", "credentials"])
@pytest.mark.parametrize("name", ALL)
def test_an_error_at_any_call_beneath_an_operation_reports_no_secret(name, stored, kind, world, sandbox, reporter):
    texts = dict(failures_of(name, kind, lambda: world(stored=stored), reporter))
    assert any(kind.__name__ in text for text in texts.values())
    search = search_for(sandbox)
    found = {place: search.found_in(text.encode()) for place, text in texts.items()}
    assert {place: secrets for place, secrets in found.items() if secrets} == {}


@pytest.mark.parametrize("name", [name for name in ALL if name not in ("copy", "deepcopy", "pickle")])
def test_with_frames_that_are_not_cleared_each_operation_reports_a_secret(name, world, sandbox, reporter, mocker):
    mocker.patch.object(frames, "_clear")
    texts = failures_of(name, Interrupted, lambda: world(stored=False), reporter)
    assert any(search_for(sandbox).found_in(text.encode()) for _, text in texts)


def echo(sandbox: Sandbox, endpoint: str) -> str:
    """A refusal that repeats the whole request."""
    pair = f"{sandbox.client_id}:{sandbox.client_secret}"
    basic = [f"Basic {base64.b64encode(pair.encode()).decode()}", pair, quote(pair)]
    token = sandbox.issued[-1]
    sent = {"token": basic, "revoke": [*basic, f"token={token}"], "api": [f"Bearer {token}"]}[endpoint]
    return json.dumps({"error": "x", "error_description": " ".join(sent), "detail": " ".join(sent)})


FAULTS: dict[str, dict[str, Any]] = {
    **{str(status): {"status": status} for status in (302, 400, 401, 403, 404, 429, 500, 503)},
    "a redirect to itself": {"status": 302, "headers": {"Location": operations.GROUPS}},
    "a redirect elsewhere": {"status": 302, "headers": {"Location": "https://elsewhere.example/"}},
    "a page": {"status": 200, "body": "<html>"},
    "no JSON object": {"status": 200, "body": "[]"},
    "broken gzip": {"status": 200, "body": "x", "headers": {"Content-Encoding": "gzip"}},
    "another encoding": {"status": 200, "body": "x", "headers": {"Content-Encoding": "br"}},
    "the connection closes": {"kind": "drop"},
    "silence": {"kind": "silence"},
}


@pytest.mark.parametrize("logged", [False, True], ids=["captured", "logged"])
@pytest.mark.parametrize("fault", [*FAULTS, "echo"])
def test_a_fault_of_atlas_reports_no_secret(fault, logged, world, sandbox, reporter):
    for endpoint, table in (("token", TOKEN), ("revoke", REVOKE), ("api", API)):
        for name, operation in table.items():
            here = world(stored=not logged)
            sandbox.faults[endpoint].clear()
            order = FAULTS.get(fault) or {"status": 400, "body": echo(sandbox, endpoint)}
            sandbox.fail_next(endpoint, times=40, **order)
            (report_by_log if logged else report)(lambda operation=operation, here=here: operation(here))
            sandbox.faults[endpoint].clear()
            assert reporter.events or name == "settings" or fault.startswith("a redirect"), name
    assert reporter.found(sandbox) == set()


#: Where the connection leads, and how; whether by its fields or the environment.
WAYS: dict[str, dict[str, Any]] = {
    "nothing listens": {"host": "http://127.0.0.1:1"},
    "no such host": {"host": "https://atlas.invalid", "extra": {}},
    "the proxy does not listen": {"host": "https://cloud.mongodb.com"},
    "the proxy needs SOCKS": {
        "host": "https://cloud.mongodb.com",
        "extra": {"proxies": {"https": f"socks5://user:{quote(PROXY_PASSWORD, safe='')}@127.0.0.1:9"}},
    },
    "the proxy is not a URL": {
        "host": "https://cloud.mongodb.com",
        "extra": {"proxies": {"https": f"http://user:{PROXY_PASSWORD}@127.0.0.1:port"}},
    },
}


@pytest.mark.parametrize("way", WAYS)
def test_a_connection_that_leads_nowhere_reports_no_secret(way, world, sandbox, reporter):
    here = world(**WAYS[way])
    for operation in (TOKEN | REVOKE | API).values():
        report(lambda operation=operation: operation(here))
    assert len(reporter.events) >= len(TOKEN | REVOKE | API) - 1
    assert reporter.found(sandbox) == set()


def test_a_proxy_of_the_environment_and_a_ca_bundle_that_is_missing_report_no_secret(
    world, sandbox, reporter, monkeypatch
):
    here = world(host="https://cloud.mongodb.com", extra={})
    for name, value in {
        "HTTPS_PROXY": f"http://user:{PROXY_PASSWORD}@127.0.0.1:port",
        "https_proxy": f"http://user:{quote(PROXY_PASSWORD, safe='')}@127.0.0.1:9",
        "AIRFLOW__ATLAS__CA_BUNDLE": "/nowhere.pem",
    }.items():
        monkeypatch.setenv(name, value)
        for operation in (TOKEN | REVOKE | API).values():
            report(lambda operation=operation: operation(here))
    assert reporter.found(sandbox) == set()


FIELDS: dict[str, Callable[[Sandbox], dict[str, Any]]] = {
    "login": lambda sandbox: {"login": sandbox.client_secret},
    "login and password in the other's place": lambda sandbox: {
        "login": sandbox.client_secret,
        "password": sandbox.client_id,
    },
    "login with a colon": lambda sandbox: {"login": f"{sandbox.client_id}:{sandbox.client_secret}"},
    "password": lambda sandbox: {"password": f"key {sandbox.client_secret}"},
    "password with a space": lambda sandbox: {"password": f"{sandbox.client_secret} {sandbox.client_secret}"},
    "scheme of host": lambda sandbox: {"host": "ftp://cloud.mongodb.com", "port": None},
    "credentials in host": lambda sandbox: {
        "host": f"https://me:{sandbox.client_secret}@cloud.mongodb.com",
        "port": None,
    },
    "schema": lambda sandbox: {"schema": sandbox.client_secret},
    "port": lambda sandbox: {"host": "https://cloud.mongodb.com:1", "port": 2},
    "extra": lambda sandbox: {"extra": f'["{PROXY_PASSWORD}"'},
    "proxies": lambda sandbox: {"extra": {"proxies": [PROXY_PASSWORD]}},
    "proxies as a text": lambda sandbox: {"extra": {"proxies": f"{{'https': '{PROXY_PASSWORD}'}}"}},
    **{
        name: lambda sandbox, name=name: {"extra": {name: f"wrong {PROXY_PASSWORD}"}}
        for name in ("timeout", "max_wait", "cache_scope", "api_version", "ca_bundle")
    },
}


@pytest.mark.parametrize("field", FIELDS)
def test_a_field_of_the_connection_that_is_wrong_reports_no_secret(field, world, sandbox, reporter, store, monkeypatch):
    here = world()
    monkeypatch.setenv("AIRFLOW_CONN_ATLAS_DEFAULT", json.dumps({**sandbox.connection, **FIELDS[field](sandbox)}))
    for operation in ALL.values():
        report(lambda operation=operation: operation(here))
    assert len(reporter.events) > 20
    assert reporter.found(sandbox) == set()


@pytest.mark.parametrize("name", ["not JSON", "unknown field", "not a URI"])
def test_a_stored_connection_that_airflow_cannot_read_reports_no_secret(name, world, sandbox, reporter, monkeypatch):
    here = world()
    stored = {
        "not JSON": f'{{"conn_type": "mongodbatlas", "password": "{sandbox.client_secret}", ',
        "unknown field": json.dumps({**sandbox.connection, "pass": sandbox.client_secret}),
        "not a URI": f"mongodbatlas://{sandbox.client_id}:{sandbox.client_secret}@[host:port/",
    }[name]
    monkeypatch.setenv("AIRFLOW_CONN_ATLAS_DEFAULT", stored)
    for operation in (TOKEN | REVOKE | API).values():
        report(lambda operation=operation: operation(here))
    assert reporter.found(sandbox) == set()


def raise_bug(*_: object, **__: object) -> None:
    raise Bug


def body() -> Iterator[bytes]:
    yield b"{"
    raise Bug


SESSION: dict[str, Callable[[AtlasSession], object]] = {
    "elsewhere": lambda session: session.get("https://elsewhere.example/"),
    "no URL": lambda session: session.get("http://["),
    "header": lambda session: session.get(operations.GROUPS, headers={"X": "a\nb"}),
    "header that is no text": lambda session: session.get(operations.GROUPS, headers={"X": 1}),
    "method": lambda session: session.request("G\nET", operations.GROUPS),
    "JSON": lambda session: session.post(operations.GROUPS, json={"x": {1}}),
    "timeout": lambda session: session.get(operations.GROUPS, timeout=1e-9),
    "timeout that is no number": lambda session: session.get(operations.GROUPS, timeout="soon"),
    "response hook": lambda session: session.get(operations.GROUPS, hooks={"response": raise_bug}),
    "auth": lambda session: session.get(operations.GROUPS, auth=raise_bug),
    "body": lambda session: session.post(operations.GROUPS, data=body()),
    "unprepared": lambda session: session.send(requests.Request("GET", operations.GROUPS)),
    "without a URL": lambda session: session.send(requests.PreparedRequest()),
    "argument": lambda session: session.get(operations.GROUPS, bogus=1),
}


@pytest.mark.parametrize("name", SESSION)
def test_an_error_of_requests_reports_no_secret(name, world, sandbox, reporter):
    here = world()
    assert report(lambda: SESSION[name](here.given.get_conn())) is not None
    assert report(lambda: SESSION[name](here.hook().get_conn())) is not None
    assert reporter.found(sandbox) == set()


def test_a_mapped_task_that_is_given_a_plain_token_reports_no_secret(world, sandbox, reporter):
    here = world()
    with DAG("mapped", schedule=None, start_date=datetime(2025, 1, 1)):
        operator = RevokeTokenOperator.partial(task_id="revoke").expand(token=["{{ x }}"])

    def unmapped() -> RevokeTokenOperator:
        return operator.unmap({"task_id": "revoke", "token": here.token.value})

    assert isinstance(report(lambda: unmapped().execute({})), InvalidSealedToken)
    assert reporter.found(sandbox) == set()


def test_a_plain_token_in_an_operator_s_rendered_argument_reports_no_secret(world, sandbox, reporter):
    here = world()
    for plain in (lambda: here.token.value, lambda: [here.token.value], lambda: {"token": here.token.value}):
        operator = here.revoke_operator(token="{{ x }}")
        operator.token = plain()
        assert isinstance(report(lambda operator=operator: operator.execute({})), InvalidSealedToken)
    assert reporter.found(sandbox) == set()


@pytest.mark.parametrize("form", [str, base64_of, quote_plus, lambda text: f"cut off {text}"[:120], json.dumps])
@pytest.mark.parametrize("secret", ["client_secret", "token", "pair", "proxy"])
def test_the_search_finds_a_secret_among_the_variables_of_a_frame(secret, form, world, sandbox, reporter):
    here = world()

    def operation() -> None:
        planted = form(
            {
                "client_secret": sandbox.client_secret,
                "token": here.token.value,
                "pair": f"{sandbox.client_id}:{sandbox.client_secret}",
                "proxy": PROXY_PASSWORD,
            }[secret]
        )
        raise Bug(len(planted))

    report(operation)
    assert reporter.found(sandbox) != set()
