"""A token in memory: one request however many hooks and threads ask.

The fetcher and the clock are handed in. Renewal is *advisory* while the token still lives (one caller renews, the
others go on with the old one) and *mandatory* after that (all wait for the one request), as in botocore's refreshable
credentials. The lock guards fields only and is never held during a request.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from enum import Enum

from airflow_provider_atlas.oauth.token import AccessToken

log = logging.getLogger(__name__)

#: After a failed advisory renewal the next one is tried this many seconds later.
PAUSE_AFTER_FAILURE = 30.0


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


class TokenCache:
    """
    Holds one token and renews it through the fetcher of whoever finds it stale.

    :param clock: epoch seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._held: tuple[AccessToken, float] | None = None  # with the time until which nobody needs to look at it
        self._flight: Future[AccessToken] | None = None

    def get(self, fetch: Callable[[Renewal], AccessToken]) -> AccessToken:
        """
        The token, fresh or still alive.

        :param fetch: generates a token and is told how urgently; called by one thread at a time. What it raises
            reaches all who wait for it, except while the old token lives: then it is logged.
        """
        held = self._held
        if held is not None and self._clock() < held[1]:
            return held[0]
        with self._lock:
            held, now = self._held, self._clock()
            if held is not None and now < held[1]:
                return held[0]
            token = held[0] if held is not None else None
            need = renewal(token, now)
            flight = self._flight
            leading = flight is None
            if flight is None:
                flight = self._flight = Future()
        if leading:
            self._lead(flight, fetch, need)
        elif token is not None and need is Renewal.ADVISORY:
            return token
        if token is not None and need is Renewal.ADVISORY and (error := flight.exception()) is not None:
            log.warning("The Atlas token %s could not be renewed yet and stays in use: %s", token.fingerprint, error)
            return token
        return flight.result()

    def _lead(self, flight: Future[AccessToken], fetch: Callable[[Renewal], AccessToken], need: Renewal) -> None:
        try:
            token = fetch(need)
        except BaseException as error:
            with self._lock:
                self._flight = None
                if self._held is not None and need is Renewal.ADVISORY:
                    old = self._held[0]
                    self._held = old, min(self._clock() + PAUSE_AFTER_FAILURE, old.expires_at.timestamp())
            flight.set_exception(error)
            if not isinstance(error, Exception):  # a task's time-out or Ctrl-C belongs to this thread
                raise
        else:
            with self._lock:
                self._flight = None
                self._held = token, token.renew_at.timestamp()
            flight.set_result(token)

    def drop(self, value: str) -> None:
        """Forget the token ``value``, and only that: of many threads with one refused token one causes a renewal."""
        with self._lock:
            if self._held is not None and self._held[0].value == value:
                self._held = None

    def is_over(self, now: float) -> bool:
        """Whether this cache's token has expired, so that the cache itself may go."""
        held = self._held
        return held is not None and renewal(held[0], now) is Renewal.MANDATORY
