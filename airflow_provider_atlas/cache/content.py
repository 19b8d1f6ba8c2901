"""The text of the Variable that holds the deployment's token: JSON with sealed tokens."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass

from airflow_provider_atlas.cache import sealing
from airflow_provider_atlas.cache.refusals import SKEW
from airflow_provider_atlas.cache.variables import warn_once
from airflow_provider_atlas.exceptions import InvalidSealedToken
from airflow_provider_atlas.oauth.account import ServiceAccount
from airflow_provider_atlas.oauth.responses import LONGEST_LIFETIME
from airflow_provider_atlas.oauth.token import AccessToken

VERSION = 1


@dataclass(frozen=True)
class Content:
    """
    What the store holds.

    :param token: the deployment's token.
    :param superseded: tokens that it replaced and that nobody has revoked yet.
    :param refused_at: when a refusal by Atlas last caused a new token, epoch seconds.
    :param foreign: what the account's other secret has sealed: text, end of life in epoch seconds, whether current.
        Carried along, so that workers with the old secret and with the new one do not take each other's token away.
    """

    token: AccessToken | None = None
    superseded: tuple[AccessToken, ...] = ()
    refused_at: float = 0.0
    foreign: tuple[tuple[str, float, bool], ...] = ()

    def has(self, token: AccessToken) -> bool:
        """Whether this is the deployment's token."""
        return self.token is not None and self.token.value == token.value

    @property
    def tokens(self) -> list[AccessToken]:
        """All tokens that this secret opens."""
        return [token for token in (self.token, *self.superseded) if token is not None]


def encode(account: ServiceAccount, content: Content) -> str:
    """The text of the Variable: JSON with sealed tokens, the end of each one's life, and whether it is current."""
    entries = [
        (sealing.seal(account, token, shared=True), token.expires_at.timestamp(), token is content.token)
        for token in content.tokens
    ]
    return json.dumps({"version": VERSION, "tokens": [*entries, *content.foreign], "refused_at": content.refused_at})


def decode(account: ServiceAccount, text: str, name: str, now: float) -> Content:
    """
    Read the text of the Variable.

    What is truncated, written by hand or by a later version is a miss. What another secret of the account has sealed is
    carried along for as long as it lives.

    :param name: of the Variable, for the warning.
    :param now: epoch seconds.
    """
    try:
        stored = json.loads(text)
        if stored["version"] != VERSION:
            raise ValueError
        entries = [(str(sealed), float(end), bool(current)) for sealed, end, current in stored["tokens"]]
        refused_at = float(stored["refused_at"])
    except (ValueError, TypeError, KeyError, RecursionError, OverflowError):
        warn_once(f"The Variable {name} holds nothing that this version wrote, and will be written anew.")
        return Content()
    opened = [(_open(account, entry[0]), entry) for entry in entries]
    ours: dict[bool, list[AccessToken]] = {True: [], False: []}
    for token, (_, _, current) in opened:
        if token is not None:
            ours[current and not ours[True]].append(token)
    foreign = tuple(
        entry
        for token, entry in opened
        if token is None and sealing.is_sealed(entry[0]) and now - SKEW < entry[1] < now + LONGEST_LIFETIME
    )
    if len(opened) > len(ours[True]) + len(ours[False]) and not ours[True]:
        level = logging.INFO if foreign else logging.WARNING  # as after each rotation of the client secret
        warn_once(f"The Variable {name} holds a token that this client secret does not open, and gets another.", level)
    return Content(next(iter(ours[True]), None), tuple(ours[False]), refused_at, foreign)


def _open(account: ServiceAccount, sealed: str) -> AccessToken | None:
    try:
        return sealing.unseal_shared(account, sealed)
    except InvalidSealedToken:
        return None
