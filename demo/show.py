"""Progress, one line for each step. On a terminal the line changes while the step runs; in a log it does not."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Show:
    """Measures time from its creation."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._live = sys.stdout.isatty()

    @property
    def elapsed(self) -> float:
        """Seconds."""
        return time.monotonic() - self._began

    @contextlib.contextmanager
    def step(self, title: str, progress: Callable[[], str] = str) -> Iterator[list[str]]:
        """
        Show a step until the block ends.

        :param progress: returns the progress as text; called several times a second
        :return: a list to which the block appends the step's results
        """
        began, ended = self.elapsed, threading.Event()
        outcome: list[str] = []
        line = f"{began:6.1f} s  {title:<60}"

        def update() -> None:
            while not ended.wait(0.2):
                print(f"\r\x1b[K{line}{progress()} ({self.elapsed - began:.0f} s)", end="", flush=True)
            print(f"\r\x1b[K{line}", end="")

        ticker = threading.Thread(target=update, daemon=True)
        print(line, end="", flush=True)
        if self._live:
            ticker.start()
        try:
            yield outcome
        except BaseException:
            outcome[:] = ["not finished"]
            raise
        finally:
            ended.set()
            if self._live:
                ticker.join()
            print(f"{', '.join(outcome) or 'done'} ({self.elapsed - began:.1f} s)", flush=True)
