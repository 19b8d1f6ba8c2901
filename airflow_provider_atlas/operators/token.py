"""Generate and revoke Atlas access tokens as tasks: setup and teardown of a DAG run, and the two halves of a rotation.

What passes between tasks is sealed. XCom is stored in plain text, and so are a DAG's literal arguments.
"""

from __future__ import annotations

import ast
import logging
import time
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.providers.common.compat.sdk import AirflowSkipException, BaseOperator, conf, mask_secret

from airflow_provider_atlas import metrics
from airflow_provider_atlas.cache import window
from airflow_provider_atlas.cache.memory import is_dead
from airflow_provider_atlas.cache.sealing import PREFIX, is_sealed
from airflow_provider_atlas.exceptions import InvalidSealedToken, load
from airflow_provider_atlas.hooks.service_account import AtlasServiceAccountHook
from airflow_provider_atlas.oauth.errors import AtlasError, RateLimited
from airflow_provider_atlas.oauth.limits import seconds_to_wait

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_atlas.oauth.token import AccessToken

log = logging.getLogger(__name__)

#: A deferral costs some 5 s and starts the task twice: a wait of up to so many seconds is sat out on the worker.
WORTH_DEFERRING = 10.0
#: A trigger that fires at once can overtake the executor's report of the deferral, and the task is lost; seconds.
SOONEST = 5.0
#: Airflow's own time-out of a deferral backs the trigger's deadline; a dead triggerer is replaced within this; seconds.
GRACE = 120.0
#: Stands for something that was no sealed token where only such may be written down.
UNUSABLE = f"{PREFIX}unusable"


class _AtlasTokenOperator(BaseOperator):
    """What generating and revoking have in common: a connection, and a wait that need not hold a worker."""

    def __init__(
        self,
        *,
        atlas_conn_id: str = AtlasServiceAccountHook.default_conn_name,
        max_wait: float | None = None,
        deferrable: bool | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.atlas_conn_id = atlas_conn_id
        self.max_wait = max_wait
        if deferrable is None:
            deferrable = conf.getboolean("operators", "default_deferrable", fallback=False)
        self.deferrable = deferrable
        self._patience = 0.0  # seconds, the connection's where the task has none; known once it is read

    def _hook(self) -> AtlasServiceAccountHook:
        """A hook that waits on the worker: for all of ``max_wait``, or for what is not worth a deferral."""
        hook = AtlasServiceAccountHook(self.atlas_conn_id, max_wait=self.max_wait)
        self._patience = hook.settings.max_wait
        if self.deferrable:
            hook.settings = replace(hook.settings, max_wait=min(self._patience, WORTH_DEFERRING))
        return hook

    def _ask_no_closed_window(self, hook: AtlasServiceAccountHook, action: str) -> None:
        """Raise what Atlas would say, where another task on this machine has heard it already."""
        left = window.closed_for(hook.settings.account, action, time.time())
        if self.deferrable and left > WORTH_DEFERRING:
            raise RateLimited("Atlas has told another task on this machine to wait", retry_after=left)

    def _wait_elsewhere(
        self, hook: AtlasServiceAccountHook, error: AtlasError, started: float, action: str, tokens: str = ""
    ) -> NoReturn:
        """Defer, if ``error`` can be waited for until the task's deadline; else raise it."""
        from airflow_provider_atlas.triggers.token import AtlasTokenTrigger

        now = time.time()
        wait = seconds_to_wait(error, 1, deferred=True)
        if wait is not None and isinstance(error, RateLimited) and error.status is not None:
            window.close(hook.settings.account, action, now + wait)
        deadline = started + self._patience
        moment = now + max(wait or 0.0, SOONEST)
        if not self.deferrable or wait is None or moment > deadline:
            raise error
        metrics.waiting(error, moment - now)
        self.defer(
            trigger=AtlasTokenTrigger(
                atlas_conn_id=self.atlas_conn_id,
                action=action,
                moment=moment,
                started=started,
                deadline=deadline,
                tokens=tokens,
            ),
            method_name="execute_complete",
            timeout=timedelta(seconds=deadline - now + GRACE),
        )


def _answer(event: Any, key: str) -> str:
    """
    What a trigger brought.

    :raises AtlasError: its error as its own type; or one that says that this is no event of the trigger's.
    """
    if isinstance(event, Mapping):
        if event.get("status") == "error" and isinstance(event.get("error"), Mapping):
            raise load(event["error"])
        if event.get("status") == "success" and isinstance(event.get(key), str):
            return str(event[key])
    raise AtlasError("The task was resumed without an event that this release of the provider knows")


class GenerateTokenOperator(_AtlasTokenOperator):
    """
    Generate an access token and hand it on, sealed.

    Returns, and pushes as one XCom each (``output["token"]`` works): ``token``, the sealed token; ``token_type``;
    ``client_id``; ``issued_at`` and ``expires_at``, ISO 8601 in UTC; ``replaced``, a list of the sealed tokens that
    this one replaces. Open the token with ``AtlasServiceAccountHook(..., token=...)``.

    .. seealso:: MongoDB Atlas documentation, "Generate Service Account Token".

    :param atlas_conn_id: id of the connection.
    :param share: put the token in place of the one that the whole deployment shares (``cache_scope=deployment``).
        ``replaced`` is then what the store still holds unrevoked: hand it to a :class:`RevokeTokenOperator`.
    :param multiple_outputs: push the XCom key by key, too.
    :param max_wait: seconds that the task may wait for Atlas in all, instead of the connection's; 0 raises at once.
    :param deferrable: wait in the triggerer, for the rate limit and also for the cap on active tokens; and without
        asking first, if another task on this machine was told to wait. Default from ``[operators] default_deferrable``.
    :raises InvalidClient: and its kin, see :mod:`airflow_provider_atlas.exceptions`; those that no retry can cure fail
        the task without one.
    """

    template_fields: Sequence[str] = ("atlas_conn_id",)

    def __init__(self, *, share: bool = False, multiple_outputs: bool = True, **kwargs: Any) -> None:
        super().__init__(multiple_outputs=multiple_outputs, **kwargs)
        self.share = share

    def execute(self, context: Context) -> dict[str, Any]:
        started, hook = time.time(), self._hook()
        try:
            self._ask_no_closed_window(hook, "generate")
            return self._output(hook, *(hook.share_token() if self.share else (hook.generate_token(), [])))
        except AtlasError as error:
            self._wait_elsewhere(hook, error, started, "generate")

    def execute_complete(self, context: Context, event: Any = None) -> dict[str, Any]:
        """Go on with the token that the trigger generated."""
        hook = self._hook()
        token = hook.unseal(_answer(event, "token"))
        return self._output(hook, *(hook.share_token(token) if self.share else (token, [])))

    def _output(self, hook: AtlasServiceAccountHook, token: AccessToken, replaced: list[str]) -> dict[str, Any]:
        return {
            "token": hook.seal(token, shared=self.share),
            "token_type": token.token_type,
            "client_id": hook.settings.account.client_id,
            "issued_at": token.issued_at.isoformat(),
            "expires_at": token.expires_at.isoformat(),
            "replaced": replaced,
        }


class RevokeTokenOperator(_AtlasTokenOperator):
    """
    Revoke access tokens that other tasks generated.

    Nothing to revoke (``None``, also as the text that a template makes of it, or an empty list) is a skip. Expired
    tokens need no revocation. Anything that is not a sealed token of this connection is an error, because Atlas
    answers 200 to a revoked nonsense and a green task would hide a live token. A teardown is to clean up what it can:
    there, tokens that do not open are a warning and the task ends as skipped.

    .. seealso:: MongoDB Atlas documentation, "Revoke Service Account Token".

    :param token: sealed text, the whole XCom of a :class:`GenerateTokenOperator`, or a list of these. Plain tokens are
        refused: they would stand in the serialized DAG and in XCom.
    :param share: without ``token``: revoke what the whole deployment shares and remove it from the store. Waits on the
        worker.
    :param atlas_conn_id: id of the connection; the one that the token was generated with.
    :param max_wait: seconds that the task may wait for Atlas in all, instead of the connection's; without
        ``deferrable``, for each token.
    :param deferrable: wait in the triggerer; default from ``[operators] default_deferrable``.
    :raises InvalidSealedToken: if ``token`` is, or holds, anything else.
    """

    template_fields: Sequence[str] = ("token", "atlas_conn_id")

    def __init__(self, *, token: Any = None, share: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        for item in _items(token, literals=True):
            if isinstance(item, InvalidSealedToken):  # before a plain token is written into the serialized DAG
                raise item
        if share and token is not None:
            raise ValueError("RevokeTokenOperator takes either token or share=True")
        self.token = token
        self.share = share

    def execute(self, context: Context) -> None:
        started = time.time()
        if self.share:
            if AtlasServiceAccountHook(self.atlas_conn_id, max_wait=self.max_wait).unshare_token() == 0:
                raise AirflowSkipException("The deployment shares no Atlas token of this service account.")
            return
        items = list(_items(self.token))
        if not items:
            raise AirflowSkipException("There is no Atlas token to revoke.")
        hook = self._hook()
        live, failure = self._open(hook, items)
        for position, text in enumerate(live):
            try:
                self._ask_no_closed_window(hook, "revoke")
                hook.revoke_token(text)
            except AtlasError as error:
                # What does not open stands last, as something that does not: it ends the trigger after the others.
                left = [*live[position:], *([UNUSABLE] if failure is not None else [])]
                self._wait_elsewhere(hook, error, started, "revoke", " ".join(left))
        if failure is not None:
            self._give_up(failure)

    def execute_complete(self, context: Context, event: Any = None) -> None:
        """Note what the trigger revoked."""
        try:
            self._hook().forget_shared(_answer(event, "revoked").split())
        except InvalidSealedToken as error:
            self._give_up(error)

    @staticmethod
    def _open(
        hook: AtlasServiceAccountHook, items: list[str | InvalidSealedToken]
    ) -> tuple[list[str], InvalidSealedToken | None]:
        """Sort out what is to be revoked, and why something else is not."""
        live: list[str] = []
        failure = None
        for item in items:
            if isinstance(item, InvalidSealedToken):
                failure = item
                continue
            try:
                token = hook.unseal(item)
            except InvalidSealedToken as error:
                failure = error
                continue
            if is_dead(token, time.time()):
                log.info("Atlas token %s has expired already.", token.fingerprint)
            else:
                live.append(item)
        return live, failure

    def _give_up(self, error: InvalidSealedToken) -> NoReturn:
        if not self.is_teardown:
            raise error
        log.warning("A token was not revoked and will live until it expires, at most an hour: %s", error)
        raise AirflowSkipException("A token could not be opened and was not revoked.")


def _items(value: Any, *, literals: bool = False) -> Iterator[str | InvalidSealedToken]:
    """
    Flatten what :class:`RevokeTokenOperator` is given into sealed texts, and an error for each thing that is none.

    What is refused is masked from here on, as it may be a token.

    :param literals: whether this is an argument in the DAG file: templates and other tasks' outputs are passed over.
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
            yield InvalidSealedToken("The token to revoke is a text that was never sealed")
            return
        value = literal
    if value is None:
        return
    if isinstance(value, Mapping):
        if isinstance(value.get("token"), str):
            yield from _items(value["token"], literals=literals)
        else:
            yield InvalidSealedToken('The token to revoke is a mapping without a text under "token"')
    elif isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
        for item in value:
            if item is None:
                yield InvalidSealedToken("The list of tokens to revoke holds None")
            else:
                yield from _items(item, literals=literals)
    elif not literals or isinstance(value, bytes | bytearray | Set):
        yield InvalidSealedToken(f"The token to revoke is a {type(value).__name__}")


def _literal(text: str) -> Any:
    """What a template made text of: without native rendering, a list, a mapping or ``None`` arrives as its ``repr``."""
    try:
        value = ast.literal_eval(text)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):  # TypeError: "{[]: 1}"
        return text
    return value if value is None or isinstance(value, list | tuple | dict) else text
