"""The deployment scope: one sealed token in an Airflow Variable, shared by every task on every worker.

Readers take the token that is there, if their secret opens it. A task that finds it stale renews it under a claim (see
:mod:`.claim`): *advisory* while it is valid, when one task renews and the others go on; *mandatory* after that, when
all wait for the one. Superseded tokens stay in the store, sealed, until they are revoked, so that a rotation which is
killed between its two steps is finished by the next one.

A store that fails costs a token of the task's own and a warning, never the task. A token is either in the store, or
with the task that requested it, or revoked.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TypeVar

from airflow_provider_atlas.cache.claim import Claim
from airflow_provider_atlas.cache.content import Content
from airflow_provider_atlas.cache.memory import Renewal, renewal
from airflow_provider_atlas.cache.refusals import may_request
from airflow_provider_atlas.cache.stored import Overtaken, StoredTokens
from airflow_provider_atlas.cache.variables import Store, names_for, warn_once
from airflow_provider_atlas.exceptions import AtlasError, RateLimited, StoreUnavailable
from airflow_provider_atlas.oauth.account import ServiceAccount
from airflow_provider_atlas.oauth.retry import call_with_retry, recording_wait
from airflow_provider_atlas.oauth.retry_after import Backoff
from airflow_provider_atlas.oauth.token import AccessToken

T = TypeVar("T")
Look = Callable[["Content"], AccessToken | None]
log = logging.getLogger(__name__)

#: Seconds between two looks of a task that waits: the first figure, growing to the second.
FIRST_POLL, LAST_POLL = 1.0, 5.0
#: Seconds for which a holder may be busy with the store alone.
STORE_TIME = 10.0


class SharedToken:
    """
    The token that a deployment shares for one service account. One object serves one call.

    :param account: whose token.
    :param store: where it is stored.
    :param generate: requests a new one, once, and adds it to the list before anything can interrupt.
    :param revoke: revokes a token that nobody will use; does not raise.
    :param max_wait: seconds that the call may wait for Atlas, and for other tasks that do.
    :param request_time: seconds that ``generate`` can take at most. A wait for another task's request may exceed
        ``max_wait`` by as much.
    :param on_wait: is told of each wait for Atlas before it begins.
    :param clock: epoch seconds.
    :param monotonic: seconds, for waits.
    :param sleep: waits.
    """

    def __init__(
        self,
        account: ServiceAccount,
        store: Store,
        generate: Callable[[list[AccessToken]], AccessToken],
        revoke: Callable[[AccessToken], None],
        max_wait: float,
        *,
        request_time: float = 60.0,
        on_wait: Callable[[AtlasError, float], None] = lambda error, seconds: None,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.generated = False  # whether the token that this call returns is a new one
        self._unstored: list[AccessToken] = []  # requested, and nobody else has it
        self._superseded: tuple[AccessToken, ...] = ()  # as stored with the token that was put last
        self._generate = generate
        self._revoke = revoke
        self._hold = max(request_time, STORE_TIME)
        self._on_wait = on_wait
        names = names_for(account)
        self._claim = Claim(store, names.claim, names.holder, clock=clock, monotonic=monotonic, sleep=sleep)
        self._stored = StoredTokens(account, store, self._claim, clock)
        self._clock = clock
        self._monotonic = monotonic
        self._sleep = sleep
        self._max_wait = max_wait
        self._deadline = monotonic() + max_wait
        self._poll = FIRST_POLL
        self._logged: set[str] = set()

    def get(self) -> AccessToken:
        """The store's token, renewed if it is stale and no other task does; in the worst case one of the task's own."""
        try:
            content = self.read()
            token = content.token
            need = renewal(token, self._clock())
            if token is not None and need is Renewal.NOT_YET:
                return token
            if token is not None and need is Renewal.ADVISORY:
                try:
                    return self._exchange(self._fresh, seen=content, wait=False) or token
                except AtlasError as error:
                    log.warning(
                        "The deployment's Atlas token %s could not be renewed yet: %s", token.fingerprint, error
                    )
                    return token
            token = self._exchange(self._fresh, seen=content)
        except StoreUnavailable as error:
            return self._own(error)
        assert token is not None  # noqa: S101 - with `wait` the exchange ends with a token or an error
        return token

    def replace(self, refused: AccessToken, allowed: bool) -> AccessToken | None:
        """
        Another token in place of one that Atlas refused: the store's if it is another, else a new one.

        :param allowed: whether this process may request one (see :mod:`.refusals`).
        :return: ``None`` if a refusal caused a new one within the last minute: then the refusal is about rights.
        """

        def another(content: Content) -> AccessToken | None:
            token = content.token
            if token is not None and token.value != refused.value and self._is_valid(token):
                return token
            return None if allowed and may_request(content.refused_at, self._clock()) else refused

        try:
            token = self._exchange(another, refused=True)
        except StoreUnavailable as error:
            return self._own(error) if allowed else None
        return None if token is refused else token

    def publish(self, token: AccessToken | None = None) -> tuple[AccessToken, list[AccessToken]]:
        """
        Put a new token in place of the store's whatever its age, under the claim, so that no renewal is lost.

        :param token: the new one; requested if left out.
        :return: the token, and what the store still has unrevoked.
        :raises StoreUnavailable: if the store cannot be written: nobody would find the token. After any error the new
            token is revoked.
        """
        if token is None:
            token = self._exchange(lambda _: None, must_store=True)
            assert token is not None  # noqa: S101 - as above
        else:
            self._unstored.append(token)
            with self._giving_back():
                self._as_holder(partial(self._put, token))
        return token, list(self._superseded)

    def forget(self, values: Collection[str]) -> None:
        """Take tokens that were revoked out of the store."""
        if {token.value for token in self.read().tokens} & set(values):
            self._as_holder(partial(self._stored.take_out, values))

    def dissolve(self, revoke: Callable[[AccessToken], None]) -> int:
        """
        Revoke all tokens of this secret in the store, and remove them.

        The claim is not held meanwhile: revocations may wait for Atlas for longer than the others should.

        :param revoke: revokes a token, and may raise; the others are revoked nevertheless.
        :return: how many tokens there were.
        """
        tokens = self._as_holder(self._stored.read_as_holder).tokens
        revoked, failure = set(), None
        for token in tokens:
            try:
                revoke(token)
                revoked.add(token.value)
            except AtlasError as error:
                failure = failure or error
        self._as_holder(partial(self._stored.remove, revoked))
        if failure is not None:
            raise failure
        return len(tokens)

    def read(self) -> Content:
        """What the store has and this secret opens."""
        return self._stored.read()

    def _exchange(
        self,
        look: Look,
        *,
        seen: Content | None = None,
        wait: bool = True,
        refused: bool = False,
        must_store: bool = False,
    ) -> AccessToken | None:
        """Look, claim, look again, request, write; from the start after each wait. ``None`` if another task does."""
        backoff = Backoff()
        with self._giving_back(), recording_wait(self._monotonic, self._max_wait):
            while True:
                if (token := look(seen or self.read())) is not None:
                    return token
                seen = None
                held, closed = self._claim.look()
                if closed > 0 and wait:
                    self._wait_as_told(closed)
                    continue
                if not (held or closed):
                    with self._claim.held(self._hold) as ours:
                        if ours:
                            if (token := look(self.read())) is not None:
                                return token
                            if self._claim.look()[1] > 0:  # since the last look
                                continue
                            token = self._request(backoff, wait, refused, must_store)
                            if token is not None or not wait:
                                return token
                            continue
                if not wait:
                    return None
                self._wait_for_holder()

    def _request(self, backoff: Backoff, wait: bool, refused: bool, must_store: bool) -> AccessToken | None:
        """
        Request a token and store it.

        :return: ``None`` if another round is to follow, or the old token to stay in use.
        """
        try:
            token = self._new()
        except AtlasError as error:
            seconds = backoff.seconds(error)
            if seconds is None:
                raise
            self._claim.close(seconds)
            if not wait or self._monotonic() + seconds > self._deadline:
                raise
            self._on_wait(error, seconds)
            return None
        try:
            self._put(token, refused=refused)
        except StoreUnavailable as error:
            if isinstance(error, Overtaken) and (not wait or self._monotonic() < self._deadline):
                self._give_back()
                return None
            if must_store:
                raise
            warn_once(f"This task's new Atlas token stays its own. {error}")
        return token

    def _new(self) -> AccessToken:
        token = self._generate(self._unstored)
        self.generated = True
        return token

    def _put(self, token: AccessToken, *, refused: bool = False) -> None:
        self._superseded = self._stored.put(token, refused=refused)
        self._unstored.clear()

    def _as_holder(self, change: Callable[[], T]) -> T:
        with recording_wait(self._monotonic, self._max_wait):
            while True:
                if not self._claim.look()[0]:
                    with self._claim.held(STORE_TIME) as ours:
                        if ours:
                            return change()
                self._wait_for_holder()

    def _wait_as_told(self, closed: float) -> None:
        if self._monotonic() + closed > self._deadline:
            raise RateLimited("Another task was told to wait for Atlas longer than max_wait allows", retry_after=closed)
        self._log_once("Waiting %.1f s, as another task was told to wait for Atlas.", closed)
        self._sleep_a_poll(closed)

    def _wait_for_holder(self) -> None:
        left = self._deadline + self._hold + FIRST_POLL - self._monotonic()
        if left <= 0:
            raise RateLimited("Another task is changing the deployment's Atlas token, and was not ready in time")
        self._log_once("Waiting for another task, which is changing the deployment's Atlas token.")
        self._sleep_a_poll(left)

    def _sleep_a_poll(self, longest: float) -> None:
        self._sleep(min(self._poll, longest))
        self._poll = min(self._poll * 1.5, LAST_POLL)

    def _log_once(self, message: str, *values: object) -> None:
        if message not in self._logged:
            self._logged.add(message)
            log.info(message, *values)

    @contextmanager
    def _giving_back(self) -> Iterator[None]:
        """If the block ends in an error, or the task's timeout strikes in it, no token is left that nobody knows."""
        try:
            try:
                yield
            except BaseException:
                self._give_back()
                raise
        except BaseException:  # again, if it strikes while a token is given back
            self._give_back()
            raise

    def _give_back(self) -> None:
        """Revoke what this call requested and could not store."""
        while self._unstored:
            self._revoke(self._unstored[-1])
            self._unstored.pop()
        self.generated = False

    def _own(self, error: StoreUnavailable) -> AccessToken:
        warn_once(f"This task requests an Atlas token of its own. {error}")
        left = max(self._deadline - self._monotonic(), 0.0)
        with self._giving_back():
            return call_with_retry(self._new, left, on_wait=self._on_wait, clock=self._monotonic, sleep=self._sleep)

    def _fresh(self, content: Content) -> AccessToken | None:
        return content.token if renewal(content.token, self._clock()) is Renewal.NOT_YET else None

    def _is_valid(self, token: AccessToken) -> bool:
        return renewal(token, self._clock()) is not Renewal.MANDATORY
