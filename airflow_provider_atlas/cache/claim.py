"""One task at a time renews the deployment's token, although Airflow's Variables have no compare-and-set.

Two Variables make a lock. A task that sees neither a holder nor another candidate writes its nonce into the *claim*,
pauses, and looks again. If its nonce still stands and there is no holder, it writes itself into the *holder* and looks
a last time whether its nonce still stands: then the lock is its own. At most one task can see that, however long a call
of the store takes (the "splitter" of L. Lamport, "A Fast Mutual Exclusion Algorithm", ACM TOCS 5(1), 1987). The pause
(M. Fischer's, in the same paper) makes it likely that one does: the candidates that looked at the same moment have
written by then, and the last one wins.

A write that fails although another value stands there is a collision: another task wrote, and the lock is not ours. A
write that succeeds and that no read confirms is a store that does not work.

A task that is killed leaves its nonce behind. A candidate's is stale after :data:`STALE` seconds. A holder states for
how long it may be busy, which is as long as a request can take, and its nonce is stale after that. Both are measured
by the observer's own monotonic clock from when it first saw the nonce, so that clocks need not agree. For observers
that do not wait that long, each of them new, the holder's end is stated by its clock as well, and holds with the
:data:`~.refusals.SKEW` of clocks. A holder that took longer than it stated must not write any more
(:meth:`Claim.stands`).
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from airflow_provider_atlas.cache.refusals import SKEW
from airflow_provider_atlas.cache.variables import Store, not_kept
from airflow_provider_atlas.exceptions import StoreUnavailable
from airflow_provider_atlas.oauth.retry_after import LONGEST_WAIT

#: Seconds between writing one's nonce and looking whether it still stands.
PAUSE = 0.5
#: Seconds after which the nonce of a candidate that has not become the holder is stale.
STALE = 10.0
#: A value that was written and is not there is looked for so often: one failing read must not look like its absence.
READS = 3


class Claim:
    """
    The right to change what many share.

    :param store: where all who compete can see it.
    :param name: of the Variable for the candidate.
    :param holder_name: of the Variable for the holder, and for the time until which Atlas refuses requests.
    :param clock: epoch seconds.
    :param monotonic: seconds, of this machine only.
    :param sleep: waits.
    """

    def __init__(
        self,
        store: Store,
        name: str,
        holder_name: str,
        *,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._store = store
        self._name = name
        self._holder_name = holder_name
        self._clock = clock
        self._monotonic = monotonic
        self._sleep = sleep
        self._nonce: str | None = None  # in the claim, and perhaps in the holder
        self._seen: dict[str, tuple[str, float]] = {}  # Variable -> its nonce, and when it was first seen
        self._ends = 0.0  # when this holder must be through, by the monotonic clock
        self._closed_until = 0.0  # epoch seconds

    def look(self) -> tuple[bool, float]:
        """Whether another task is the holder, and seconds for which a task was told that Atlas refuses requests."""
        held = self._has_holder(self._store.read(self._holder_name))
        return held, min(max(self._closed_until - self._clock(), 0.0), LONGEST_WAIT)

    def close(self, seconds: float) -> None:
        """Tell the others, with the release, for how long Atlas refuses requests."""
        self._closed_until = self._clock() + seconds

    @contextmanager
    def held(self, seconds: float) -> Iterator[bool]:
        """
        Try once to become the holder, after :meth:`look` saw none, without waiting for another.

        :param seconds: for which the block may be busy.
        :return: whether the block has the claim.
        """
        try:
            yield self._try(seconds)
        finally:
            if self._nonce is not None:
                self._release()

    def stands(self, seconds: float = 0.0) -> bool:
        """
        Whether this holder may still write: not replaced, and in time, also if the look took long.

        :param seconds: that the write may take.
        """
        entry = _parse(read_surely(self._store, self._holder_name, self._sleep))
        return entry.get("nonce") == self._nonce and self._monotonic() + seconds < self._ends

    def remove(self) -> None:
        """Release, and leave nothing behind."""
        for name in (self._holder_name, self._name):
            if self._read(name).get("nonce") == self._nonce:
                self._store.remove(name)

    def _try(self, seconds: float) -> bool:
        before = self._store.read(self._name)
        nonce = _parse(before).get("nonce")
        # A holder that was killed left one nonce in both, and its time in the holder has passed already.
        if nonce != self._seen.get(self._holder_name, (None,))[0] and self._is_fresh(self._name, nonce, STALE):
            return False
        self._nonce = secrets.token_hex(8)
        if not self._wrote(self._name, {"nonce": self._nonce}, before):
            return False
        self._sleep(PAUSE)
        if not self._is_kept(self._name, before):
            return False
        before = self._store.read(self._holder_name)
        if self._has_holder(before):
            return False
        self._ends = self._monotonic() + seconds
        times = {"seconds": seconds, "ends": self._clock() + seconds, "closed_until": self._closed_until}
        entry = {"nonce": self._nonce, **times}
        if not (self._wrote(self._holder_name, entry, before) and self._is_kept(self._holder_name, before)):
            return False
        return self._is_kept(self._name, None)

    def _is_kept(self, name: str, before: str | None) -> bool:
        """Whether our nonce still stands in a Variable. It was written, so its absence is a failure of the store."""
        for _ in range(READS):
            text = self._store.read(name)
            if text not in (None, before):
                return _parse(text).get("nonce") == self._nonce
            self._sleep(PAUSE)
        raise not_kept(name)

    def _wrote(self, name: str, entry: dict[str, object], before: str | None) -> bool:
        """Write; ``False`` if another task wrote at the same time."""
        try:
            self._store.write(name, json.dumps(entry))
        except StoreUnavailable:
            if self._store.read(name) in (None, before):
                raise
            return False
        return True

    def _release(self) -> None:
        """Free what still has our nonce. If that fails it goes stale."""
        closed = {"closed_until": self._closed_until} if self._closed_until > self._clock() else {}
        with suppress(StoreUnavailable):  # perhaps a collision: the other Variable is freed nevertheless
            self._free(self._holder_name, **closed)
        with suppress(StoreUnavailable):
            self._free(self._name)
        self._nonce, self._ends = None, 0.0

    def _free(self, name: str, **more: float) -> None:
        """Take our nonce out. The text differs from every earlier one, since a write is noticed by the change."""
        if self._read(name).get("nonce") == self._nonce:
            self._store.write(name, json.dumps({"nonce": None, "last": self._nonce, **more}))

    def _has_holder(self, text: str | None) -> bool:
        """Whether another task is the holder; notes until when Atlas refuses requests."""
        entry = _parse(text)
        until, seconds = entry.get("closed_until", 0.0), entry.get("seconds", STALE)
        # A spread and another worker's clock may exceed the longest wait; nobody writes what is far beyond.
        believable = isinstance(until, float) and until - self._clock() < 1.25 * LONGEST_WAIT
        self._closed_until = float(until) if believable else 0.0
        bounded = isinstance(seconds, float) and seconds < 2 * LONGEST_WAIT
        fresh = self._is_fresh(self._holder_name, entry.get("nonce"), float(seconds) if bounded else STALE)
        ends = entry.get("ends")
        return fresh and not (isinstance(ends, float) and ends + SKEW < self._clock())

    def _is_fresh(self, name: str, nonce: object, seconds: float) -> bool:
        """Whether a Variable has a nonce of another task that was first seen less than ``seconds`` ago."""
        if not isinstance(nonce, str):
            self._seen.pop(name, None)
            return False
        if name not in self._seen or self._seen[name][0] != nonce:
            self._seen[name] = nonce, self._monotonic()
        return self._monotonic() - self._seen[name][1] < seconds

    def _read(self, name: str) -> dict[str, Any]:
        return _parse(self._store.read(name))


def read_surely(store: Store, name: str, sleep: Callable[[float], None]) -> str | None:
    """Read what should be there: a text that one read does not find is looked for again."""
    text = store.read(name)
    for _ in range(READS - 1):
        if text is None:
            sleep(PAUSE)
            text = store.read(name)
    return text


def _parse(text: str | None) -> dict[str, Any]:
    try:
        # A float of any number of digits can be compared; an int of some hundred cannot be converted.
        entry = json.loads(text or "{}", parse_int=float)
    except (ValueError, RecursionError):
        return {}
    return entry if isinstance(entry, dict) else {}
