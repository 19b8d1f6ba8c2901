"""A token in memory: one request however many hooks and threads ask.

The fetcher and the clock are passed in. Renewal is *advisory* while the token is still valid (one caller renews, the
others go on with the old one) and *mandatory* after that (all wait for the one request), as in botocore's refreshable
credentials. The lock guards fields only and is never held during a request.
"""

from __future__ import annotations

import logging
import os
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from concurrent import futures
from concurrent.futures import Future
from contextlib import contextmanager
from enum import Enum
from functools import partial

from airflow_provider_atlas.cache.refusals import SKEW, may_request
from airflow_provider_atlas.exceptions import RateLimited
from airflow_provider_atlas.oauth.token import AccessToken

log = logging.getLogger(__name__)

#: A token that could not be renewed yet, or that others are renewing, is looked at again after so many seconds.
PAUSE = 30.0


class Renewal(Enum):
    """Whether a token has to be replaced."""

    NOT_YET = "not yet"
    ADVISORY = "advisory"
    MANDATORY = "mandatory"


def renewal(token: AccessToken | None, now: float) -> Renewal:
    """
    Tell whether ``token`` has to be replaced at ``now``.

    :param now: epoch seconds.
    """
    if token is None or now >= token.expires_at.timestamp():
        return Renewal.MANDATORY
    return Renewal.ADVISORY if now >= token.renew_at.timestamp() else Renewal.NOT_YET


def surely_expired(token: AccessToken, now: float) -> bool:
    """Whether ``token`` has expired by every worker's clock, so that nobody needs to revoke it."""
    return now >= token.expires_at.timestamp() + SKEW


class _Interrupted(Exception):
    """The thread that made the request was interrupted; the threads that waited for it start again."""


Fetch = Callable[[Renewal], AccessToken]
Flight = Future[AccessToken | None]


def _wait(flight: Flight, longest: float | None) -> None:
    if longest is not None and not futures.wait([flight], longest).done:
        raise RateLimited("Another thread of this task is requesting the token, and was not ready within max_wait")


class TokenCache:
    """
    Holds one token and renews it through the fetcher of whoever finds it stale.

    :param clock: epoch seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._held: tuple[AccessToken, float] | None = None  # with the time until which nobody needs to look at it
        self._flight: Flight | None = None
        self._refused_at = 0.0  # when a refusal last caused a new token
        self._replacing = False  # whether the flight is for a refused token
        _live.add(self)

    def get(self, fetch: Fetch, longest: float | None = None) -> AccessToken:
        """
        The token, fresh or at least valid.

        :param fetch: generates a token and is told how urgently; called by one thread at a time. What it raises
            reaches all who wait for it, except while the old token is valid: then it is logged.
        :param longest: seconds to wait for another thread's request at most.
        """
        held = self._held
        if held is not None and self._clock() < held[1]:
            return held[0]
        with self._ending(Future()) as own:
            with self._lock:
                held, now = self._held, self._clock()
                if held is not None and now < held[1]:
                    return held[0]
                token = held[0] if held is not None else None
                need = renewal(token, now)
                flight = self._board(own, replacing=False)
            if flight is own:
                self._lead(own, partial(fetch, need), need)
            elif token is not None and need is Renewal.ADVISORY:
                return token
        if token is not None and need is Renewal.ADVISORY and (error := flight.exception()) is not None:
            log.warning("The Atlas token %s could not be renewed yet and stays in use: %s", token.fingerprint, error)
            return token
        _wait(flight, longest)
        try:
            found = flight.result()
        except _Interrupted:
            found = None
        # A flight that looked for a replacement may come back without one, which says nothing about a token to renew.
        return found if found is not None else self.get(fetch, longest)

    def replace(
        self, refused: AccessToken, fetch: Callable[[bool], AccessToken | None], longest: float | None = None
    ) -> AccessToken | None:
        """
        Another token in place of one that Atlas refused: the cache's, if it is another, else what ``fetch`` returns.

        :param fetch: is told whether it may request a token. See :mod:`.refusals`.
        :param longest: as for :meth:`get`.
        :return: ``None`` if there is no other token. The refused one stays: another would be refused as well.
        """
        while True:
            with self._ending(Future()) as own:
                with self._lock:
                    if self._held is not None and self._held[0].value != refused.value:
                        return self._held[0]
                    flight = self._board(own, replacing=True)
                    same_purpose = self._replacing
                    now = self._clock()
                    allowed = may_request(self._refused_at, now)
                    if flight is own and allowed:
                        self._refused_at = now
                if flight is own:
                    self._lead(own, partial(fetch, allowed), Renewal.MANDATORY)
            _wait(flight, longest)
            error = flight.exception()  # a renewal's result says nothing about the refused token: look again
            if flight is own or (same_purpose and not isinstance(error, _Interrupted)):
                return flight.result()

    def _board(self, own: Flight, *, replacing: bool) -> Flight:
        """Join the request that is under way, or lead one of one's own. The lock is held."""
        if self._flight is None:
            self._flight, self._replacing = own, replacing
        return self._flight

    @contextmanager
    def _ending(self, own: Flight) -> Iterator[Flight]:
        """End a request of this thread's own, also if the task's timeout or Ctrl-C, which is its alone, interrupts."""
        try:
            yield own
        finally:
            if not own.done():
                with self._lock:
                    self._flight = None if self._flight is own else self._flight
                own.set_exception(_Interrupted())

    def _lead(self, flight: Flight, fetch: Callable[[], AccessToken | None], need: Renewal) -> None:
        try:
            token = fetch()
        except Exception as error:  # noqa: BLE001 - raised by `result`
            with self._lock:
                self._flight = None
                if self._held is not None and need is Renewal.ADVISORY:
                    self._held = self._held[0], self._next_look(self._held[0])
            flight.set_exception(error)
        else:
            with self._lock:
                self._flight = None
                if token is not None:
                    self._held = token, self._next_look(token)
            flight.set_result(token)

    def _next_look(self, token: AccessToken) -> float:
        """When the token needs renewal; if it does already, after a pause, and when it expires at the latest."""
        return max(token.renew_at.timestamp(), min(self._clock() + PAUSE, token.expires_at.timestamp()))

    def drop(self, value: str) -> None:
        """Drop the token ``value``, and only that: of many threads with one refused token one causes a renewal."""
        with self._lock:
            if self._held is not None and self._held[0].value == value:
                self._held = None

    def has_expired(self, now: float) -> bool:
        """Whether this cache's token has expired, so that the cache itself can be dropped."""
        held = self._held
        return held is not None and renewal(held[0], now) is Renewal.MANDATORY

    def after_fork(self) -> None:
        """Drop what only the parent's threads could finish."""
        self._lock = threading.Lock()
        self._flight = None


_live: weakref.WeakSet[TokenCache] = weakref.WeakSet()


def _after_fork() -> None:
    for cache in list(_live):
        cache.after_fork()


os.register_at_fork(after_in_child=_after_fork)
