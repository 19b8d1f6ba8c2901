"""
Processes by session, because Airflow's can be held by nothing else: they rename themselves, change their environment,
leave their parents, and put tasks into process groups of their own. None leaves its session.

Run as a script, this file is the guard: it outlives a harness that is killed, and ends what that one has left.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

POLITELY = ((signal.SIGTERM, 4.0), (signal.SIGKILL, 5.0))
AT_ONCE = ((signal.SIGKILL, 5.0),)


def living(sessions: Collection[int]) -> list[int]:
    """Ids of the processes in these sessions, their leaders first; zombies are gone already."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                state, _parent, _group, session = (entry / "stat").read_text().rpartition(")")[2].split()[:4]
                if int(session) in sessions and state != "Z":
                    found.append(int(entry.name))
    return sorted(found, key=lambda pid: (pid not in sessions, pid))


def end(sessions: Collection[int], signals: Sequence[tuple[int, float]] = POLITELY) -> list[int]:
    """
    Signal everything in these sessions, wait, and go on to the next signal.

    :param signals: each with the seconds that it gets
    :return: what is still there
    """
    for number, patience in signals:
        deadline = time.monotonic() + patience
        told: set[int] = set()
        while (left := living(sessions)) and time.monotonic() < deadline:
            # Who is born late hears of it too, but nobody twice: a second TERM would cut a clean-up short.
            for pid in set(left) - told:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)
            told.update(left)
            time.sleep(0.05)
    return living(sessions)


if __name__ == "__main__":
    # Each line lists the harness's sessions. The end of the lines is its own, and the last line holds.
    sessions: list[int] = []
    for line in sys.stdin:
        sessions = json.loads(line)
    end(sessions)
