"""Splits the time from the start of a task's process to its first API response into parts, in that process.

It imports nothing that the task would not. Each part's time is its own: an import within a read of the store counts as
an import.
"""

from __future__ import annotations

import builtins
import json
import os
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any


def since_start() -> float:
    """Seconds since this process was forked; the system counts them in hundredths."""
    started = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19]) / os.sysconf("SC_CLK_TCK")
    return time.clock_gettime(time.CLOCK_BOOTTIME) - started


class Clock:
    """Adds up the seconds and the calls of each part. Parts nest, and only the innermost one's time runs."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.calls: Counter[str] = Counter()
        self._parts = ["rest"]
        self._since = time.perf_counter()

    def stop(self) -> None:
        """Charge the time until now to the current part."""
        now, part = time.perf_counter(), self._parts[-1]
        self.seconds[part] = self.seconds.get(part, 0) + now - self._since
        self._since = now

    def timed(self, part: Callable[..., str], function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, its time charged to the part that its arguments tell."""

        def call(*args: Any, **kwargs: Any) -> Any:
            self.stop()
            self._parts.append(part(*args))
            self.calls[self._parts[-1]] += 1
            try:
                return function(*args, **kwargs)
            finally:
                self.stop()
                self._parts.pop()

        return call


def measure(path: str, label: str, work: Callable[[], object], before: dict[str, float]) -> None:
    """
    Run a task's work, and append what it took to a file.

    :param before: parts that are over already.
    """
    from airflow.sdk import BaseHook, Variable

    before = before | {"Airflow": since_start() - sum(before.values())}
    clock, importing = Clock(), builtins.__import__
    builtins.__import__ = clock.timed(lambda *_: "imports", importing)
    try:
        # Each kind of task needs it sooner or later.
        import requests

        methods = (BaseHook, "get_connection", "connection"), *((Variable, name, "store") for name in ("get", "set"))
        for owner, name, part in methods:
            timed = clock.timed(lambda *_, part=part: part, getattr(owner, name))
            setattr(owner, name, staticmethod(timed))
        adapter = requests.adapters.HTTPAdapter
        adapter.send = clock.timed(  # type: ignore[method-assign]
            lambda _, request, *__: "token request" if "/oauth/" in request.url else "API request", adapter.send
        )
        work()
        clock.stop()
    finally:
        builtins.__import__ = importing
    found = {"label": label, "Variable calls": clock.calls["store"], "parts": before | clock.seconds}
    with Path(path).open("a") as file:
        file.write(json.dumps(found | {"total": since_start()}) + "\n")
