"""Shared fixtures: an account, a clock that only tests move, and a search for secrets in errors, logs and output."""

from __future__ import annotations

import contextlib
import logging
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import pytest
from pytest_mock import MockerFixture

from airflow_provider_atlas.api import calls, codes, download, session
from airflow_provider_atlas.cache import claim, task, variables
from airflow_provider_atlas.cache.deployment import SharedToken
from airflow_provider_atlas.hooks import tokens
from airflow_provider_atlas.hooks.service_account import AtlasServiceAccountHook
from airflow_provider_atlas.oauth.account import ServiceAccount
from airflow_provider_atlas.oauth.retry import call_with_retry, recording_wait
from airflow_provider_atlas.operators import base
from airflow_provider_atlas.operators import token as operators
from airflow_provider_atlas.sandbox import Sandbox
from harness.leaks import forms
from tests.cache.fakes import MemoryStore

pytest_plugins = ["airflow_provider_atlas.testing"]

#: Folders whose tests start other processes, and the mark of each. A test with one of these marks is slow.
SLOW = {
    "crash": "integration",
    "distributed": "distributed",
    "fleets": "fleet",
    "form": "form",
    "hostile": "integration",
    "integration": "integration",
    "packaging": "integration",
    "postgres": "postgres",
}

CLIENT_ID = "mdb_sa_id_0123456789abcdef01234567"
CLIENT_SECRET = "mdb_sa_sk_Only-For_Tests/0+9=~x_y"
TOKEN = "eyJhbGciOiJFUzUxMiJ9.only+for/tests_0-9~.c2lnbmF0dXJl"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        mark = SLOW.get(item.path.relative_to(Path(__file__).parent).parts[0])
        if mark is not None:
            item.add_marker(mark)
        if {marker.name for marker in item.iter_markers()} & {*SLOW.values(), "stores"}:
            item.add_marker("slow")


def deployment_token(hook: AtlasServiceAccountHook) -> tokens.DeploymentToken:
    """The deployment's token as the operators use it, in whatever scope the hook is."""
    return tokens.DeploymentToken(hook._tokens, hook.settings.max_wait)


def shared_token(hook: AtlasServiceAccountHook) -> SharedToken:
    """The token in the store of the hook's deployment."""
    return deployment_token(hook)._shared(0)


@dataclass
class Clock:
    """A clock of epoch seconds, and a sleep that moves the clock."""

    now: float = 1_800_000_000.0
    slept: list[float] = field(default_factory=list)

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def time_of_tests(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Clock:
    """What the provider waits in this thread moves a clock and takes no time."""
    clock.now = time.time()
    ours = SimpleNamespace(time=clock, monotonic=clock, sleep=clock.sleep)
    for module in (calls, download, session, tokens, base, operators):
        monkeypatch.setattr(module, "time", ours)
    for function in (call_with_retry, recording_wait, SharedToken.__init__):
        for name, fake in (("clock", clock), ("monotonic", clock), ("sleep", clock.sleep)):
            if name in (function.__kwdefaults__ or {}):
                monkeypatch.setitem(function.__kwdefaults__, name, fake)
    return clock


@pytest.fixture
def account() -> ServiceAccount:
    return ServiceAccount(CLIENT_ID, CLIENT_SECRET, "http://127.0.0.1:1")


@pytest.fixture
def hook(atlas_sandbox: Sandbox) -> AtlasServiceAccountHook:
    """A hook whose stored connection points to the sandbox."""
    return AtlasServiceAccountHook()


@pytest.fixture
def store(mocker: MockerFixture) -> MemoryStore:
    """The store of all hooks, in memory, with almost no pause of the claim."""
    store = MemoryStore()
    mocker.patch.object(variables, "Variables", lambda: store)
    mocker.patch.object(claim, "PAUSE", 0.001)
    mocker.patch.object(variables, "_warned", set())
    return store


@pytest.fixture(autouse=True)
def no_tokens_from_other_tests() -> Iterator[None]:
    task._caches.clear()
    task._warnings.clear()
    yield
    task._caches.clear()


@pytest.fixture(autouse=True)
def no_codes_learned_in_other_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codes, "_learned", set())


@pytest.fixture(autouse=True)
def masker_that_does_not_grow(mocker: MockerFixture) -> None:
    """Airflow's masker keeps every secret that it gets, and each makes it slower."""
    mocker.patch("airflow_provider_atlas.hooks.service_account.mask_secret")
    mocker.patch("airflow_provider_atlas.hooks.tokens.mask_secret")
    mocker.patch("airflow_provider_atlas.hooks.rotation.mask_secret")
    mocker.patch("airflow_provider_atlas.operators.token.mask_secret")
    for masker in ("airflow.sdk._shared.secrets_masker", "airflow.utils.log.secrets_masker"):
        with contextlib.suppress(ImportError, AttributeError):
            mocker.patch(f"{masker}.SecretsMasker.add_mask")


@pytest.fixture
def says_nothing(caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]) -> Callable[..., None]:
    """Search message, ``repr``, traceback, captured logs and output for secrets in every form."""
    caplog.set_level(logging.DEBUG)

    def search(error: BaseException | None, *secrets: str) -> None:
        assert secrets_in([caplog.text, *capsys.readouterr(), *texts_of(error)], *secrets) == []

    return search


def texts_of(error: BaseException | None) -> list[str]:
    """Every text as which an error may be printed."""
    if error is None:
        return []
    return [str(error), repr(error), repr(vars(error)), "".join(traceback.format_exception(error))]


def secrets_in(texts: Iterable[str], *secrets: str) -> list[bytes]:
    """The secrets that are in the texts, in the form in which they are there."""
    joined = "\n".join(texts).encode(errors="surrogatepass")
    return [form for secret in secrets or (CLIENT_SECRET, TOKEN) for form in forms(secret) if form in joined]
