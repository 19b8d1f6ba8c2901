"""The hook: an Airflow connection in, access tokens out.

It composes the token protocol (``oauth``), the stores of a token (``cache``) and the Administration API (``api``) with
Airflow's connections and tasks. ``requests`` and ``cryptography`` are loaded on first use, since DAG files that import
this module are parsed again and again.
"""

from __future__ import annotations

import copy
import re
import time
from collections import deque
from contextvars import ContextVar
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, cast

from airflow.providers.common.compat.sdk import AirflowNotFoundException, BaseHook, mask_secret

from airflow_provider_atlas.api import calls
from airflow_provider_atlas.cache import sealing, task
from airflow_provider_atlas.exceptions import AtlasError, ConnectionNotFound, InvalidSealedToken
from airflow_provider_atlas.frames import cleared, leave
from airflow_provider_atlas.get_provider_info import CONNECTION_TYPE, HOOK_NAME
from airflow_provider_atlas.hooks.current import CurrentSettings
from airflow_provider_atlas.hooks.settings import Settings
from airflow_provider_atlas.hooks.tokens import (
    DeploymentToken,
    Generated,
    GivenToken,
    OwnToken,
    TaskToken,
    Tokens,
    TokenSource,
)
from airflow_provider_atlas.oauth.token import AccessToken

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator, Mapping

    from airflow.providers.common.compat.sdk import Connection, ObjectStoragePath

    from airflow_provider_atlas.api.download import Download
    from airflow_provider_atlas.api.session import AtlasSession
    from airflow_provider_atlas.hooks.client_secrets import ClientSecret

T = TypeVar("T")

#: The API server runs the Test button without a time limit: two requests, each to connect and to respond. Seconds.
TEST_TIMEOUT = 2.5

#: The Test button looks at the client secret's expiry with requests that take less, and only after a fast response.
LOOK_TIMEOUT = 1.0

#: A session remembers so many tokens that were refused.
REMEMBERED = 8
#: What a Bearer token consists of (RFC 6750, 2.1).
_BEARER = re.compile(r"[A-Za-z0-9._~+/-]+=*")
#: The `with` blocks that this thread or coroutine is in: the hook, and the one that it gave.
_entered: ContextVar[tuple[tuple[AtlasServiceAccountHook, AtlasServiceAccountHook], ...]] = ContextVar(
    "_entered", default=()
)


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
    :param max_wait: seconds that a call may wait for Atlas in all, instead of the connection's; 0 does
        not wait for Atlas, and in deployment scope only for another task's request.
    :param token: a sealed token that another task generated. The hook then requests none, and raises
        :class:`~airflow_provider_atlas.exceptions.TokenExpired` when that one expires; only if its client secret was
        replaced and deleted does it use the deployment's token.
    :raises AtlasError: all methods raise the types of :mod:`airflow_provider_atlas.exceptions`.
    """

    conn_name_attr = "atlas_conn_id"
    default_conn_name = "atlas_default"
    conn_type = CONNECTION_TYPE
    hook_name = HOOK_NAME
    _masks = True  # whether Airflow masks its tokens in logs

    @cleared
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
        self._arguments = {
            "atlas_conn_id": atlas_conn_id,
            "client_id": client_id,
            "client_secret": client_secret,
            "base_url": base_url,
            "cache_scope": cache_scope,
            "max_wait": max_wait,
            "token": token,
        }
        self._credentials = (client_id, client_secret, base_url)
        self._cache_scope = cache_scope
        self._max_wait = max_wait
        self._given = token
        # A hook made inside a task belongs to it; one made at the top of a DAG file serves whichever task is running.
        self._task = task.current()
        self.current = CurrentSettings(
            atlas_conn_id, self._read_settings, stored=client_id is None and client_secret is None and base_url is None
        )
        self._source: TokenSource | None = None
        self._session: AtlasSession | None = None
        self._generated: Generated | None = None  # of a hook that has a token of its own

    @staticmethod
    @cleared
    def build_connection(
        *,
        client_id: str,
        client_secret: str,
        conn_id: str = default_conn_name,
        base_url: str | None = None,
    ) -> Connection:
        """
        Build the Airflow connection of a service account.

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
        """The form's labels, see :mod:`airflow_provider_atlas.hooks.form`."""
        from airflow_provider_atlas.hooks import form

        return form.labels()

    @classmethod
    def get_connection_form_widgets(cls) -> dict[str, Any]:
        """The form's further fields, see :mod:`airflow_provider_atlas.hooks.form`."""
        from airflow_provider_atlas.hooks import form

        return form.widgets()

    @property
    def settings(self) -> Settings:
        """The connection, checked; read once, and once more for each client secret that was replaced."""
        return self.current.settings

    @cleared
    def _read_settings(self) -> Settings:
        client_id, client_secret, base_url = self._credentials
        if client_id is None and client_secret is None and base_url is None:
            conn = self._stored_connection()
        else:
            conn = self.build_connection(
                client_id=client_id or "",
                client_secret=client_secret or "",
                conn_id=self.atlas_conn_id,
                base_url=base_url,
            )
        settings = Settings.from_connection(conn, cache_scope=self._cache_scope, max_wait=self._max_wait)
        # At once: each mask is a message to the task's supervisor, and the task waits for its response.
        mask_secret([*settings.account.secrets, *(earlier.client_secret for earlier in settings.previous)])
        return settings

    def _stored_connection(self) -> Connection:
        try:
            return self.get_connection(self.atlas_conn_id)
        except AirflowNotFoundException:
            pass
        raise ConnectionNotFound(f"The connection {self.atlas_conn_id} was not found")

    def get_token(self) -> AccessToken:
        """A token that is valid for some minutes at least, or for as long as Atlas lets this hook have one."""
        source = self._source
        try:
            if source is not None:
                return source.get()
        except BaseException as error:  # not `cleared`, which a warm call would pay for
            if source is None or not self.current.goes_over(source.settings, error):
                leave(error)
                raise
        return self._get_token()

    @cleared
    def _get_token(self) -> AccessToken:
        return self._with_source(lambda source: source.get())

    @cleared
    def generate_token(self) -> AccessToken:
        """A new token. No cache holds it, and the caller must revoke it."""
        return self.current.call(lambda settings: Tokens(settings).generate(settings.max_wait))

    @cleared
    def revoke_token(self, token: AccessToken | str) -> None:
        """
        Revoke a token at Atlas, and drop it from the caches of this process.

        Atlas's response to an unknown or expired token is the same as to an active one.

        :param token: an :class:`~airflow_provider_atlas.oauth.token.AccessToken`, sealed text, or a token's plain text.
        """
        self.current.call(lambda settings: self._revoke(settings, token))

    def _revoke(self, settings: Settings, token: AccessToken | str) -> None:
        tokens, shared = Tokens(settings), settings.cache_scope == "deployment"
        if isinstance(token, AccessToken):
            value = token.value
        elif isinstance(token, str) and sealing.is_sealed(token):
            value, shared = tokens.unseal(token).value, shared or tokens.is_shared(token)
        elif isinstance(token, str) and _BEARER.fullmatch(token) and token != str(None):
            value = token
        else:  # Atlas would respond with 200, and the token would stay active
            raise InvalidSealedToken("The token to revoke must be an AccessToken, a sealed token or a plain token")
        tokens.revoke(value, settings.max_wait)
        if shared:
            DeploymentToken(tokens, 0).forget([value])

    @cleared
    def seal(self, token: AccessToken) -> str:
        """Encrypt a token for whoever has the same client secret, to be passed to another task."""
        return self._tokens.seal(token)

    @cleared
    def unseal(self, text: str) -> AccessToken:
        """
        Open a sealed token.

        :raises InvalidSealedToken: if it is damaged or was sealed with another secret.
        """
        return self.current.call(lambda settings: Tokens(settings).unseal(text))

    @cleared
    def get_conn(self) -> AtlasSession:
        """
        A ``requests.Session`` for the Administration API, the same one at each call.

        Relative URLs, the API version, the token on each request; waits for rate limits, and repeats of GET and HEAD
        after 500, 502, 503, 504 and lost connections, within ``max_wait``; see
        :class:`~airflow_provider_atlas.api.session.AtlasSession`.
        """
        if self._session is None:
            from airflow_provider_atlas.api.session import AtlasSession

            settings = self.settings
            self._session = AtlasSession(
                settings.account.base_url,
                lambda: _SessionSource(self),
                transport=settings.transport,
                api_version=settings.api_version,
                max_wait=settings.max_wait,
                warned=task.warnings_of(self._task or task.current()),
            )
        return self._session

    @cleared
    def run(
        self,
        endpoint: str,
        method: str = "GET",
        *,
        path: Mapping[str, Any] | None = None,
        json: Any = None,
        params: Mapping[str, Any] | None = None,
        api_version: str | None = None,
        accept: str = "json",
    ) -> Any:
        """
        Call the Administration API.

        GET and HEAD are repeated after 500, 502, 503, 504 and lost connections within ``max_wait``; every other method
        only after a rate limit, or if the request was certainly not sent. Otherwise the error says that Atlas may have
        made the change.

        .. seealso:: MongoDB Atlas documentation, "Atlas Administration API".

        :param endpoint: path such as ``/api/atlas/v2/groups/{groupId}/clusters``, or a link from a response of Atlas.
        :param method: HTTP method.
        :param path: values for the names in the endpoint, ``{"groupId": ...}``; each is quoted as one segment.
        :param json: body, to be encoded.
        :param params: query parameters; booleans and times are written as Atlas reads them, lists repeated.
        :param api_version: date of the API version, or ``preview``, instead of the connection's.
        :param accept: form of the body: ``json``; ``csv`` or ``gzip`` where the resource has it.
        :return: the decoded body; text for CSV, bytes for gzip; ``None`` for an empty one, and for a report that Atlas
            is still making (102).
        :raises AtlasApiError: if Atlas refuses; carries its status, code, words and bad fields, what the code means
            (``meaning``) and a remedy.
        :raises InvalidCall: if the endpoint, a value or the version is not possible.
        """
        return calls.run(
            self.get_conn(),
            endpoint,
            method,
            path=path,
            json=json,
            params=params,
            api_version=api_version,
            accept=accept,
        )

    def paginate(
        self,
        endpoint: str,
        *,
        path: Mapping[str, Any] | None = None,
        params: Mapping[str, Any] | None = None,
        json: Any = None,
        api_version: str | None = None,
        items: str | None = None,
    ) -> Iterator[Any]:
        """
        Yield all items of a list, one page in memory at a time. A list that has no pages is read as well.

        Resources that go on by ``maxDate`` or ``nLogs`` have no pages: call :meth:`run` with the next value.

        :param endpoint: as for :meth:`run`, as are ``path`` and ``api_version``.
        :param params: query parameters; ``itemsPerPage`` is 500 unless it is among them.
        :param json: body of each request, for the one list that is searched with one.
        :param items: name of the list in the response, if it is not ``results``; Atlas's page size then.
        :raises AtlasApiError: also for a response that is not a list, and for pages that lead back.
        """
        try:
            yield from calls.paginate(
                self.get_conn(), endpoint, path=path, params=params, json=json, api_version=api_version, items=items
            )
        except BaseException as error:
            leave(error)
            raise

    @cleared
    def download(
        self,
        endpoint: str,
        to: str | os.PathLike[str] | ObjectStoragePath,
        *,
        path: Mapping[str, Any] | None = None,
        params: Mapping[str, Any] | None = None,
        api_version: str | None = None,
        accept: str = "gzip",
    ) -> Download:
        """
        Download a file, such as a log or an invoice, of any size, in constant memory.

        It is written beside ``to`` under another name, and renamed when it is complete: what is there is whole. A
        connection that breaks is tried again from the start, within ``max_wait``.

        :param endpoint: as for :meth:`run`, as are ``path``, ``params`` and ``api_version``.
        :param to: the file, or an ``ObjectStoragePath``; replaced if it exists.
        :param accept: form of the file: ``gzip``, ``csv`` or ``json``.
        :return: ``size`` in bytes and ``sha256`` in hex digits.
        :raises AtlasApiError: as :meth:`run`.
        """
        from airflow_provider_atlas.api.download import download

        return download(self.get_conn(), endpoint, to, path=path, params=params, api_version=api_version, accept=accept)

    @cleared
    def client_secrets(self, org_id: str | None = None, project_id: str | None = None) -> list[ClientSecret]:
        """
        The client secrets of this service account, the newest last.

        Give one of the two. Atlas lists them for an owner of the organization or project.

        :param org_id: the organization that the service account belongs to.
        :param project_id: the project.
        :raises AtlasApiError: if the account may not see them.
        """
        from airflow_provider_atlas.hooks.client_secrets import ClientSecrets

        return ClientSecrets(self.run, self.settings.account.client_id, org_id=org_id, project_id=project_id).read()

    @cleared
    def test_connection(self) -> tuple[bool, str]:
        """Generate a token and revoke it, in some ten seconds at most: what the Test button shows."""
        try:
            settings = self.settings
        except AtlasError as error:
            return False, f"Reading the connection failed. {error}"
        return _generate_and_revoke(settings)

    @cleared
    def __enter__(self) -> AtlasServiceAccountHook:
        if self._given is not None:
            raise ValueError("A hook that was given a token has none of its own to revoke: use it without `with`.")
        own = copy.copy(self)
        own.current, own._task, own._generated = self.current, self._task, Generated()
        own._find_source()
        _entered.set((*_entered.get(), (self, own)))
        return own

    @cleared
    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        # A task whose time is over (its timeout or SIGTERM is no Exception) must not wait again.
        interrupted = kind is not None and not issubclass(kind, Exception)
        entered = _entered.get()
        last = max(number for number, (hook, own) in enumerate(entered) if hook is self)
        _entered.set((*entered[:last], *entered[last + 1 :]))
        source = cast("OwnToken", entered[last][1]._source)
        source.close(0 if interrupted else self.settings.max_wait)

    @cleared
    def __reduce__(self) -> tuple[Any, ...]:
        """A copy has the arguments and nothing else: Airflow 2.11 copies ``default_args``."""
        return _Maker(type(self), self._arguments), ()

    @property
    def _tokens(self) -> Tokens:
        return Tokens(self.settings)

    def _with_source(self, call: Callable[[TokenSource], T]) -> T:
        return self.current.call(lambda settings: call(self._find_source(settings)))

    def _find_source(self, settings: Settings | None = None) -> TokenSource:
        """The source of this hook's token; in a task, the same one for as long as the client secret is the same."""
        settings = settings or self.settings
        if self._source is not None and self._source.settings is settings:
            return self._source
        running, tokens = self._task or task.current(), Tokens(settings, mask=self._masks)
        source: TokenSource
        if self._generated is not None:
            source = OwnToken(tokens, settings.max_wait, self._generated)
        elif self._given is not None:
            cache = task.cache_for(settings.account, running, self._given)
            source = GivenToken(tokens, cache, self._given, settings.max_wait)
        elif settings.cache_scope == "deployment":
            source = DeploymentToken(tokens, settings.max_wait, task.cache_for(settings.account, "deployment"))
        else:
            source = TaskToken(tokens, task.cache_for(settings.account, running), settings.max_wait)
        if self._task is not None or self._generated is not None:
            self._source = source
        return source


class _SessionSource:
    """Where the hook's session gets its tokens. It switches to another client secret together with the hook."""

    def __init__(self, hook: AtlasServiceAccountHook) -> None:
        self._hook = hook
        self._refused: deque[str] = deque(maxlen=REMEMBERED)

    def get(self, max_wait: float) -> AccessToken:
        return self._hook._with_source(lambda source: source.get(max_wait))

    def replace(self, refused: AccessToken, max_wait: float) -> AccessToken | None:
        self._refused.append(refused.value)
        self._hook.current.token_refused(self._hook.settings, refused.value)

        def other(source: TokenSource) -> AccessToken | None:
            # One of another secret, or of another thread: no refusal was about it.
            token = source.get(max_wait)
            return token if token.value not in self._refused else source.replace(token, max_wait)

        return self._hook._with_source(other)


class _Maker:
    """Makes a hook again. The frames of ``copy`` show what they are given; the ``repr`` of this shows nothing."""

    def __init__(self, kind: type[AtlasServiceAccountHook], arguments: dict[str, Any]) -> None:
        self._kind = kind
        self._arguments = arguments

    def __call__(self) -> AtlasServiceAccountHook:
        return self._kind(**self._arguments)


def _generate_and_revoke(settings: Settings) -> tuple[bool, str]:
    transport = replace(settings.transport, timeout=min(settings.transport.timeout, TEST_TIMEOUT))
    tokens = Tokens(replace(settings, transport=transport), mask=False)
    step, began = "Generating a token", time.monotonic()
    try:
        token = tokens.generate()
        step = "A token was generated, but revoking it"
        warning = "" if time.monotonic() - began > LOOK_TIMEOUT else _expiry_warning(settings, token)
        tokens.revoke(token.value)
    except AtlasError as error:
        return False, f"{step} failed. {error}"
    account = settings.account
    return True, f"{account.base_url} gave a token to {account.client_id} and took it back.{warning}"


def _expiry_warning(settings: Settings, token: AccessToken) -> str:
    from airflow_provider_atlas.api.session import AtlasSession
    from airflow_provider_atlas.hooks.client_secrets import expiry_warning

    class Fixed:
        def get(self, max_wait: float) -> AccessToken:
            return token

        def replace(self, refused: AccessToken, max_wait: float) -> None:
            return None

    session = AtlasSession(
        settings.account.base_url,
        Fixed,
        transport=replace(settings.transport, timeout=min(settings.transport.timeout, LOOK_TIMEOUT)),
        api_version=settings.api_version,
        max_wait=0,
    )
    with session:
        return expiry_warning(partial(calls.run, session), settings.account.client_id)
