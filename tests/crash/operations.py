"""Every public operation, as a DAG author calls it; none of the frames here has a secret among its variables."""

from __future__ import annotations

import asyncio
import copy
import json
import pickle
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sentry_sdk

from airflow_provider_atlas.cache import sealing
from airflow_provider_atlas.hooks.service_account import AtlasServiceAccountHook
from airflow_provider_atlas.oauth.account import ServiceAccount
from airflow_provider_atlas.oauth.token import AccessToken
from airflow_provider_atlas.operators.token import GenerateTokenOperator, RevokeTokenOperator
from airflow_provider_atlas.sandbox import Sandbox
from airflow_provider_atlas.triggers.token import AtlasTokenTrigger
from tests.crash.reporter import PROXY_PASSWORD

GROUPS = "/api/atlas/v2/groups"


class World:
    """
    A service account, an active token of it, and where its connection leads. The ``repr`` shows nothing.

    :param stored: hooks read a stored connection, else they get credentials.
    :param conn: fields of the stored connection that differ.
    """

    def __init__(
        self, sandbox: Sandbox, patch: pytest.MonkeyPatch, *, stored: bool = True, host: str | None = None, **conn: Any
    ) -> None:
        self.sandbox = sandbox
        leads = {"host": host, "port": None} if host else {}
        host = host or sandbox.url
        extra = {"proxies": {"https": f"http://proxy-user:{PROXY_PASSWORD}@127.0.0.1:9"}}
        stored_conn = {**sandbox.connection, **leads, "extra": extra, **conn}
        patch.setenv("AIRFLOW_CONN_ATLAS_DEFAULT", json.dumps(stored_conn))
        patch.setenv("AIRFLOW__ATLAS__ALLOWED_HOSTS", "*")
        patch.setenv("AIRFLOW__ATLAS__TIMEOUT", "0.3")
        patch.setenv("AIRFLOW__ATLAS__MAX_WAIT", "0")
        self._arguments = {}
        if not stored:
            self._arguments = {
                "client_id": sandbox.client_id,
                "client_secret": sandbox.client_secret,
                "base_url": host,
            }
        now = datetime.now(UTC)
        issued = sandbox.issue(sandbox.client_id, sandbox.client_secret, 3600)
        self.token = AccessToken(issued, "Bearer", now, now + timedelta(hours=1))
        self.account = ServiceAccount(sandbox.client_id, sandbox.client_secret, host)
        self._sealed = [sealing.seal(self.account, self.token, shared=shared) for shared in (False, True)]

    def hook(self, **kwargs: Any) -> AtlasServiceAccountHook:
        return AtlasServiceAccountHook(**self._arguments, **kwargs)

    @property
    def given(self) -> AtlasServiceAccountHook:
        """A hook that has a token already, so that a request to the Administration API needs no other."""
        return self.hook(token=self.sealed())

    def sealed(self, *, shared: bool = False) -> str:
        return self._sealed[shared]

    def connection(self) -> object:
        return AtlasServiceAccountHook.build_connection(
            client_id=self.account.client_id, client_secret=self.account.client_secret, conn_id="not an id /"
        )

    def revoke_operator(self, **kwargs: Any) -> RevokeTokenOperator:
        return RevokeTokenOperator(task_id="revoke", deferrable=False, **kwargs)

    def generate_operator(self, **kwargs: Any) -> GenerateTokenOperator:
        return GenerateTokenOperator(task_id="generate", deferrable=False, **kwargs)

    def event(self, key: str, value: str) -> dict[str, Any]:
        return {"status": "success", key: value, "deadline": time.time()}


#: A trigger that has not ended by then hangs; seconds.
LONGEST_RUN = 20.0


def use_own(world: World) -> None:
    with world.hook() as own:
        own.get_token()


def run_with_own(world: World) -> None:
    with world.hook() as own:
        own.run(GROUPS)


def test_button(world: World) -> None:
    works, text = world.hook().test_connection()
    if not works:
        sentry_sdk.capture_message(text)


def fire(trigger: AtlasTokenTrigger) -> None:
    async def events() -> list[Any]:
        return [event.payload async for event in trigger.run()]

    sentry_sdk.capture_message(json.dumps(asyncio.run(asyncio.wait_for(events(), LONGEST_RUN))))


def trigger(action: str, tokens: str = "") -> AtlasTokenTrigger:
    now = time.time()
    return AtlasTokenTrigger(action=action, moment=now, started=now, deadline=now + 0.2, tokens=tokens)


def read_stream(world: World) -> None:
    for _ in world.given.get_conn().get(GROUPS, stream=True).iter_content(10):
        pass


#: What reaches a token endpoint of Atlas.
TOKEN: dict[str, Callable[[World], object]] = {
    "settings": lambda world: world.hook().settings,
    "get_token": lambda world: world.hook().get_token(),
    "get_token, deployment": lambda world: world.hook(cache_scope="deployment").get_token(),
    "generate_token": lambda world: world.hook().generate_token(),
    "with": use_own,
    "with, run": run_with_own,
    "run without a token": lambda world: world.hook().run(GROUPS),
    "get_conn().get without a token": lambda world: world.hook().get_conn().get(GROUPS),
    "test_connection": test_button,
    "generate": lambda world: world.generate_operator().execute({}),
    "generate, share": lambda world: world.generate_operator(share=True).execute({}),
    "trigger, generate": lambda world: fire(trigger("generate")),
}

#: What reaches the revocation endpoint.
REVOKE: dict[str, Callable[[World], object]] = {
    "revoke_token, AccessToken": lambda world: world.hook().revoke_token(world.token),
    "revoke_token, sealed": lambda world: world.hook().revoke_token(world.sealed()),
    "revoke_token, shared": lambda world: world.hook().revoke_token(world.sealed(shared=True)),
    "revoke_token, plain": lambda world: world.hook().revoke_token(world.token.value),
    "revoke": lambda world: world.revoke_operator(token=world.sealed()).execute({}),
    "revoke, list": lambda world: world.revoke_operator(token=[world.sealed(), world.sealed(shared=True)]).execute({}),
    "revoke, and one does not open": lambda world: world.revoke_operator(
        token=[world.sealed(), "atlas-sealed:1:x"]
    ).execute({}),
    "trigger, revoke": lambda world: fire(trigger("revoke", world.sealed())),
}

#: What reaches the Administration API.
API: dict[str, Callable[[World], object]] = {
    "run": lambda world: world.given.run(GROUPS),
    "run, POST": lambda world: world.given.run(GROUPS, "POST", json={"name": "x"}),
    "paginate": lambda world: list(world.given.paginate(GROUPS)),
    "get_conn().get": lambda world: world.given.get_conn().get(GROUPS).raise_for_status(),
    "get_conn().post": lambda world: world.given.get_conn().post(GROUPS, json={}).raise_for_status(),
    "get_conn().get, stream": read_stream,
    "get_conn().get, json()": lambda world: world.given.get_conn().get(GROUPS).json(),
}

#: What needs no request.
LOCAL: dict[str, Callable[[World], object]] = {
    "seal": lambda world: world.hook().seal(world.token),
    "unseal": lambda world: world.hook().unseal(world.sealed()),
    "get_conn": lambda world: world.hook().get_conn(),
    "build_connection": lambda world: world.connection(),
    "generate, execute_complete": lambda world: world.generate_operator().execute_complete(
        {}, world.event("token", world.sealed())
    ),
    "generate, share, execute_complete": lambda world: world.generate_operator(share=True).execute_complete(
        {}, world.event("token", world.sealed())
    ),
    "revoke, execute_complete": lambda world: world.revoke_operator(token=world.sealed()).execute_complete(
        {}, world.event("revoked", world.sealed())
    ),
    "copy": lambda world: copy.copy(world.hook()),
    "deepcopy": lambda world: copy.deepcopy(world.hook()),
    "pickle": lambda world: pickle.loads(pickle.dumps(world.hook())),
}

ALL = {**TOKEN, **REVOKE, **API, **LOCAL}
