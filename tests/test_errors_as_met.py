"""The errors that a user meets first: each begins with its cause, in a line of the log, and says what to do."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from airflow_provider_atlas import exceptions
from airflow_provider_atlas.exceptions import AtlasError
from airflow_provider_atlas.hooks.service_account import AtlasServiceAccountHook
from airflow_provider_atlas.oauth.token import AccessToken
from airflow_provider_atlas.sandbox import Sandbox

#: So many characters of a line are seen in a task's log at 1400 pixels.
LINE = 90
OTHER = {"client_id": "mdb_sa_id_other", "client_secret": "mdb_sa_sk_other"}


@dataclass
class Stored:
    """The connection ``atlas_default``."""

    sandbox: Sandbox
    monkeypatch: pytest.MonkeyPatch

    def account(self, url: str) -> AtlasServiceAccountHook:
        return AtlasServiceAccountHook(
            client_id=self.sandbox.client_id, client_secret=self.sandbox.client_secret, base_url=url
        )

    def run(
        self, conn_id: str = "atlas_default", /, token: str | None = None, max_wait: float = 20, **fields: Any
    ) -> object:
        stored = {**self.sandbox.connection, **({"port": None} if "host" in fields else {}), **fields}
        self.monkeypatch.setenv("AIRFLOW_CONN_ATLAS_DEFAULT", json.dumps(stored))
        return AtlasServiceAccountHook(conn_id, token=token, max_wait=max_wait).run("/api/atlas/v2/groups")


def sealed(by: AtlasServiceAccountHook, minutes: int = 60) -> str:
    end = datetime.now(UTC) + timedelta(minutes=minutes)
    return by.seal(AccessToken("value", "Bearer", end - timedelta(hours=1), end))


def ended(stored: Stored) -> object:
    stored.run()
    return stored.run(token=sealed(AtlasServiceAccountHook(), minutes=-1))


def stopped(stored: Stored) -> object:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # nobody listens
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
        return stored.run(token=sealed(stored.account(url)), host=url, max_wait=0)


def busy(stored: Stored) -> object:
    stored.sandbox.fail_next("token", status=429, headers={"Retry-After": "59"})
    return stored.run()


MET: dict[str, tuple[Callable[[Stored], object], str, str, str]] = {
    "connection missing, or an id with a typing error": (
        lambda stored: stored.run("atlas_defualt"),
        "ConnectionNotFound",
        "The connection atlas_defualt was not found.",
        "Check the connection id",
    ),
    "connection of another type": (
        lambda stored: stored.run(conn_type="postgres", login="airflow"),
        "InvalidConnection",
        "The connection must have the type mongodbatlas, and has postgres.",
        "Check the connection id",
    ),
    "plain token": (
        lambda stored: stored.run(token="eyJhbGciOiJFUzUxMiJ9.in.plain"),
        "InvalidSealedToken",
        "The token must be a sealed one; this is not a sealed token of this service account.",
        "Pass what GenerateTokenOperator returned",
    ),
    "sealed token of another connection": (
        lambda stored: stored.run(token=sealed(AtlasServiceAccountHook(**OTHER))),
        "InvalidSealedToken",
        "The sealed token is damaged, or sealed by another service account or with another secret.",
        "with the same Atlas connection",
    ),
    "token of a DAG run after its end": (
        ended,
        "TokenExpired",
        "The token that this task was given is no longer valid.",
        "use cache_scope=deployment",
    ),
    "Atlas stopped in the middle": (
        stopped,
        "AtlasUnreachable",
        "Nothing listens at the Atlas URL.",
        "Check the Atlas URL, the proxy and the network",
    ),
    "wrong secret": (
        lambda stored: stored.run(password="mdb_sa_sk_wrong"),
        "InvalidClient",
        "Atlas does not accept this client id and secret (HTTP 401 invalid_client",
        "Check Client ID and Client secret of the connection.",
    ),
    "API key": (
        lambda stored: stored.run(login="kxqwmzta", password="8b1f0e8c-0000-0000-0000-000000000000"),
        "InvalidConnection",
        "Client ID must start with mdb_sa_id_. A public or private API key does not work",
        "create a service account",
    ),
    "id and secret swapped": (
        lambda stored: stored.run(login=stored.sandbox.client_secret, password=stored.sandbox.client_id),
        "InvalidConnection",
        "Client ID must start with mdb_sa_id_.",
        "Exchange Client ID and Client secret",
    ),
    "id with something before it": (
        lambda stored: stored.run(login=f"6b0000000000000000000000:{stored.sandbox.client_id}"),
        "InvalidConnection",
        "Client ID must start with mdb_sa_id_.",
        "Remove what is before mdb_sa_id_",
    ),
    "id empty": (
        lambda stored: stored.run(login=""),
        "InvalidConnection",
        "Client ID is empty;",
        "it must start with mdb_sa_id_",
    ),
    "host not allowed": (
        lambda stored: stored.run(host="https://atlas.example"),
        "InvalidConnection",
        "[atlas] allowed_hosts does not list the host atlas.example of the Atlas URL.",
        "If the host is right, set allowed_hosts = cloud.mongodb.com, cloud.mongodbgov.com, loopback, atlas.example",
    ),
    "Atlas busy": (
        busy,
        "RateLimited",
        "Atlas limits the rate of requests: Atlas asks to wait 59 s, max_wait allows 20 s",
        "Allow a longer wait (max_wait), defer (deferrable=True), or share one token",
    ),
}


@pytest.fixture
def stored(atlas_sandbox, monkeypatch):
    return Stored(atlas_sandbox, monkeypatch)


@pytest.mark.parametrize(("meet", "kind", "cause", "remedy"), MET.values(), ids=MET)
def test_an_error_begins_with_its_cause_and_says_what_to_do(meet, kind, cause, remedy, stored):
    with pytest.raises(AtlasError) as caught:
        meet(stored)
    text = str(caught.value)
    assert type(caught.value) is getattr(exceptions, kind)
    assert text.startswith(cause)
    assert len(cause) <= LINE
    assert remedy in text
    for secret in (stored.sandbox.client_secret, "mdb_sa_sk_wrong", *stored.sandbox.issued):
        assert secret not in text


def test_an_option_that_is_empty_counts_as_not_set(stored, monkeypatch):
    for name in ("TIMEOUT", "MAX_WAIT", "CACHE_SCOPE", "ALLOWED_HOSTS", "CA_BUNDLE", "ALLOW_CA_BUNDLE_IN_EXTRA"):
        monkeypatch.setenv(f"AIRFLOW__ATLAS__{name}", "")
    assert stored.run(extra={"timeout": "", "max_wait": "", "cache_scope": ""})


def test_a_deferrable_task_is_not_told_to_defer():
    assert "defer" not in exceptions.RateLimited.remedy_deferrable
