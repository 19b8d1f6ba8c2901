"""Generate and revoke Atlas access tokens as tasks: setup and teardown of a DAG run, and the two halves of a rotation.

What passes between tasks is sealed. XCom is stored in plain text, and so are a DAG's literal arguments.
"""

from __future__ import annotations

import ast
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowSkipException, BaseOperator, mask_secret

from airflow_provider_atlas.cache.memory import Renewal, renewal
from airflow_provider_atlas.cache.sealing import is_sealed
from airflow_provider_atlas.exceptions import InvalidSealedToken
from airflow_provider_atlas.hooks.service_account import AtlasServiceAccountHook

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

log = logging.getLogger(__name__)


class GenerateTokenOperator(BaseOperator):
    """
    Generate an access token and hand it on, sealed.

    Returns, and pushes as one XCom each (``output["token"]`` works): ``token``, the sealed token; ``token_type``;
    ``client_id``; ``issued_at`` and ``expires_at``, ISO 8601 in UTC; ``replaced``, a list of the sealed tokens that
    this one replaces. Open the token with ``AtlasServiceAccountHook(..., token=...)``.

    .. seealso:: MongoDB Atlas documentation, "Generate Service Account Token".

    :param atlas_conn_id: id of the connection.
    :param share: put the token in place of the one that the whole deployment shares (``cache_scope=deployment``).
        ``replaced`` is then what the store still holds unrevoked: hand it to a :class:`RevokeTokenOperator`.
    :param max_wait: seconds that the task may wait for Atlas in all, instead of the connection's; 0 raises at once.
    :raises InvalidClient: and its kin, see :mod:`airflow_provider_atlas.exceptions`; those that no retry can cure fail
        the task without one.
    """

    template_fields: Sequence[str] = ("atlas_conn_id",)

    def __init__(
        self,
        *,
        atlas_conn_id: str = AtlasServiceAccountHook.default_conn_name,
        share: bool = False,
        max_wait: float | None = None,
        multiple_outputs: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(multiple_outputs=multiple_outputs, **kwargs)
        self.atlas_conn_id = atlas_conn_id
        self.share = share
        self.max_wait = max_wait

    def execute(self, context: Context) -> dict[str, Any]:
        hook = AtlasServiceAccountHook(self.atlas_conn_id, max_wait=self.max_wait)
        token, replaced = hook.share_token() if self.share else (hook.generate_token(), [])
        return {
            "token": hook.seal(token),
            "token_type": token.token_type,
            "client_id": hook.settings.account.client_id,
            "issued_at": token.issued_at.isoformat(),
            "expires_at": token.expires_at.isoformat(),
            "replaced": replaced,
        }


class RevokeTokenOperator(BaseOperator):
    """
    Revoke access tokens that other tasks generated.

    Nothing to revoke (``None``, also as the text that a template makes of it, or an empty list) is a skip. Expired
    tokens need no revocation. Anything that is not a sealed token of this connection is an error, because Atlas
    answers 200 to a revoked nonsense and a green task would hide a live token. A teardown is to clean up what it can:
    there, tokens that do not open are a warning and the task ends as skipped.

    .. seealso:: MongoDB Atlas documentation, "Revoke Service Account Token".

    :param token: sealed text, the whole XCom of a :class:`GenerateTokenOperator`, or a list of these. Plain tokens are
        refused: they would stand in the serialized DAG and in XCom.
    :param share: without ``token``: revoke what the whole deployment shares and remove it from the store.
    :param atlas_conn_id: id of the connection; the one that the token was generated with.
    :param max_wait: seconds that each request may wait for Atlas in all, instead of the connection's.
    :raises InvalidSealedToken: if ``token`` is, or holds, anything else.
    """

    template_fields: Sequence[str] = ("token", "atlas_conn_id")

    def __init__(
        self,
        *,
        token: Any = None,
        share: bool = False,
        atlas_conn_id: str = AtlasServiceAccountHook.default_conn_name,
        max_wait: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if isinstance(token, str) and "{{" not in token and "{%" not in token:
            list(_sealed_texts(token))  # refuse a plain token before it is written into the serialized DAG
        if share and token is not None:
            raise ValueError("RevokeTokenOperator takes either token or share=True")
        self.token = token
        self.share = share
        self.atlas_conn_id = atlas_conn_id
        self.max_wait = max_wait

    def execute(self, context: Context) -> None:
        hook = AtlasServiceAccountHook(self.atlas_conn_id, max_wait=self.max_wait)
        if self.share:
            if hook.unshare_token() == 0:
                raise AirflowSkipException("The deployment shares no Atlas token of this service account.")
            return
        texts = list(_sealed_texts(self.token))
        if not texts:
            raise AirflowSkipException("There is no Atlas token to revoke.")
        unopened: InvalidSealedToken | None = None
        for text in texts:
            try:
                token = hook.unseal(text)
            except InvalidSealedToken as error:
                unopened = error
                continue
            if renewal(token, time.time()) is Renewal.MANDATORY:
                log.info("Atlas token %s has expired already.", token.fingerprint)
            else:
                hook.revoke_token(text)
        if unopened is not None:
            if not self.is_teardown:
                raise unopened
            log.warning("A token was not revoked and will live until it expires, at most an hour: %s", unopened)
            raise AirflowSkipException("A token could not be opened and was not revoked.")


def _sealed_texts(value: Any) -> Iterator[str]:
    """
    Flatten what :class:`RevokeTokenOperator` accepts.

    :raises InvalidSealedToken: for what it does not; the value is masked from here on, as it may be a token.
    """
    if isinstance(value, str):
        if is_sealed(value):
            yield value
            return
        literal = _literal(value)
        if isinstance(literal, str):
            mask_secret(value)
            raise InvalidSealedToken("The token to revoke is a text that was never sealed")
        value = literal
    if value is None:
        return
    if isinstance(value, Mapping):
        if not isinstance(value.get("token"), str):
            raise InvalidSealedToken('The token to revoke is a mapping without a text under "token"')
        yield from _sealed_texts(value["token"])
    elif isinstance(value, Sequence):
        for item in value:
            if item is None:
                raise InvalidSealedToken("The list of tokens to revoke holds None")
            yield from _sealed_texts(item)
    else:
        raise InvalidSealedToken(f"The token to revoke is a {type(value).__name__}")


def _literal(text: str) -> Any:
    """What a template made text of: without native rendering, a list, a mapping or ``None`` arrives as its ``repr``."""
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text
    return value if value is None or isinstance(value, list | tuple | dict) else text
