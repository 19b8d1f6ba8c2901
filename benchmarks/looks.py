"""Records when the triggerer looks at Atlas and when it should have, from Airflow's ``airflow_local_settings.py``."""

from __future__ import annotations

import time
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from airflow_provider_atlas.hooks.watch import Watch
from airflow_provider_atlas.triggers import job, token
from harness.airflow import PrivateAirflow

FILE = "looks.txt"
PRELOAD = "import airflow_provider_atlas.preload"
# Only the triggerer imports this module, which imports the provider: tasks must be as cheap, or not, as they are.
SETTINGS = """import sys
{preload}
if "triggerer" in sys.argv:
    sys.path.append({root!r})
    from benchmarks.looks import record
    record({file!r})
"""


@dataclass(frozen=True)
class Look:
    """Path of the resource, and when the look was due and began, epoch seconds."""

    path: str
    due: float
    began: float

    @property
    def late(self) -> float:
        """Seconds."""
        return self.began - self.due


def prepare(airflow: PrivateAirflow, *, preload: bool) -> None:
    """Write the settings of an Airflow that was not started yet."""
    folder = airflow.home / "config"
    folder.mkdir(parents=True)
    root, file = Path(__file__).parent.parent, airflow.home / FILE
    text = SETTINGS.format(preload=PRELOAD if preload else "", root=str(root), file=str(file))
    (folder / "airflow_local_settings.py").write_text(text)


def record(file: str) -> None:
    """Let the triggers of this process write a line for each look."""
    due: ContextVar[float] = ContextVar("due", default=0.0)
    sleep_until, look = token.sleep_until, Watch.look

    async def sleep(moment: float, longest: float) -> None:
        await sleep_until(moment, longest)
        due.set(moment)

    def looking(watch: Watch, hook: Any) -> tuple[bool, Any]:
        with open(file, "a") as lines:
            lines.write(f"{watch.endpoint} {due.get()} {time.time()}\n")
        return look(watch, hook)

    for owner, name, recording in ((job, "sleep_until", sleep), (Watch, "look", looking)):
        setattr(owner, name, recording)


def read(airflow: PrivateAirflow) -> list[Look]:
    """What the triggerer has recorded so far."""
    lines = (line.split() for line in (airflow.home / FILE).read_text().splitlines())
    return [Look(path, float(due), float(began)) for path, due, began in lines]
