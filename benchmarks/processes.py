"""What the processes of an Airflow's component use."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path

from harness.airflow import PrivateAirflow


def resident(airflow: PrivateAirflow, component: str) -> int:
    """Resident KiB of all processes of a component."""
    status = [Path(f"/proc/{pid}/status").read_text() for pid in airflow.components.pids(component)]
    return sum(int(kib) for text in status for kib in re.findall(r"VmRSS:\s+(\d+)", text))


def cpu_seconds(airflow: PrivateAirflow, component: str) -> float:
    """CPU seconds of a component's processes, and of those that they have waited for: tasks that ended."""
    ticks = 0
    for pid in airflow.components.pids(component):
        with suppress(OSError):
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += sum(map(int, fields[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")


def blocked(airflow: PrivateAirflow) -> list[str]:
    """Seconds that the triggerer's event loop was blocked each time, as Airflow's own watchdog logs them: over 0.2."""
    return [
        found for _, text in airflow.logs() for found in re.findall(r"thread was blocked for ([\d.]+) s", str(text))
    ]
