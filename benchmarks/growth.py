"""How the cost of a fleet and of waits grows with their number: a plot and the exponents.

Run ``python -m benchmarks.growth`` after ``benchmarks.thousand`` and ``benchmarks.waits`` with several sizes. An
exponent of 1 means that ten times as many tasks cost ten times as much; of 0, that they cost the same.
"""

from __future__ import annotations

import math
import statistics
import sys
from collections.abc import Sequence
from itertools import cycle

from benchmarks import waits
from benchmarks.results import RESULTS, markdown
from benchmarks.thousand import Measured, by_fleet, kept, title
from benchmarks.waits import Cost

COSTS = {
    "slot-seconds": "slot_seconds",
    "token requests": "token_requests",
    "Variable calls": "variable_calls",
    "workers' CPU s": "worker_cpu_seconds",
    "API server CPU s": "api_cpu_seconds",
    "database transactions": "transactions",
}
WAITING = {"triggerer's CPU s": "cpu_seconds", "its memory": "memory_kib"}
EACH = "memory for each, KiB"


def medians(rows: Sequence[Measured | Cost], value: str) -> dict[int, float]:
    """The median of the rounds for each size."""
    sizes = sorted({row.size for row in rows})
    return {size: statistics.median(getattr(row, value) for row in rows if row.size == size) for size in sizes}


def exponent(costs: dict[int, float]) -> float | None:
    """The slope of cost over size on logarithmic axes, by least squares; none with a cost of zero, or one size."""
    points = [(math.log(size), math.log(cost)) for size, cost in costs.items() if cost > 0]
    if len(points) < 2 or len(points) < len(costs):
        return None
    return statistics.linear_regression(*zip(*points, strict=True)).slope


def each(costs: dict[int, float]) -> float:
    """What one more costs, without what the first one costs: the slope of cost over size, by least squares."""
    return statistics.linear_regression([*costs], [*costs.values()]).slope


def cell(cost: dict[int, float]) -> str:
    """An exponent as the table shows it."""
    found = exponent(cost)
    return "" if found is None else f"{found:.2f}"


def main() -> int:
    from matplotlib import pyplot

    fleets, costs_of_waits = by_fleet(kept()), waits.kept()
    triggers = {name: [cost for cost in costs_of_waits if cost.triggers == name] for name in (waits.OURS, waits.THEIRS)}
    table = markdown(
        ["exponent, tasks", *COSTS],
        [[title(fleet), *(cell(medians(mine, value)) for value in COSTS.values())] for fleet, mine in fleets.items()],
    )
    table += "\n" + markdown(
        ["exponent, triggers in a triggerer", *WAITING, EACH],
        [
            [
                name,
                *(cell(medians(mine, value)) for value in WAITING.values()),
                f"{each(medians(mine, 'memory_kib')):.0f}",
            ]
            for name, mine in triggers.items()
        ],
    )
    (RESULTS / "growth.md").write_text(table)
    figure, axes = pyplot.subplots(1, 4, figsize=(16, 4.5), layout="constrained")
    for axis, name in zip(axes, ("slot-seconds", "workers' CPU s", "token requests"), strict=False):
        for (fleet, mine), mark in zip(fleets.items(), cycle("osD^vP"), strict=False):
            costs, ours = medians(mine, COSTS[name]), fleet.startswith(("deployment", "in_run", "deferred"))
            style = "-" if ours else ":" if fleet.startswith("empty") else "--"
            axis.plot(list(costs), list(costs.values()), style, marker=mark, label=title(fleet), ms=4)
        axis.set(title=name, xlabel="mapped tasks", xscale="log", yscale="symlog")
    name = "triggerer's CPU s"
    for triggers_of, style in zip(triggers, ("-", "--"), strict=True):
        costs = medians(triggers[triggers_of], WAITING[name])
        axes[3].plot(list(costs), list(costs.values()), style, marker="o", label=triggers_of, ms=4)
    axes[3].set(title=f"{name} in {waits.WATCHED:.0f} s", xlabel="triggers that wait", xscale="symlog", yscale="symlog")
    axes[3].legend(frameon=False)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)
    figure.savefig(RESULTS / "growth.svg", metadata={"Date": None})
    print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
