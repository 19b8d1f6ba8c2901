"""30 mapped generates against Atlas's own 10 requests a minute, beside peers and an empty fleet, on one real Airflow.

Run ``python -m benchmarks.waiting``; it takes some ten minutes. The fleets run one after another, each against a
sandbox of its own. A deferred or waiting task instance holds no slot. ``docs/measured`` gets the table.
"""

from __future__ import annotations

import sys

from airflow_provider_atlas.sandbox import Sandbox
from benchmarks.fleets import HERE, RESULTS, connection, measure, table
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
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "waiting.md").write_text(table(rows))
    print(table(rows) + f"\nslot-seconds, deferred / empty: {ratio:.2f}")
    return 0 if ratio <= 2.2 else 1


if __name__ == "__main__":
    sys.exit(main())
