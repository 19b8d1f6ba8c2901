"""A store in memory with what can go wrong with a real one, and tasks that share it."""

from __future__ import annotations

import heapq
import itertools
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from airflow_provider_atlas.exceptions import StoreUnavailable


class MemoryStore:
    """
    Texts in a dictionary; ``down`` and ``read_only`` at any time; ``before_write`` runs in between.

    ``hidden`` maps a name to what every read of it returns, whatever is written; ``missed`` counts reads of a name that
    fail as "not found". ``step`` runs before and after the effect of each call. With ``colliding``, of the writes of
    one name at one time all but the first fail, as in Airflow 2.11 on PostgreSQL. ``calls`` lists what was called.
    """

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}
        self.hidden: dict[str, str | None] = {}
        self.missed: Counter[str] = Counter()
        self.calls: list[tuple[str, str]] = []
        self.down = False
        self.read_only = False
        self.colliding = False
        self._writing: set[str] = set()
        self.before_write: Callable[[str, str], None] = lambda name, text: None
        self.step: Callable[[], None] = lambda: None

    def read(self, name: str) -> str | None:
        self._begin("read", name, self.down)
        text = self.hidden[name] if name in self.hidden else self.texts.get(name)
        if self.missed[name] > 0:
            self.missed[name] -= 1
            text = None
        self.step()
        return text

    def write(self, name: str, text: str) -> None:
        self._begin("write", name, self.down or self.read_only)
        self.before_write(name, text)
        if self.colliding and name in self._writing:
            while name in self._writing:
                self.step()
            raise StoreUnavailable
        self._writing.add(name)
        if self.colliding:
            self.step()
        self._writing.discard(name)
        self.texts[name] = text
        self.step()

    def remove(self, name: str) -> None:
        self._begin("remove", name, self.down or self.read_only)
        self.texts.pop(name, None)
        self.step()

    def _begin(self, call: str, name: str, fails: bool) -> None:
        self.calls.append((call, name))
        self.step()
        if fails:
            raise StoreUnavailable


class StepsOf:
    """One task's view of a store: ``at`` runs in one of its steps, the ``number``-th, counted from 0."""

    def __init__(self, store: MemoryStore, number: int, at: Callable[[], None]) -> None:
        self._store = store
        self._steps = itertools.count()
        self._number = number
        self._at = at

    def __getattr__(self, call: str) -> Callable[..., Any]:
        def run(*args: str) -> Any:
            self._store.step = self._step
            try:
                return getattr(self._store, call)(*args)
            finally:
                self._store.step = lambda: None

        return run

    def _step(self) -> None:
        if next(self._steps) == self._number:
            self._store.step = lambda: None  # what other tasks do meanwhile is not counted
            self._at()
            self._store.step = self._step


class Tasks:
    """Tasks in threads, one at a time, on one clock: each runs until it sleeps, then the one that wakes first."""

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self.now = now
        self._asleep: list[tuple[float, int, threading.Event]] = []
        self._order = itertools.count()

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        awake = self._bed(seconds)
        self._wake_next()
        awake.wait()

    def run(self, *tasks: Callable[[], Any]) -> list[Any]:
        """Run all to their end; what a task raises is raised."""

        def run(task: Callable[[], Any], awake: threading.Event) -> Any:
            awake.wait()
            try:
                return task()
            finally:
                self._wake_next()

        with ThreadPoolExecutor(len(tasks)) as pool:
            results = [pool.submit(run, task, self._bed(0)) for task in tasks]
            self._wake_next()
        return [result.result() for result in results]

    def _bed(self, seconds: float) -> threading.Event:
        awake = threading.Event()
        heapq.heappush(self._asleep, (self.now + seconds, next(self._order), awake))
        return awake

    def _wake_next(self) -> None:
        if self._asleep:
            moment, _, awake = heapq.heappop(self._asleep)
            self.now = max(self.now, moment)
            awake.set()
