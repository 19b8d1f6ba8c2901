"""30 mapped generate tasks at Atlas's rate limit of 10 requests a minute, compared with peers and an empty fleet.

Run ``python -m benchmarks.waiting``; it takes about ten minutes. One real Airflow runs the fleets one after another,
each with its own sandbox. A deferred or waiting task instance holds no slot. The table is written to ``docs/measured``.
"""

from __future__ import annotations

import sys

from airflow_provider_atlas.sandbox import Sandbox
from benchmarks.fleets import HERE, connection, measure, table
from benchmarks.results import RESULTS
from harness.airflow import PrivateAirflow

SIZE = 30


def main() -> int:
    boxes = {fleet: Sandbox() for fleet in ("empty", "deferred", "tenacity", "http_operator")}
    try:
        made = {fleet: connection(fleet, box.start()) for fleet, box in boxes.items()}
        with PrivateAirflow(HERE / "dags", connections=dict(made.values()), slots=16) as airflow:
            rows = [measure(airflow, box, fleet, made[fleet][0], SIZE, timeout=900) for fleet, box in boxes.items()]
    finally:
        for box in boxes.values():
            box.stop()
    ratio = rows[1].slot_seconds / rows[0].slot_seconds
    (RESULTS / "waiting.md").write_text(table(rows))
    print(table(rows) + f"\nslot-seconds, deferred / empty: {ratio:.2f}")
    return 0 if ratio <= 2.2 else 1


if __name__ == "__main__":
    sys.exit(main())
