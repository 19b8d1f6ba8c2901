"""How often tasks look at Airflow's Variables while another task holds the claim for a minute.

Run ``python -m benchmarks.waiters``; it takes seconds. Each task has a clock of its own that only its waits move, since
none sees the others. A call of a Variable takes no time. ``--before CHECKOUT`` measures a checkout from
before the claim had a holder (its class was ``DeploymentToken``), whose holder renews its claim every two seconds.
"""

from __future__ import annotations

import argparse
import importlib
import json
import random
import sys
from collections import Counter
from typing import Any

WAITERS, HELD = 50, 60.0
#: Seconds of the wait, from and to.
SPANS = [(0, 5), (5, 10), (10, 20), (20, 40), (40, 60)]


class HeldStore:
    """Variables as a task sees them from ``start`` on while another task holds the claim; counts its calls."""

    def __init__(self, start: float, *, renewed_every: float | None) -> None:
        self.now = self.start = start
        self.renewed_every = renewed_every
        self.calls: list[float] = []

    def read(self, name: str) -> str | None:
        self.calls.append(self.now - self.start)
        if "token" in name or (self.renewed_every is not None) is ("holder" in name):
            return None
        if self.renewed_every is not None:
            nonce = self.now // self.renewed_every
            return json.dumps({"nonce": f"{nonce}", "wait": HELD - self.now, "believed_until": self.now + 10})
        holds = "holder" in name and self.now < HELD
        return json.dumps({"nonce": "another" if holds else None, "seconds": HELD, "closed_until": 0.0})

    def write(self, name: str, text: str) -> None:
        self.calls.append(self.now - self.start)

    remove = read

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        if self.now >= HELD:
            raise TimeoutError  # the holder is through


def wait(store: HeldStore, before: bool) -> None:
    module: Any = importlib.import_module("airflow_provider_atlas.cache.deployment")
    account = importlib.import_module("airflow_provider_atlas.oauth.account").ServiceAccount(
        "mdb_sa_id_x", "mdb_sa_sk_x"
    )
    times = {"clock": lambda: store.now, "monotonic": lambda: store.now, "sleep": store.sleep}
    try:
        if before:
            module.DeploymentToken(account, store, None, 300, **times).get()
        else:
            module.SharedToken(account, store, None, None, 300, **times).get()
    except TimeoutError:
        return
    raise AssertionError("a task must wait for the holder")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--before", metavar="CHECKOUT", help="an older checkout to be measured instead of this one")
    before = parser.parse_args().before
    if before is not None:
        sys.path.insert(0, before)
    starts = random.Random(1)  # noqa: S311 - the same phases in each run
    calls: Counter[int] = Counter()
    for _ in range(WAITERS):
        store = HeldStore(starts.uniform(0, 1), renewed_every=None if before is None else 2.0)
        wait(store, before is not None)
        calls.update(int(moment + 1e-6) for moment in store.calls)
    print(f"{WAITERS} tasks behind a holder of {HELD:g} s: calls of Airflow's Variables a second")
    for first, last in SPANS:
        rate = sum(calls[second] for second in range(first, last)) / (last - first)
        print(f"  seconds {first:>2} to {last:>2}: {rate / WAITERS:5.2f} a task, {rate:6.1f} in all")
    print(f"  in the busiest second: {max(calls.values()) / WAITERS:.2f} a task")
    print(f"  in all {calls.total() / WAITERS:.0f} calls a task")


if __name__ == "__main__":
    main()
