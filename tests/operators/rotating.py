"""A service account in a sandbox, its connection in a store, and runs of the rotation that can end at any step."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

from airflow.providers.common.compat.sdk import AirflowSkipException

from airflow_provider_atlas.cache import claim
from airflow_provider_atlas.hooks import client_secrets, rotation, tokens
from airflow_provider_atlas.hooks.client_secrets import ClientSecrets
from airflow_provider_atlas.hooks.service_account import AtlasServiceAccountHook
from airflow_provider_atlas.operators.secret import RotateClientSecretOperator
from tests.cache.fakes import MemoryStore

HOUR = 3600.0
DAY = 24 * HOUR


class Killed(BaseException):
    """The process has ended: nothing that it would do after this has an effect."""


class Steps:
    """Counts what a run does to the world, and ends it before or after one of the steps."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.stop_at: tuple[int | str, str] | None = None  # number or name of the step, and "before" or "after"
        self.dead = False

    def __call__(self, name: str, call: Any) -> Any:
        if self.dead:
            raise Killed(name)
        number = len(self.names)
        self.names.append(name)
        stops = self.stop_at is not None and self.stop_at[0] in (number, name)
        if stops and self.stop_at[1] == "before":
            self.dead = True
            raise Killed(name)
        result = call()
        if stops and self.stop_at[1] == "after":
            self.dead = True
            raise Killed(name)
        return result


class World:
    """
    :param sandbox: stands in for Atlas; its clock is this world's.
    :param patch: pytest's monkeypatch.
    """

    def __init__(self, sandbox: Any, patch: Any) -> None:
        self.sandbox = sandbox
        self.now = sandbox.clock()
        sandbox.clock = lambda: self.now
        sandbox.windows._clock = sandbox.clock
        self.steps = Steps()
        self.variables = MemoryStore()
        self.secret = sandbox.client_secret
        self.written: list[str] = []
        self.keeps_old = False
        #: What a step of the store raises, one call after another.
        self.fails: dict[str, Iterator[Exception]] = {}
        self._patch = patch
        ours = SimpleNamespace(time=lambda: self.now, monotonic=lambda: self.now, sleep=self.sleep)
        patch.setattr(rotation, "time", ours)
        patch.setattr(client_secrets, "datetime", self._datetime(client_secrets.datetime))
        patch.setattr(claim, "PAUSE", 0.5)
        patch.setattr(rotation, "Variables", lambda *_: Stepping(self.variables, self.steps))
        patch.setattr(ClientSecrets, "create", self._stepping("create", ClientSecrets.create))
        patch.setattr(ClientSecrets, "delete", self._stepping("delete", ClientSecrets.delete))
        patch.setattr(tokens.Tokens, "generate", self._stepping("generate", tokens.Tokens.generate))
        patch.setattr(tokens.Tokens, "revoke", self._stepping("revoke", tokens.Tokens.revoke))
        self._show()
        self._org = AtlasServiceAccountHook().run("/api/atlas/v2/orgs")["results"][0]["id"]

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def _datetime(self, real: Any) -> Any:
        world = self

        class Now(real):
            @classmethod
            def now(cls, tz: Any = None) -> Any:
                return real.fromtimestamp(world.now, tz)

        return Now

    def _stepping(self, name: str, method: Any) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            return self.steps(name, lambda: method(*args, **kwargs))

        return call

    def _show(self) -> None:
        connection = self.sandbox.connection | {"password": self.secret, "extra": {"max_wait": 0}}
        self._patch.setenv("AIRFLOW_CONN_ATLAS_DEFAULT", json.dumps(connection))

    # The store.

    def check(self, conn_id: str, client_id: str) -> None:
        assert (conn_id, client_id) == ("atlas_default", self.sandbox.client_id)
        self.steps("check", lambda: self._fail("check"))

    def write(self, conn_id: str, client_id: str, new: str, previous: str) -> None:
        assert (conn_id, client_id) == ("atlas_default", self.sandbox.client_id)
        assert self.secret in (previous, new)

        def write() -> None:
            self.written.append(new)
            self._fail("write")
            if not self.keeps_old:
                self.secret = new
                self._show()
            self._fail("written")

        self.steps("write", write)

    def _fail(self, name: str) -> None:
        for error in self.fails.get(name, ()):
            raise error

    # What a test does.

    def run(self, **kwargs: Any) -> Any:
        """One run; ``skipped`` if there was nothing to do."""
        self.steps.dead, self.steps.names = False, []
        operator = RotateClientSecretOperator(
            task_id="rotate", store=self, org_id=self._org, **{"expires_after": timedelta(days=90), **kwargs}
        )
        try:
            return operator.execute({})
        except AirflowSkipException:
            return "skipped"

    @property
    def secrets(self) -> list[Any]:
        return self.sandbox.accounts[self.sandbox.client_id].secrets

    @property
    def ids(self) -> list[str]:
        return [secret.id for secret in self.secrets]

    def expire_in(self, days: float, number: int = 0) -> None:
        self.secrets[number].expires = self.now + days * DAY

    def works(self) -> bool:
        """Whether the stored secret is one of Atlas's that has not expired."""
        return any(secret.value == self.secret and secret.expires > self.now for secret in self.secrets)


class Stepping:
    """The Variables, with each write as a step."""

    def __init__(self, store: MemoryStore, steps: Steps) -> None:
        self._store, self._steps = store, steps

    def read(self, name: str) -> str | None:
        if self._steps.dead:
            raise Killed(name)
        return self._store.read(name)

    def write(self, name: str, text: str) -> None:
        kind = "record" if name.count("_") == 2 else "claim"
        self._steps(kind, lambda: self._store.write(name, text))

    def remove(self, name: str) -> None:
        self._steps("remove", lambda: self._store.remove(name))
