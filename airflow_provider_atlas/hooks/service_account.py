"""The hook: an Airflow connection in, access tokens out.

It composes what knows nothing of Airflow (the token protocol in ``oauth``, the places of a token in ``cache``) with
Airflow's connections, tasks and log masking. ``requests`` and ``cryptography`` are loaded on first use, since DAG files
that import this module are parsed again and again.
"""

from __future__ import annotations

import copy
import logging
import re
import threading
import time
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseHook, mask_secret

from airflow_provider_atlas import metrics
from airflow_provider_atlas.api import calls
from airflow_provider_atlas.cache import sealing, task
from airflow_provider_atlas.cache.deployment import DeploymentToken
from airflow_provider_atlas.cache.memory import Renewal, TokenCache, is_dead, renewal
from airflow_provider_atlas.cache.variables import Variables
from airflow_provider_atlas.exceptions import airflow_errors
from airflow_provider_atlas.get_provider_info import (
    CONNECTION_FIELDS,
    CONNECTION_TYPE,
    HOOK_NAME,
    UI_FIELD_BEHAVIOUR,
)
from airflow_provider_atlas.hooks.settings import Settings
from airflow_provider_atlas.oauth.errors import AtlasError, InvalidSealedToken, TokenExpired
from airflow_provider_atlas.oauth.patience import patiently
from airflow_provider_atlas.oauth.token import AccessToken, fingerprint

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from airflow.providers.common.compat.sdk import Connection

    from airflow_provider_atlas.api.session import AtlasSession
    from airflow_provider_atlas.oauth.client import TokenClient
    from airflow_provider_atlas.oauth.transport import Transport

log = logging.getLogger(__name__)

#: The API server runs the Test button without a limit of its own: two requests, each to connect and to answer.
TEST_TIMEOUT = 2.5
#: A server that lets its answer drip meets none of those limits, so this one is for all in all; seconds.
TEST_LIMIT = 10.0

#: What a Bearer token is made of (RFC 6750, 2.1).
_BEARER = re.compile(r"[A-Za-z0-9._~+/-]+=*")


class AtlasServiceAccountHook(BaseHook):
    """
    Access tokens of a MongoDB Atlas service account.

    Either a stored connection of type ``mongodbatlas``, or credentials, from which the hook builds a connection itself.

    .. code-block:: python

        hook = AtlasServiceAccountHook("atlas_default")
        token = hook.get_token()  # one request per task, however many hooks and threads ask

    As a context manager it gives a hook with a token of its own, which no other hook shares and which is revoked on the
    way out.

    :param atlas_conn_id: id of the connection.
    :param client_id: client id, instead of a stored connection.
    :param client_secret: client secret, instead of a stored connection.
    :param base_url: Atlas URL with these credentials, ``https://cloud.mongodb.com`` if left out.
    :param cache_scope: ``task`` or ``deployment``, instead of the connection's.
    :param max_wait: seconds that a call may wait for Atlas in all, instead of the connection's; 0 raises at once.
    :param token: a sealed token that another task generated. The hook then mints none, and ends in
        :class:`~airflow_provider_atlas.exceptions.TokenExpired` when that one does.
    :raises AtlasError: all methods raise the types of :mod:`airflow_provider_atlas.exceptions`.
    """

    conn_name_attr = "atlas_conn_id"
    default_conn_name = "atlas_default"
    conn_type = CONNECTION_TYPE
    hook_name = HOOK_NAME

    def __init__(
        self,
        atlas_conn_id: str = default_conn_name,
        *,
        client_id: str | None = None,
        client_secret: str | None = None,
        base_url: str | None = None,
        cache_scope: str | None = None,
        max_wait: float | None = None,
        token: str | None = None,
    ) -> None:
        super().__init__()
        self.atlas_conn_id = atlas_conn_id
        self._credentials = (client_id, client_secret, base_url)
        self._cache_scope = cache_scope
        self._max_wait = max_wait
        self._handed_over = token
        # A hook made inside a task belongs to it; one made at the top of a DAG file serves whichever task is running.
        self._task = task.current()
        self._cache: TokenCache | None = None
        self._session: AtlasSession | None = None
        self._own = threading.local()
        self._minted: list[AccessToken] | None = None  # kept where this hook alone has to revoke them

    @staticmethod
    def build_connection(
        *,
        client_id: str,
        client_secret: str,
        conn_id: str = default_conn_name,
        base_url: str | None = None,
    ) -> Connection:
        """
        Build the Airflow connection that stands for a service account.

        :param client_id: starts with ``mdb_sa_id_``.
        :param client_secret: starts with ``mdb_sa_sk_``; Airflow masks it in logs from here on.
        :param conn_id: id of the connection; nothing is stored under it.
        :param base_url: ``https://cloud.mongodb.com`` if left out.
        """
        from airflow.providers.common.compat.sdk import Connection

        mask_secret(client_secret)
        return Connection(
            conn_id=conn_id, conn_type=CONNECTION_TYPE, login=client_id, password=client_secret, host=base_url
        )

    @classmethod
    def get_ui_field_behaviour(cls) -> dict[str, Any]:
        """The form's labels for Airflow 2.11 to 3.1, from :mod:`airflow_provider_atlas.get_provider_info`."""
        return {name.replace("-", "_"): value for name, value in UI_FIELD_BEHAVIOUR.items()}

    @classmethod
    def get_connection_form_widgets(cls) -> dict[str, Any]:
        """The form's further fields for Airflow 2.11 to 3.1, from :mod:`airflow_provider_atlas.get_provider_info`."""
        from airflow_provider_atlas.hooks.form import widgets

        return widgets(CONNECTION_FIELDS)

    @cached_property
    @airflow_errors()
    def settings(self) -> Settings:
        """The connection, read once and checked."""
        client_id, client_secret, base_url = self._credentials
        if client_id is None and client_secret is None and base_url is None:
            conn = self.get_connection(self.atlas_conn_id)
        else:
            conn = self.build_connection(
                client_id=client_id or "",
                client_secret=client_secret or "",
                conn_id=self.atlas_conn_id,
                base_url=base_url,
            )
        return Settings.from_connection(conn, cache_scope=self._cache_scope, max_wait=self._max_wait)

    def get_token(self) -> AccessToken:
        """A token that is good for some minutes at least, or for as long as Atlas lets this hook have one."""
        cache = self._cache
        return (self._find_cache() if cache is None else cache).get(self._fetch)

    @airflow_errors()
    def generate_token(self) -> AccessToken:
        """A new token, which no cache knows and which is the caller's to revoke."""
        return self._generate(self.settings.max_wait)

    @airflow_errors()
    def revoke_token(self, token: AccessToken | str) -> None:
        """
        Revoke a token at Atlas, and forget it in this process.

        Atlas answers unknown and expired tokens like known ones.

        :param token: an :class:`~airflow_provider_atlas.oauth.token.AccessToken`, sealed text, or a token's plain text.
        """
        if isinstance(token, AccessToken):
            value = token.value
        elif isinstance(token, str) and sealing.is_sealed(token):
            value = self.unseal(token).value
        elif isinstance(token, str) and _BEARER.fullmatch(token) and token != str(None):
            value = token
        else:  # Atlas would answer 200, and the token would live on
            raise InvalidSealedToken("What is to be revoked is no token")
        self._revoke(value, self.settings.max_wait)
        if self._shares() or (isinstance(token, str) and sealing.is_sealed(token) and self._is_shared(token)):
            self._forget([value])

    @airflow_errors()
    def forget_shared(self, revoked: Iterable[str]) -> None:
        """
        Take tokens that were revoked out of the deployment's store.

        :param revoked: sealed tokens; those that are not the deployment's are passed over.
        """
        account = self.settings.account
        values = [sealing.unseal(account, text).value for text in revoked if self._is_shared(text)]
        if values:
            self._forget(values)

    def _is_shared(self, text: str) -> bool:
        return sealing.is_shared(self.settings.account, text)

    def _forget(self, values: list[str]) -> None:
        """The revocation is done: whatever keeps the store from being changed now is a warning."""
        try:
            self._deployment(max_wait=0).forget(values)
        except AtlasError as error:
            log.warning("Revoked Atlas tokens stay in the store, and will be revoked again: %s", error)

    def seal(self, token: AccessToken, *, shared: bool = False) -> str:
        """
        Encrypt a token for whoever holds the same secret, to be handed to another task.

        :param shared: whether it is the deployment's, so that its revocation takes it out of the store.
        """
        return sealing.seal(self.settings.account, token, shared=shared)

    @airflow_errors()
    def unseal(self, text: str) -> AccessToken:
        """
        Open a sealed token.

        :raises InvalidSealedToken: if it is damaged or was sealed with another secret.
        """
        token = sealing.unseal(self.settings.account, text)
        mask_secret(token.value)
        return token

    @airflow_errors()
    def replace_token(self, refused: AccessToken) -> AccessToken | None:
        """
        Another token in place of one that Atlas refused, as :meth:`get_conn`'s sessions ask for it.

        A refusal causes at most one new token a minute, and the token that it replaces is revoked.

        :return: ``None`` if there is no other to be had: then the refusal is about rights.
        :raises TokenExpired: if this hook works with a token from another task, which it may not replace.
        """
        if self._handed_over is not None:
            raise TokenExpired("Atlas refused the token that was handed to this task", status=401)

        def fetch(may_mint: bool) -> AccessToken | None:
            minted: list[AccessToken] = []
            if self._shares():
                token = self._deployment(minted).replace(refused, may_mint)
            else:
                token = self._fetch(Renewal.MANDATORY) if may_mint else None
                minted += [token] if token is not None else []
            if minted:
                self._revoke_quietly(refused, max_wait=0)
            return token

        return (self._cache or self._find_cache()).replace(refused, fetch)

    @airflow_errors()
    def share_token(self, token: AccessToken | None = None) -> tuple[AccessToken, list[str]]:
        """
        Put a token in place of the deployment's, whatever scope this hook itself has.

        :param token: a new one of this connection; generated if left out.
        :return: the token, and sealed, what the store still holds unrevoked. Revoke these when the new one is out.
        :raises StoreUnavailable: if Airflow's Variables cannot be written. After any error the new token is revoked.
        """
        minted = [] if token is None else [token]
        try:
            token, replaced = self._deployment(minted).publish(token)
        except AtlasError:
            for unknown in minted:
                self._revoke_quietly(unknown, max_wait=0)
            raise
        return token, [self.seal(old, shared=True) for old in replaced]

    @airflow_errors()
    def unshare_token(self) -> int:
        """
        Revoke all tokens that the deployment shares for this service account and remove them from the store.

        :return: how many there were.
        """
        # Not `revoke_token`, which would wait for the claim that this one holds, to take the token out of the store.
        return self._deployment().dissolve(lambda token: self._revoke(token.value, self.settings.max_wait))

    def get_conn(self) -> AtlasSession:
        """
        A ``requests.Session`` for the Administration API, the same one at each call.

        Relative URLs, the API version, the token on each request, waits for 429 and 503 within ``max_wait``; see
        :class:`~airflow_provider_atlas.api.session.AtlasSession`.
        """
        if self._session is None:
            from airflow_provider_atlas.api.session import AtlasSession

            settings = self.settings
            self._session = AtlasSession(
                settings.account.base_url,
                self,
                transport=settings.transport,
                api_version=settings.api_version,
                max_wait=settings.max_wait,
                warned=task.warnings_of(self._task or task.current()),
            )
        return self._session

    @airflow_errors()
    def run(
        self,
        endpoint: str,
        method: str = "GET",
        *,
        json: Any = None,
        params: Mapping[str, Any] | None = None,
        api_version: str | None = None,
    ) -> Any:
        """
        Call the Administration API.

        .. seealso:: MongoDB Atlas documentation, "Atlas Administration API".

        :param endpoint: path such as ``/api/atlas/v2/groups``, or a link that Atlas gave.
        :param method: HTTP method.
        :param json: body, to be encoded.
        :param params: query parameters.
        :param api_version: date of the API version, instead of the connection's.
        :return: the decoded body, ``None`` for an empty one.
        :raises AtlasApiError: if Atlas refuses; carries its status, code, words and bad fields, and a remedy.
        :raises InvalidCall: if the endpoint or the version is not possible.
        """
        return calls.run(self.get_conn(), endpoint, method=method, json=json, params=params, api_version=api_version)

    def paginate(
        self, endpoint: str, *, params: Mapping[str, Any] | None = None, api_version: str | None = None
    ) -> Iterator[Any]:
        """
        Yield all results of a resource that comes in pages, one page in memory at a time.

        :param endpoint: as for :meth:`run`.
        :param params: query parameters; ``itemsPerPage`` is 500 unless it is among them.
        :param api_version: date of the API version, instead of the connection's.
        :raises AtlasApiError: also for an answer that is no page, and for pages that lead back.
        """
        with airflow_errors():
            yield from calls.paginate(self.get_conn(), endpoint, params=params, api_version=api_version)

    def test_connection(self) -> tuple[bool, str]:
        """Generate a token and revoke it, in some ten seconds at most: what the Test button shows."""
        outcome: list[tuple[bool, str]] = []
        thread = threading.Thread(target=lambda: outcome.append(self._mint_and_revoke()), daemon=True)
        try:
            _ = self.settings  # in this thread: Airflow's connections are its own
        except AtlasError as error:
            return False, f"Reading the connection failed. {error}"
        thread.start()
        thread.join(TEST_LIMIT)
        return (
            outcome[0] if outcome else (False, f"Atlas has begun to answer, but not finished within {TEST_LIMIT:g} s.")
        )

    def _mint_and_revoke(self) -> tuple[bool, str]:
        settings = self.settings
        client = self._client(replace(settings.transport, timeout=min(settings.transport.timeout, TEST_TIMEOUT)))
        step = "Generating a token"
        try:
            token = client.generate()
            step = "A token was generated, but revoking it"
            client.revoke(token.value)
        except AtlasError as error:
            return False, f"{step} failed. {error}"
        account = settings.account
        return True, f"{account.base_url} gave a token to {account.client_id} and took it back."

    def __enter__(self) -> AtlasServiceAccountHook:
        if self._handed_over is not None:
            raise ValueError("A hook that was given a token has none of its own to revoke: use it without `with`.")
        own = copy.copy(self)
        own._own, own._cache, own._minted, own._session = threading.local(), TokenCache(), [], None
        self._own.stack = [*getattr(self._own, "stack", ()), own]
        return own

    def __exit__(self, *_: object) -> None:
        own: AtlasServiceAccountHook = self._own.stack.pop()
        for token in own._minted or ():
            if is_dead(token, time.time()):
                continue
            own._revoke_quietly(token, self.settings.max_wait)

    def _revoke_quietly(self, token: AccessToken, max_wait: float) -> None:
        try:
            self._revoke(token.value, max_wait)
        except AtlasError as error:
            log.warning("Atlas token %s was not revoked and will expire: %s", token.fingerprint, error)

    def _find_cache(self) -> TokenCache:
        running = "deployment" if self._shares() else self._task or task.current()
        cache = task.cache_for(self.settings.account, running, self._handed_over)
        if self._task is not None:
            self._cache = cache
        return cache

    def _shares(self) -> bool:
        """Whether tokens come from the deployment's store: not those handed over, nor those of ``with``."""
        return self.settings.cache_scope == "deployment" and self._handed_over is None and self._minted is None

    def _deployment(self, minted: list[AccessToken] | None = None, max_wait: float | None = None) -> DeploymentToken:
        """The deployment's token; what this hook mints for it is added to ``minted``."""

        def mint() -> AccessToken:
            token = self._generate(0)
            if minted is not None:
                minted.append(token)
            return token

        wait = self.settings.max_wait if max_wait is None else max_wait
        return DeploymentToken(self.settings.account, Variables(), mint, wait, on_wait=metrics.waiting)

    @airflow_errors()
    def _fetch(self, need: Renewal) -> AccessToken:
        if self._handed_over is not None:
            token = self.unseal(self._handed_over)
            if renewal(token, time.time()) is Renewal.MANDATORY:
                raise TokenExpired()
            metrics.count("reused")
            return token
        # While the old token lives, nobody is kept waiting for a new one.
        max_wait = 0 if need is Renewal.ADVISORY else self.settings.max_wait
        if self._shares():
            minted: list[AccessToken] = []
            token = self._deployment(minted, max_wait).get()
            if not minted:
                metrics.count("reused")
            return token
        token = self._generate(max_wait)
        if self._minted is not None:
            self._minted.append(token)
        return token

    def _generate(self, max_wait: float) -> AccessToken:
        token = patiently(self._client().generate, max_wait, on_wait=metrics.waiting)
        mask_secret(token.value)
        metrics.count("generated")
        life = (token.expires_at - token.issued_at).total_seconds() / 60
        log.info("Generated Atlas token %s, valid for %.0f min.", token.fingerprint, life)
        return token

    def _revoke(self, value: str, max_wait: float) -> None:
        patiently(lambda: self._client().revoke(value), max_wait, on_wait=metrics.waiting)
        task.forget(value)
        metrics.count("revoked")
        log.info("Revoked Atlas token %s.", fingerprint(value))

    def _client(self, transport: Transport | None = None) -> TokenClient:
        from airflow_provider_atlas.oauth.client import TokenClient

        return TokenClient(self.settings.account, transport or self.settings.transport)
