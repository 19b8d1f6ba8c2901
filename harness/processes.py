"""
Processes by session. Airflow's processes rename themselves, change their environment, leave their parents, and put
tasks into new process groups, but none leaves its session.

Run as a script, this file is the guard: if the harness is killed, the guard ends what the harness started.
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

TERM_THEN_KILL = ((signal.SIGTERM, 4.0), (signal.SIGKILL, 5.0))
AT_ONCE = ((signal.SIGKILL, 5.0),)


def find(sessions: Collection[int]) -> list[int]:
    """Ids of the processes in these sessions, session leaders first, without zombies."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                state, _parent, _group, session = (entry / "stat").read_text().rpartition(")")[2].split()[:4]
                if int(session) in sessions and state != "Z":
                    found.append(int(entry.name))
    return sorted(found, key=lambda pid: (pid not in sessions, pid))


def end(sessions: Collection[int], signals: Sequence[tuple[int, float]] = TERM_THEN_KILL) -> list[int]:
    """
    Send each signal in turn to all processes in these sessions until none is left.

    :param signals: each with the seconds to wait after it
    :return: the processes that are still running
    """
    for number, seconds in signals:
        deadline = time.monotonic() + seconds
        signalled: set[int] = set()
        while (left := find(sessions)) and time.monotonic() < deadline:
            # A process that starts during the wait gets the signal too. No process gets it twice: a second SIGTERM
            # would interrupt a clean-up.
            for pid in set(left) - signalled:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)
            signalled.update(left)
            time.sleep(0.05)
    return find(sessions)


if __name__ == "__main__":
    # Each line lists the sessions of the harness. When the harness ends, the lines end, and the last line counts.
    sessions: list[int] = []
    for line in sys.stdin:
        sessions = json.loads(line)
    end(sessions)
