"""The one way to request and to revoke a token, and the four sources of the token that a hook works with.

:class:`Tokens` makes the requests. The sources decide which token a hook gets: one for the task, the deployment's, one
that another task gave, or one of the hook's own. Each has two methods, ``get`` and ``replace``.
"""

from __future__ import annotations

import logging
import time
from abc import ABC, abstractmethod
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from airflow.providers.common.compat.sdk import mask_secret

from airflow_provider_atlas import metrics
from airflow_provider_atlas.cache import sealing, task
from airflow_provider_atlas.cache.memory import Renewal, TokenCache, renewal, surely_expired
from airflow_provider_atlas.exceptions import AtlasError, InvalidCall, InvalidSealedToken, TokenExpired
from airflow_provider_atlas.oauth.retry import call_with_retry
from airflow_provider_atlas.oauth.token import AccessToken, fingerprint
from airflow_provider_atlas.oauth.transport import uninterrupted

if TYPE_CHECKING:
    from collections.abc import Collection

    from airflow_provider_atlas.cache.deployment import SharedToken
    from airflow_provider_atlas.hooks.settings import Settings
    from airflow_provider_atlas.oauth.account import ServiceAccount
    from airflow_provider_atlas.oauth.client import TokenClient

log = logging.getLogger(__name__)


class Tokens:
    """
    Requests and revokes tokens of a service account: with retries, a log line, a counter and a mask.

    :param settings: whose tokens, and how to reach Atlas.
    :param mask: whether Airflow masks the tokens in logs. Not in a triggerer: it lives for weeks, and the masker only
        grows.
    """

    def __init__(self, settings: Settings, *, mask: bool = True) -> None:
        self.settings = settings
        self.account = settings.account
        self.request_time = settings.transport.request_time
        self._mask = mask

    def _client(self) -> TokenClient:
        # Most tasks of a fleet request no token.
        from airflow_provider_atlas.oauth.client import TokenClient

        return TokenClient(self.account, self.settings.transport)

    def generate(self, max_wait: float = 0, generated: list[AccessToken] | None = None) -> AccessToken:
        """
        Request a token.

        :param max_wait: seconds to wait for Atlas in all; 0 makes one request.
        :param generated: gets the token before anything can interrupt the task, so that the caller can revoke it.
        """
        client = self._client()

        def request() -> AccessToken:
            token = client.generate()
            if generated is not None:
                generated.append(token)
            return token

        token = self.mask(call_with_retry(partial(uninterrupted, request), max_wait, on_wait=metrics.waiting))
        metrics.count("generated")
        lifetime = (token.expires_at - token.issued_at).total_seconds() / 60
        log.info("Generated Atlas token %s, valid for %.0f min.", token.fingerprint, lifetime)
        return token

    def reused(self, token: AccessToken, whose: str) -> AccessToken:
        """Mask and count a token that another task requested, and log once a task whose it is."""
        metrics.count("reused")
        told, line = task.warnings_of(task.current()), f"Using {whose} Atlas token {token.fingerprint}"
        if line not in told:
            told.add(line)
            log.info("%s, valid for %.0f min.", line, (token.expires_at.timestamp() - time.time()) / 60)
        return self.mask(token)

    def revoke(self, value: str, max_wait: float = 0) -> None:
        """
        Revoke a token and drop it from the caches of this process.

        :param value: the token's text.
        :param max_wait: as for :meth:`generate`.
        """
        call_with_retry(partial(self._client().revoke, value), max_wait, on_wait=metrics.waiting)
        task.forget(value)
        metrics.count("revoked")
        log.info("Revoked Atlas token %s.", fingerprint(value))

    def revoke_or_warn(self, token: AccessToken, max_wait: float = 0) -> None:
        """Revoke a token that nobody will use any more. If that fails it expires by itself."""
        try:
            self.revoke(token.value, max_wait)
        except AtlasError as error:
            log.warning("Atlas token %s was not revoked and will expire by itself: %s", token.fingerprint, error)

    def seal(self, token: AccessToken, *, shared: bool = False) -> str:
        """Encrypt a token, see :func:`airflow_provider_atlas.cache.sealing.seal`."""
        return sealing.seal(self.account, token, shared=shared)

    def unseal(self, text: str) -> AccessToken:
        """Open a sealed token, see :func:`airflow_provider_atlas.cache.sealing.unseal`."""
        return self.mask(sealing.unseal(self.sealer(text), text))

    def sealer(self, text: str) -> ServiceAccount:
        """The account with the client secret that sealed a token: the current one, unless an earlier one opens it."""
        for account in self.settings.previous if sealing.is_sealed(text) else ():
            with suppress(InvalidSealedToken):
                sealing.unseal(account, text)
                return account
        return self.account

    def is_shared(self, text: str) -> bool:
        """Whether a sealed token is the deployment's."""
        return sealing.is_shared(self.sealer(text), text)

    def mask(self, token: AccessToken) -> AccessToken:
        """Have Airflow mask a token in logs."""
        if self._mask:
            mask_secret(token.value)
        return token


class TokenSource(ABC):
    """
    Where a hook's token comes from. A cache in memory is asked first.

    :param tokens: requests and revokes.
    :param cache: holds the token.
    :param max_wait: seconds that a call may wait for Atlas in all, and for another thread's request.
    """

    def __init__(self, tokens: Tokens, cache: TokenCache, max_wait: float) -> None:
        self._tokens = tokens
        self._cache = cache
        self._max_wait = max_wait
        self._longest = max_wait + tokens.request_time
        self._fetcher = self._fetch  # bound once: a warm `get` is called before each request

    def get(self, max_wait: float | None = None) -> AccessToken:
        """
        A token that is valid now.

        :param max_wait: seconds to wait for Atlas in all, instead of the source's.
        """
        if max_wait is None:
            return self._cache.get(self._fetcher, self._longest)
        return self._cache.get(partial(self._fetch, max_wait=max_wait), max_wait + self._tokens.request_time)

    def replace(self, refused: AccessToken, max_wait: float | None = None) -> AccessToken | None:
        """
        Another token in place of one that Atlas refused.

        :param max_wait: as for :meth:`get`.
        :return: ``None`` if there is no other token: then the refusal is about rights.
        """
        longest = self._longest if max_wait is None else max_wait + self._tokens.request_time
        return self._cache.replace(refused, partial(self._replace, refused, max_wait), longest)

    @property
    def settings(self) -> Settings:
        """Whose client secret requests this source's tokens."""
        return self._tokens.settings

    @abstractmethod
    def _fetch(self, need: Renewal, max_wait: float | None = None) -> AccessToken:
        """A token for the cache."""

    @abstractmethod
    def _replace(self, refused: AccessToken, max_wait: float | None, allowed: bool) -> AccessToken | None:
        """Another token for the cache; ``allowed`` says whether it may be requested."""

    def _wait(self, max_wait: float | None, need: Renewal = Renewal.MANDATORY) -> float:
        """Seconds to wait for a new token: none while the old one is still valid."""
        if need is Renewal.ADVISORY:
            return 0
        return self._max_wait if max_wait is None else max_wait


class TaskToken(TokenSource):
    """Task scope: requests a token, which all hooks of the task share through ``cache``."""

    def _fetch(self, need: Renewal, max_wait: float | None = None) -> AccessToken:
        return self._tokens.generate(self._wait(max_wait, need))

    def _replace(self, refused: AccessToken, max_wait: float | None, allowed: bool) -> AccessToken | None:
        if not allowed:
            return None
        token = self._fetch(Renewal.MANDATORY, max_wait)
        self._tokens.revoke_or_warn(refused)
        return token


class Generated(list[AccessToken]):
    """The tokens of one ``with hook as own`` that are not revoked yet, those of earlier client secrets included."""

    closed = False


class OwnToken(TaskToken):
    """
    The token of ``with hook as own``: no other hook shares it, and :meth:`close` revokes it.

    :param generated: what the block has requested, to be added to.
    """

    def __init__(self, tokens: Tokens, max_wait: float, generated: Generated) -> None:
        super().__init__(tokens, TokenCache(), max_wait)
        self._generated = generated

    def get(self, max_wait: float | None = None) -> AccessToken:
        """
        As for every source.

        :raises InvalidCall: after the ``with`` block, where nobody would revoke a token.
        """
        if self._generated.closed:
            raise InvalidCall("The token of this hook was revoked at the end of its with block: use the hook inside it")
        return super().get(max_wait)

    def close(self, max_wait: float) -> None:
        """
        Revoke every token that this source requested.

        :param max_wait: seconds to wait for Atlas in all.
        """
        try:
            self._generated.closed = True
            self._close(time.monotonic() + max_wait)
        except BaseException:  # the task's timeout: what is left is revoked without a wait
            self._close(0.0)
            raise

    def _close(self, deadline: float) -> None:
        while self._generated:
            token = self._generated[-1]
            if not surely_expired(token, time.time()):
                self._tokens.revoke_or_warn(token, max(deadline - time.monotonic(), 0.0))
            self._generated.pop()

    def _fetch(self, need: Renewal, max_wait: float | None = None) -> AccessToken:
        return self._tokens.generate(self._wait(max_wait, need), self._generated)


class GivenToken(TokenSource):
    """
    A sealed token that another task generated. No token is requested.

    The one exception: Atlas refuses the token, and the client secret that requested it was replaced meanwhile. Atlas
    revokes a deleted secret's tokens, so every task of the DAG run needs another one, and they share the deployment's.

    :param sealed: the sealed token.
    :param max_wait: seconds that a call may then wait for the deployment's token.
    """

    def __init__(self, tokens: Tokens, cache: TokenCache, sealed: str, max_wait: float = 0) -> None:
        super().__init__(tokens, cache, 0)
        self._sealed = sealed
        self._instead = DeploymentToken(tokens, max_wait)
        self._revoked = False  # by Atlas, with its client secret

    def _replace(self, refused: AccessToken, max_wait: float | None, allowed: bool) -> AccessToken | None:
        if self._tokens.sealer(self._sealed) == self._tokens.account:
            raise TokenExpired("Atlas refused the token that this task was given", status=401)
        if not self._revoked:
            log.info("The given Atlas token ended with its client secret. The task uses the deployment's token.")
        self._revoked = True
        # Not `_replace`: the deployment may have replaced a refused token just now, of the secret before this one.
        token = self._instead._fetch(Renewal.MANDATORY, max_wait)
        return token if token.value != refused.value else self._instead._replace(refused, max_wait, allowed)

    def _fetch(self, need: Renewal, max_wait: float | None = None) -> AccessToken:
        if self._revoked:
            return self._instead._fetch(need, max_wait)
        token = self._tokens.unseal(self._sealed)
        if renewal(token, time.time()) is Renewal.MANDATORY:
            raise TokenExpired()
        return self._tokens.reused(token, "the given")


class DeploymentToken(TokenSource):
    """Deployment scope: the token in Airflow's Variables, which all tasks share."""

    def __init__(self, tokens: Tokens, max_wait: float, cache: TokenCache | None = None) -> None:
        super().__init__(tokens, cache or TokenCache(), max_wait)

    def publish(self, token: AccessToken | None = None) -> tuple[AccessToken, list[str]]:
        """
        Put a token in place of the deployment's.

        :param token: a new one; requested if left out.
        :return: the token, and sealed, the tokens in the store that nobody has revoked yet. Revoke these afterwards.
        :raises StoreUnavailable: if Airflow's Variables cannot be written. After any error the new token is revoked.
        """
        token, replaced = self._shared(self._max_wait).publish(token)
        return token, [self._tokens.seal(old, shared=True) for old in replaced]

    def forget(self, values: Collection[str]) -> None:
        """Take revoked tokens out of the store. Failing to do so is a warning: they are revoked again later."""
        try:
            self._shared(0).forget(values)
        except AtlasError as error:
            log.warning("Revoked Atlas tokens stay in the store, and will be revoked again: %s", error)

    def dissolve(self) -> int:
        """
        Revoke all tokens in the store and remove them.

        :return: how many there were.
        """
        deadline = time.monotonic() + self._max_wait

        def revoke(old: AccessToken) -> None:
            self._tokens.revoke(old.value, max(deadline - time.monotonic(), 0.0))

        return self._shared(self._max_wait).dissolve(revoke)

    def _fetch(self, need: Renewal, max_wait: float | None = None) -> AccessToken:
        shared = self._shared(self._wait(max_wait, need))
        token = shared.get()
        return self._tokens.mask(token) if shared.generated else self._tokens.reused(token, "the deployment's")

    def _replace(self, refused: AccessToken, max_wait: float | None, allowed: bool) -> AccessToken | None:
        shared = self._shared(self._wait(max_wait))
        token = shared.replace(refused, allowed)
        if shared.generated:
            self._tokens.revoke_or_warn(refused)
        return token if token is None else self._tokens.mask(token)

    def _shared(self, max_wait: float) -> SharedToken:
        # Tasks in the other scopes do not use the store.
        from airflow_provider_atlas.cache.deployment import SharedToken
        from airflow_provider_atlas.cache.variables import Variables

        return SharedToken(
            self._tokens.account,
            Variables(),
            partial(self._tokens.generate, 0),
            self._tokens.revoke_or_warn,
            max_wait,
            request_time=self._tokens.request_time,
            on_wait=metrics.waiting,
        )
