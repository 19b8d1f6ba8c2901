"""The deployment's tokens in an Airflow Variable, as a holder of the claim changes them.

A change is merged with what is there, and a read has to confirm it. Nothing is written once another task may be the
holder.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace

from airflow_provider_atlas.cache.claim import Claim
from airflow_provider_atlas.cache.content import Content, decode, encode
from airflow_provider_atlas.cache.memory import surely_expired
from airflow_provider_atlas.cache.variables import Store, names_for, not_kept
from airflow_provider_atlas.exceptions import StoreUnavailable
from airflow_provider_atlas.oauth.account import ServiceAccount
from airflow_provider_atlas.oauth.token import AccessToken

#: A write that fails, or that another task's write replaced, is made so many times in all.
WRITES = 3


class Overtaken(StoreUnavailable):
    """The holder took longer than it stated, and another task may be the holder by now."""

    summary = "The deployment's token was not stored in time"


class StoredTokens:
    """
    The Variable of one service account.

    :param account: whose tokens.
    :param store: where they are stored.
    :param claim: on the right to change them.
    :param clock: epoch seconds.
    """

    def __init__(self, account: ServiceAccount, store: Store, claim: Claim, clock: Callable[[], float]) -> None:
        self.names = names_for(account)
        self._account = account
        self._store = store
        self._claim = claim
        self._clock = clock

    def read(self) -> Content:
        """What is stored and this secret opens. Anything else is a miss, with one warning."""
        return self._decode(self._store.read(self.names.token))

    def put(self, token: AccessToken, *, refused: bool = False) -> tuple[AccessToken, ...]:
        """
        Store a token in place of the current one.

        :param refused: whether a refusal by Atlas caused it.
        :return: the superseded tokens that are stored with it.
        :raises StoreUnavailable: if no read confirms it.
        """
        failure: StoreUnavailable | None = None
        for writes_left in reversed(range(WRITES + 1)):
            text = self._store.read(self.names.token)
            content = self._decode(text)
            if not content.has(token):  # else it is stored, whoever is the holder by now
                content = self._checked(text)
            if content.has(token):
                return content.superseded
            if not writes_left:
                break
            superseded = tuple(
                old for old in content.tokens if old.value != token.value and not surely_expired(old, self._clock())
            )
            refused_at = self._clock() if refused else content.refused_at
            try:
                self._write(Content(token, superseded, refused_at, content.foreign))
            except StoreUnavailable as error:
                failure = error
        raise failure or not_kept(self.names.token)

    def take_out(self, values: Collection[str]) -> Content:
        """Take tokens that were revoked out of the store; return what is left."""
        content = self.read_as_holder()
        kept = replace(
            content,
            token=None if content.token is not None and content.token.value in values else content.token,
            superseded=tuple(token for token in content.superseded if token.value not in values),
        )
        if kept != content:
            self._write(kept)
        return kept

    def remove(self, values: Collection[str]) -> None:
        """Take tokens that were revoked out of the store; if none is left, remove the Variables, and so the claim."""
        left = self.take_out(values)
        if not (left.tokens or left.foreign) and self._claim.stands():
            self._store.remove(self.names.token)
            self._claim.remove()

    def read_as_holder(self) -> Content:
        """
        Read what is about to be changed.

        :raises Overtaken: if another task may be changing it.
        """
        return self._checked(self._store.read(self.names.token))

    def _checked(self, text: str | None) -> Content:
        """What was read, if this is still the holder."""
        self._check_claim()
        if text is None:  # on Airflow 3 also after a read that failed; the one of the claim since then did not
            text = self._store.read(self.names.token)
            self._check_claim()  # the read may have taken long
        return self._decode(text)

    def _check_claim(self) -> None:
        if not self._claim.stands():
            raise Overtaken()

    def _write(self, content: Content) -> None:
        self._store.write(self.names.token, encode(self._account, content))

    def _decode(self, text: str | None) -> Content:
        return Content() if text is None else decode(self._account, text, self.names.token, self._clock())
