"""Slots are counted while tasks run: the database counts deferred time as running time and keeps no earlier tries."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from collections import defaultdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

INTERVAL = 0.25
RUNNING = "SELECT dag_id, run_id, count(*) FROM task_instance WHERE state = 'running' GROUP BY dag_id, run_id"


class SlotSampler:
    """
    Counts the running task instances of each DAG run several times a second.

    `seconds` holds the slot-seconds by DAG id and run id, all tries together. A deferred task takes no slot.
    """

    def __init__(self, query: Callable[[str], list[Any]]) -> None:
        self.seconds: dict[tuple[str, str], float] = defaultdict(float)
        self._query = query
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="slot-sampler", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        before = time.monotonic()
        while not self._ended.wait(INTERVAL):
            # If the database is locked, the next sample stands for both intervals.
            with contextlib.suppress(sqlite3.OperationalError):
                rows = self._query(RUNNING)
                now = time.monotonic()
                for dag_id, run_id, running in rows:
                    self.seconds[dag_id, run_id] += running * (now - before)
                before = now
