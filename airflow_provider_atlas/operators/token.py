"""Generate and revoke Atlas access tokens as tasks: setup and teardown of a DAG run, and the two steps of a rotation.

What passes between tasks is sealed. XCom is stored in plain text, and so are a DAG's literal arguments.
"""

from __future__ import annotations

import ast
import logging
import time
from collections.abc import Iterator, Mapping, Sequence, Set
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.providers.common.compat.sdk import AirflowSkipException, mask_secret

from airflow_provider_atlas.cache.memory import surely_expired
from airflow_provider_atlas.cache.sealing import PREFIX, is_sealed
from airflow_provider_atlas.exceptions import (
    AtlasError,
    AtlasUnreachable,
    InvalidSealedToken,
    RateLimited,
    ServiceUnavailable,
)
from airflow_provider_atlas.frames import cleared
from airflow_provider_atlas.hooks.tokens import DeploymentToken, Tokens
from airflow_provider_atlas.operators.base import AtlasBaseOperator
from airflow_provider_atlas.triggers import events

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_atlas.hooks.current import CurrentSettings
    from airflow_provider_atlas.hooks.settings import Settings
    from airflow_provider_atlas.oauth.token import AccessToken

log = logging.getLogger(__name__)

#: Stands for something that was not a sealed token where only sealed tokens are written.
UNUSABLE = f"{PREFIX}unusable"


class GenerateTokenOperator(AtlasBaseOperator):
    """
    Generate an access token and pass it on, sealed.

    Returns, and pushes as one XCom each (``output["token"]`` works): ``token``, the sealed token; ``token_type``;
    ``client_id``; ``issued_at`` and ``expires_at``, ISO 8601 in UTC; ``replaced``, a list of the sealed tokens that
    this one replaces. Open the token with ``AtlasServiceAccountHook(..., token=...)``.

    .. seealso:: MongoDB Atlas documentation, "Generate Service Account Token".

    :param atlas_conn_id: id of the connection.
    :param share: put the token in place of the one that the whole deployment shares (``cache_scope=deployment``).
        ``replaced`` then lists the tokens in the store that nobody has revoked yet: pass it to a
        :class:`RevokeTokenOperator`.
    :param multiple_outputs: push the XCom key by key, too.
    :param max_wait: seconds that the task may wait for Atlas in all, instead of the connection's; 0 raises at once.
    :param deferrable: wait in the triggerer, for the rate limit and also for the cap on active tokens. If another task
        on this machine was told to wait, the task defers without a request. Default from
        ``[operators] default_deferrable``.
    :raises InvalidClient: and the other types of :mod:`airflow_provider_atlas.exceptions`; those that no retry cures
        fail the task at once.
    """

    template_fields: Sequence[str] = ("atlas_conn_id",)

    def __init__(self, *, share: bool = False, multiple_outputs: bool = True, **kwargs: Any) -> None:
        super().__init__(multiple_outputs=multiple_outputs, **kwargs)
        if not (share or self.do_xcom_push):
            raise ValueError("GenerateTokenOperator needs do_xcom_push=True or share=True: nobody could use the token")
        self.share = share

    @cleared
    def execute(self, context: Context) -> dict[str, Any]:
        started, current = time.time(), self._current()
        deadline = self._deadline(current.settings, started)
        try:
            self._raise_if_rate_limited(current.settings, "generate")
            return current.call(lambda settings: self._output(settings, None, deadline))
        except AtlasError as error:
            self._defer_or_raise(current.settings, error, action="generate", started=started)

    @cleared
    def execute_complete(self, context: Context, event: Any = None) -> dict[str, Any]:
        """Go on with the token that the trigger generated."""
        sealed, deadline = events.result(event, "token"), events.deadline(event)
        return self._current().call(lambda settings: self._output(settings, sealed, deadline))

    def _output(self, settings: Settings, sealed: str | None, deadline: float) -> dict[str, Any]:
        tokens = Tokens(settings)
        token: AccessToken | None = None
        replaced: list[str] = []
        generated: list[AccessToken] = []
        try:
            if sealed is not None:
                generated.append(token := tokens.unseal(sealed))
            if self.share:
                # A token that was generated already waits for the holder of the claim only: no deferral can do that.
                wait = self._wait_on_worker(deadline) if token is None else max(deadline - time.time(), 0.0)
                token, replaced = DeploymentToken(tokens, wait).publish(token)
                generated.clear()  # the store has it
            elif token is None:
                token = tokens.generate(self._wait_on_worker(deadline), generated)
            return {
                "token": tokens.seal(token, shared=self.share),
                "token_type": token.token_type,
                "client_id": settings.account.client_id,
                "issued_at": token.issued_at.isoformat(),
                "expires_at": token.expires_at.isoformat(),
                "replaced": replaced,
            }
        except BaseException:  # the task's timeout, too
            for unknown in generated:
                tokens.revoke_or_warn(unknown)
            raise


class RevokeTokenOperator(AtlasBaseOperator):
    """
    Revoke access tokens that other tasks generated.

    Nothing to revoke (``None``, also as the text that a template makes of it, or an empty list) is a skip. Expired
    tokens need no revocation. Anything that is not a sealed token of this connection is an error, because Atlas
    responds with 200 to any text, and a successful task would hide an active token. If one token cannot be revoked,
    the others are still revoked. A teardown revokes what it can: there, tokens that do not open are a warning and the
    task ends as skipped.

    .. seealso:: MongoDB Atlas documentation, "Revoke Service Account Token".

    :param token: sealed text, the whole XCom of a :class:`GenerateTokenOperator`, or a list of these. Plain tokens are
        refused: they would be visible in the serialized DAG and in XCom.
    :param share: without ``token``: revoke what the whole deployment shares and remove it from the store. Waits on the
        worker.
    :param atlas_conn_id: id of the connection; the one that the token was generated with.
    :param max_wait: seconds that the task may wait for Atlas in all, instead of the connection's.
    :param deferrable: wait in the triggerer; default from ``[operators] default_deferrable``.
    :raises InvalidSealedToken: if ``token`` is, or contains, anything else.
    """

    template_fields: Sequence[str] = ("token", "atlas_conn_id")

    def __init__(self, *, token: Any = None, share: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        # A plain token must not be written into the serialized DAG. What a mapped task was given is checked when it
        # runs: here Airflow's own frames hold it, and a crash reporter would send them.
        mapped = getattr(self, "_BaseOperator__from_mapped", False)
        for item in () if mapped else _items(token, literals=True):
            if isinstance(item, InvalidSealedToken):
                raise item
        if share and token is not None:
            raise ValueError("RevokeTokenOperator takes either token or share=True")
        self.token = token
        self.share = share

    @cleared
    def execute(self, context: Context) -> None:
        started = time.time()
        items = [] if self.share else list(_items(self.token))
        if not items and not self.share:
            raise AirflowSkipException("There is no Atlas token to revoke.")
        current = self._current()
        deadline = self._deadline(current.settings, started)
        if self.share:
            if current.call(lambda settings: self._dissolve(settings, deadline)) == 0:
                raise AirflowSkipException("The deployment shares no Atlas token of this service account.")
            return
        opened, unusable = self._open(current, items)
        left = dict(opened)
        failure: AtlasError | None = None
        for text, token in opened.items():
            try:
                self._raise_if_rate_limited(current.settings, "revoke")
                current.call(partial(self._revoke, token.value, deadline))
                del left[text]
            except (RateLimited, ServiceUnavailable, AtlasUnreachable) as error:  # the next token would fail as well
                failure = error
                break
            except AtlasError as error:
                failure = failure or error
        self._forget(current, [text for text in opened if text not in left])
        if failure is not None:
            # The marker of what does not open ends the trigger with an error, after it has revoked the others.
            texts = " ".join([*left, *([UNUSABLE] if unusable else [])])
            self._defer_or_raise(current.settings, failure, action="revoke", started=started, tokens=texts)
        if unusable is not None:
            self._fail(unusable)

    @cleared
    def execute_complete(self, context: Context, event: Any = None) -> None:
        """Take what the trigger revoked out of the store, and raise what it could not do."""
        self._forget(self._current(), events.revoked(event))
        try:
            events.result(event, "revoked")
        except AtlasError as error:
            self._fail(error)

    def _revoke(self, value: str, deadline: float, settings: Settings) -> None:
        Tokens(settings).revoke(value, self._wait_on_worker(deadline))

    @staticmethod
    def _dissolve(settings: Settings, deadline: float) -> int:
        return DeploymentToken(Tokens(settings), max(deadline - time.time(), 0.0)).dissolve()

    @staticmethod
    def _forget(current: CurrentSettings, revoked: Sequence[str]) -> None:
        def forget(settings: Settings) -> None:
            tokens = Tokens(settings)
            shared = [tokens.unseal(text).value for text in revoked if tokens.is_shared(text)]
            if shared:
                DeploymentToken(tokens, 0).forget(shared)

        current.call(forget)

    def _open(
        self, current: CurrentSettings, items: list[str | InvalidSealedToken]
    ) -> tuple[dict[str, AccessToken], InvalidSealedToken | None]:
        """Return what is to be revoked, by its sealed text, and why something else is not."""
        opened: dict[str, AccessToken] = {}
        unusable, looked = None, False
        settings = current.settings
        tokens = Tokens(settings)
        for item in items:
            if isinstance(item, InvalidSealedToken):
                unusable = item
                continue
            try:
                token = tokens.unseal(item)
            except InvalidSealedToken as error:
                if not looked and current.goes_over(settings, error):
                    return self._open(current, items)
                looked, unusable = True, error
                continue
            if surely_expired(token, time.time()):
                log.info("Atlas token %s has expired already.", token.fingerprint)
            else:
                opened[item] = token
        return opened, unusable

    def _fail(self, error: AtlasError) -> NoReturn:
        if not self.is_teardown or not isinstance(error, InvalidSealedToken):
            raise error
        log.warning("A token was not revoked and stays active until it expires, at most an hour: %s", error)
        raise AirflowSkipException("A token could not be opened and was not revoked.")


def _items(value: Any, *, literals: bool = False) -> Iterator[str | InvalidSealedToken]:
    """
    Flatten the argument of :class:`RevokeTokenOperator` into sealed tokens, and an error for everything else.

    A refused text is masked in logs from here on, as it may be a token.

    :param literals: whether this is an argument in the DAG file. Templates and other tasks' outputs are then skipped.
    """
    if isinstance(value, str):
        if literals and ("{{" in value or "{%" in value):
            return
        if is_sealed(value):
            yield value
            return
        literal = _literal(value)
        if isinstance(literal, str):
            mask_secret(value)
            yield InvalidSealedToken("The token to revoke must be a sealed token; this text is not sealed")
            return
        value = literal
    if value is None:
        return
    if isinstance(value, Mapping):
        if isinstance(value.get("token"), str):
            yield from _items(value["token"], literals=literals)
        else:
            yield InvalidSealedToken(
                'The token to revoke must be a sealed token; the mapping has no text under "token"'
            )
    elif isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
        for item in value:
            if item is None:
                yield InvalidSealedToken("The tokens to revoke must be sealed tokens; the list contains None")
            else:
                yield from _items(item, literals=literals)
    elif not literals or isinstance(value, bytes | bytearray | Set):
        yield InvalidSealedToken(f"The token to revoke must be a sealed token, not a {type(value).__name__}")


def _literal(text: str) -> Any:
    """Undo a template: without native rendering, a list, a mapping or ``None`` arrives as its ``repr``."""
    try:
        value = ast.literal_eval(text)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):  # TypeError: "{[]: 1}"
        return text
    return value if value is None or isinstance(value, list | tuple | dict) else text
