"""One writer at a time, by Fischer's timed mutual exclusion.

Airflow's Variables have no compare-and-set, so nobody can take a lock in one step. Fischer's algorithm (L. Lamport, "A
Fast Mutual Exclusion Algorithm", ACM TOCS 5(1), 1987, who credits M. Fischer) makes do with reads, writes and a pause:
see that nobody has the claim, write one's own nonce, wait for longer than anybody takes from seeing to writing, and
look again. Whoever still finds their own nonce has the claim, since the last writer wins and nobody writes over a claim
that they see. A process that stalls for longer than the pause between its look and its write breaks the exclusion. That
costs one extra token here, never an error, and that is why a pause of this length is enough.

A holder that dies leaves its claim behind. A claim is stale when its nonce has stood unchanged for some seconds of *the
observer's own* monotonic clock, so that clocks need not agree; a holder that waits for Atlas renews its nonce
meanwhile, and says how long it is going to wait. Who may not wait for long enough to see a claim go stale believes a
holder for as long after each word of it, by the epoch clock.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from airflow_provider_atlas.cache.variables import Store
from airflow_provider_atlas.exceptions import RateLimited, StoreUnavailable
from airflow_provider_atlas.oauth.retry_after import LONGEST_WAIT

#: Seconds between writing one's nonce and looking whether it still stands.
PAUSE = 0.5
#: Seconds after which a nonce that has not changed belongs to nobody any more.
STALE = 10.0
#: Seconds after which a holder that waits for Atlas renews its nonce.
HEARTBEAT = 2.0
#: Seconds between two looks of those who wait for the holder.
POLL = 0.5


class Claim:
    """
    The right to renew a token that many share.

    :param store: where all who compete can see it.
    :param name: under which name.
    :param clock: epoch seconds.
    :param monotonic: seconds, of this machine only.
    :param sleep: waits.
    """

    def __init__(
        self,
        store: Store,
        name: str,
        *,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._clock = clock
        self._store = store
        self._name = name
        self._monotonic = monotonic
        self._sleep = sleep
        self._nonce: str | None = None
        self._seen: tuple[str, float] | None = None
        self._closed_until = 0.0

    def closed_for(self) -> float:
        """Seconds for which a holder that gave up has told all others not to ask Atlas."""
        return self._left(self._read())

    def give_up(self, wait: float) -> None:
        """Tell the others not to ask Atlas either for so many seconds, once the claim is given back."""
        self._closed_until = self._clock() + wait

    @contextmanager
    def held(self) -> Iterator[bool]:
        """Try once to get the claim, without waiting for another holder; tells whether it is ours in the block."""
        try:
            yield self._try()
        finally:
            self._release()

    def wait(self, deadline: float) -> None:
        """
        Wait a little for the holder.

        :param deadline: of the monotonic clock.
        :raises RateLimited: if the holder lives, waits for Atlas, and will do so beyond the deadline.
        :raises RateLimited: also if it is not our turn by then; a store that works is no reason to ask out of turn.
        """
        holder = self._holder()
        now = self._monotonic()
        wait, until = (holder.get(name) if holder is not None else None for name in ("wait", "believed_until"))
        # A clock that is far ahead of ours may not be believed for as long.
        believed = isinstance(until, float) and 0 < until - self._clock() < 2 * STALE
        if now >= deadline and isinstance(wait, float) and believed:
            raise RateLimited(
                "Another task is waiting for Atlas, and this one may not wait that long",
                retry_after=min(max(0.0, wait), LONGEST_WAIT),  # in this order also of NaN
            )
        if now >= deadline + 2 * STALE:  # one dead holder is waited out, and the one who takes over from it
            raise RateLimited(
                "Other tasks are asking Atlas for the deployment's token, and this one may not wait longer"
            )
        self._sleep(POLL)

    def keep(self, seconds: float) -> None:
        """
        Sleep while holding the claim, and let the others see that its holder lives and how long it is going to wait.

        Ends early if somebody else has taken the claim.
        """
        end = self._monotonic() + seconds
        while (left := end - self._monotonic()) > 0 and self._read().get("nonce") == self._nonce:
            self._write(left)
            self._sleep(min(left, HEARTBEAT))

    def _try(self) -> bool:
        if self._holder() is not None:
            return False
        nonce = self._write(None)
        self._sleep(PAUSE)
        text = self._store.read(self._name)
        if text is None:  # on Airflow 3 a backend that fails reads as empty
            self._nonce = None
            raise StoreUnavailable("Airflow's Variables do not keep what is written")
        # A claim without a nonce has been another's, who is through with it already.
        if _parse(text).get("nonce") != nonce:
            self._nonce = None
        return self._nonce is not None

    def _left(self, claim: dict[str, object]) -> float:
        until = claim.get("closed_until")
        left = until - self._clock() if isinstance(until, float) else 0.0
        # A spread and another worker's clock may go beyond the longest wait; what is far beyond, nobody has said.
        return min(left, LONGEST_WAIT) if 0 < left < 2 * LONGEST_WAIT else 0.0

    def _holder(self) -> dict[str, object] | None:
        claim = self._read()
        left = self._left(claim)
        self._closed_until = self._clock() + left if left else 0.0  # to be handed on by whoever takes the claim
        nonce = claim.get("nonce")
        if not isinstance(nonce, str):
            self._seen = None
            return None
        if self._seen is None or self._seen[0] != nonce:
            self._seen = nonce, self._monotonic()
        return claim if self._monotonic() - self._seen[1] < STALE else None

    def _read(self) -> dict[str, object]:
        return _parse(self._store.read(self._name) or "{}")

    def _write(self, wait: float | None) -> str:
        nonce = secrets.token_hex(8)
        claim = {
            "nonce": nonce,
            "wait": wait,
            "believed_until": self._clock() + STALE,
            "closed_until": self._closed_until,
        }
        self._store.write(self._name, json.dumps(claim))
        self._nonce = nonce
        return nonce

    def _release(self) -> None:
        with suppress(StoreUnavailable):  # then it goes stale
            if self._nonce is not None and self._read().get("nonce") == self._nonce:
                closed = {"closed_until": self._closed_until} if self._closed_until else {}
                self._store.write(self._name, json.dumps(closed))
        self._nonce, self._closed_until = None, 0.0


def _parse(text: str) -> dict[str, object]:
    try:
        # A float of any digits is a number; an int of some hundred cannot be reckoned with.
        claim = json.loads(text, parse_int=float)
    except (ValueError, RecursionError):
        return {}
    return claim if isinstance(claim, dict) else {}
