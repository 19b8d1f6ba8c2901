"""The deployment scope: one sealed token in an Airflow Variable, shared by every task on every worker.

Readers take what is there and opens with their secret. Whoever finds it stale renews it under a claim (see
:mod:`.claim`): *advisory* while it lives, when one renews and the others go on; *mandatory* after that, when all wait
for the one. Tokens that were replaced stay in the store, sealed, until they are revoked, so that a rotation which dies
between its two steps is finished by the next one.

No guarantee depends on the store. What cannot be read is a cache miss, and a store that is down costs a token of one's
own and a warning.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Collection
from dataclasses import replace
from functools import partial
from typing import TypeVar

from airflow_provider_atlas.cache.claim import POLL, Claim
from airflow_provider_atlas.cache.content import Content, decode, encode
from airflow_provider_atlas.cache.memory import Renewal, renewal, surely_expired
from airflow_provider_atlas.cache.refusals import may_request as refusal_may_request
from airflow_provider_atlas.cache.variables import Store, warn_once
from airflow_provider_atlas.exceptions import AtlasError, RateLimited, StoreUnavailable
from airflow_provider_atlas.oauth.account import ServiceAccount
from airflow_provider_atlas.oauth.retry import call_with_retry, recording_wait
from airflow_provider_atlas.oauth.retry_after import seconds_to_wait
from airflow_provider_atlas.oauth.token import AccessToken

T = TypeVar("T")
log = logging.getLogger(__name__)

Look = Callable[["Content"], AccessToken | None]


class SharedToken:
    """
    The token that a deployment shares for one service account.

    :param account: whose token.
    :param store: where it lies.
    :param generate: requests a new one, once.
    :param max_wait: seconds that a call may wait for Atlas, and for others who do.
    :param on_wait: is told of each wait for Atlas before it begins.
    :param clock: epoch seconds.
    :param monotonic: seconds, for waits.
    :param sleep: waits.
    """

    def __init__(
        self,
        account: ServiceAccount,
        store: Store,
        generate: Callable[[], AccessToken],
        max_wait: float,
        *,
        on_wait: Callable[[AtlasError, float], None] = lambda error, seconds: None,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        # This name makes Airflow redact the value. The claim's must not: it holds no secret, and Airflow 3's API server
        # keeps a mask of each value that it ever read under such a name, and gets slower with each.
        suffix = hashlib.sha256(f"{account.base_url}\n{account.client_id}".encode()).hexdigest()[:12]
        self.name = f"atlas_access_token_{suffix}"
        self.claim_name = f"atlas_renewal_claim_{suffix}"
        self._account = account
        self._store = store
        self._generate = generate
        self._max_wait = max_wait
        self._on_wait = on_wait
        self._claim = Claim(store, self.claim_name, clock=clock, monotonic=monotonic, sleep=sleep)
        self._clock = clock
        self._monotonic = monotonic
        self._sleep = sleep
        self._written = Content()
        self._said: set[str] = set()

    def get(self) -> AccessToken:
        """The store's token, renewed if it is stale and it is this caller's turn; one of the caller's own at worst."""
        try:
            token = self.read().token
            need = renewal(token, self._clock())
            if token is not None and need is Renewal.NOT_YET:
                return token
            if token is not None and need is Renewal.ADVISORY:
                try:
                    return self._exchange(self._fresh, patient=False) or token
                except AtlasError as error:
                    log.warning(
                        "The deployment's Atlas token %s could not be renewed yet: %s", token.fingerprint, error
                    )
                    return token
            token = self._exchange(self._fresh)
        except StoreUnavailable as error:
            return self._own(error)
        assert token is not None  # noqa: S101 - patience ends with a token or an error
        return token

    def replace(self, refused: AccessToken, may_request: bool) -> AccessToken | None:
        """
        Another token in place of one that Atlas refused: the store's if it is another, else a new one.

        :param may_request: whether it may be one of the caller's own if the store is down.
        :return: ``None`` if a refusal caused a new one within the last minute: then it is about rights.
        """

        def another(content: Content) -> AccessToken | None:
            token = content.token
            if token is not None and token.value != refused.value and self._lives(token):
                return token
            return None if refusal_may_request(content.refused_at, self._clock()) else refused

        try:
            token = self._exchange(another, refused=True)
        except StoreUnavailable as error:
            return self._own(error) if may_request else None
        return None if token is refused else token

    def publish(self, token: AccessToken | None = None) -> tuple[AccessToken, list[AccessToken]]:
        """
        Put a new token in place of the store's whatever its age, in turn with readers, so that no renewal is lost.

        :param token: the new one, if there is one already.
        :return: the token, and what the store still holds unrevoked.
        :raises StoreUnavailable: if the store cannot be written: nobody would find the token.
        """
        if token is None:
            token = self._exchange(lambda _: None, must_store=True)
            assert token is not None  # noqa: S101 - as above
        else:
            self._in_turn(partial(self._put, token, must_store=True))
        return token, list(self._written.superseded)

    def forget(self, values: Collection[str]) -> None:
        """Take tokens that were revoked out of the store."""

        def change() -> None:
            content = self.read()
            kept = replace(
                content,
                token=None if content.token is not None and content.token.value in values else content.token,
                superseded=tuple(token for token in content.superseded if token.value not in values),
            )
            if kept != content:
                self._write(kept)

        self._in_turn(change)

    def dissolve(self, revoke: Callable[[AccessToken], None]) -> int:
        """
        Revoke all that the store holds, and remove it.

        :return: how many tokens there were.
        """

        def change() -> int:
            content = self.read()
            tokens = [token for token in (content.token, *content.superseded) if token is not None]
            for token in tokens:
                revoke(token)
            for name in (self.name, self.claim_name):
                self._store.remove(name)
            return len(tokens)

        return self._in_turn(change)

    def read(self) -> Content:
        """What the store holds and this secret opens; anything else is a miss, with one warning."""
        text = self._store.read(self.name)
        return Content() if text is None else decode(self._account, text, self.name, self._clock())

    def _exchange(
        self, look: Look, *, patient: bool = True, refused: bool = False, must_store: bool = False
    ) -> AccessToken | None:
        """Look, claim, look again, ask Atlas, write; from the start after each wait. ``None`` if not our turn."""
        deadline = self._monotonic() + (self._max_wait if patient else 0.0)
        attempt = 0
        with recording_wait(self._monotonic):
            while True:
                if (token := look(self.read())) is not None:
                    return token
                if (closed := self._claim.closed_for()) > 0:
                    self._wait_as_told(closed, deadline)
                    continue
                with self._claim.held() as ours:
                    if ours:
                        if (token := look(self.read())) is not None:
                            return token
                        if self._claim.closed_for() > 0:  # since we looked last
                            continue
                        attempt += 1
                        if (token := self._ask(attempt, deadline)) is None:
                            continue
                        self._put(token, must_store=must_store, refused=refused)
                        return token
                if not patient:
                    return None
                self._wait_for_holder(deadline)

    def _ask(self, attempt: int, deadline: float) -> AccessToken | None:
        """Ask Atlas once; ``None`` after a wait for it, in which others may have got a token."""
        try:
            return self._generate()
        except AtlasError as error:
            wait = seconds_to_wait(error, attempt)
            if wait is None or self._monotonic() + wait > deadline:
                if wait is not None and isinstance(error, RateLimited):
                    self._claim.give_up(wait)
                raise
            self._on_wait(error, wait)
            self._claim.keep(wait)
            return None

    def _wait_as_told(self, closed: float, deadline: float) -> None:
        if self._monotonic() + closed > deadline:
            raise RateLimited("Atlas has told another task to wait for longer than this one may", retry_after=closed)
        self._say_once("Waiting %.1f s, as Atlas has told another task.", closed)
        self._sleep(min(closed, POLL))

    def _wait_for_holder(self, deadline: float) -> None:
        self._say_once("Waiting for another task, which is changing the deployment's Atlas token.")
        self._claim.wait(deadline)

    def _say_once(self, message: str, *values: object) -> None:
        if message not in self._said:
            self._said.add(message)
            log.info(message, *values)

    def _in_turn(self, change: Callable[[], T]) -> T:
        deadline = self._monotonic() + self._max_wait
        with recording_wait(self._monotonic):
            while True:
                with self._claim.held() as ours:
                    if ours:
                        return change()
                self._wait_for_holder(deadline)

    def _put(self, token: AccessToken, *, must_store: bool, refused: bool = False) -> None:
        try:
            content = self.read()
            before = {old.value: old for old in (content.token, *content.superseded) if old is not None}
            superseded = tuple(
                old for value, old in before.items() if value != token.value and not surely_expired(old, self._clock())
            )
            self._written = Content(
                token, superseded, self._clock() if refused else content.refused_at, content.foreign
            )
            self._write(self._written)
        except StoreUnavailable as error:
            if must_store:
                raise
            warn_once(self.name, f"This task's new Atlas token stays its own. {error}")

    def _write(self, content: Content) -> None:
        self._store.write(self.name, encode(self._account, content))

    def _own(self, error: StoreUnavailable) -> AccessToken:
        warn_once(self.name, f"This task gets an Atlas token of its own. {error}")
        return call_with_retry(self._generate, self._max_wait, on_wait=self._on_wait)

    def _fresh(self, content: Content) -> AccessToken | None:
        return content.token if renewal(content.token, self._clock()) is Renewal.NOT_YET else None

    def _lives(self, token: AccessToken) -> bool:
        return renewal(token, self._clock()) is not Renewal.MANDATORY
