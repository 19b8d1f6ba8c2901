"""How the cost of a fleet grows with its size: a plot and the exponents, from the results of `benchmarks.thousand`.

Run ``python -m benchmarks.growth`` after ``benchmarks.thousand`` with two sizes at least, ten times apart. An exponent
of 1 means that ten times as many tasks cost ten times as much; of 0, that they cost the same.
"""

from __future__ import annotations

import math
import statistics
import sys
from itertools import cycle

from benchmarks.fleets import RESULTS
from benchmarks.thousand import Measured, kept, title

COSTS = {
    "slot-seconds": "slot_seconds",
    "token requests": "token_requests",
    "Variable calls": "variable_calls",
    "workers' CPU s": "worker_cpu_seconds",
    "API server CPU s": "api_cpu_seconds",
    "database transactions": "transactions",
}


def medians(rows: list[Measured], value: str) -> dict[int, float]:
    """The median of the rounds for each size."""
    sizes = sorted({row.size for row in rows})
    return {size: statistics.median(getattr(row, value) for row in rows if row.size == size) for size in sizes}


def exponent(costs: dict[int, float]) -> float | None:
    """The slope of cost over size on logarithmic axes, by least squares; none with a cost of zero, or one size."""
    points = [(math.log(size), math.log(cost)) for size, cost in costs.items() if cost > 0]
    if len(points) < 2 or len(points) < len(costs):
        return None
    return statistics.linear_regression(*zip(*points, strict=True)).slope


def main() -> int:
    from matplotlib import pyplot

    rows = kept()
    fleets = {fleet: [row for row in rows if row.fleet == fleet] for fleet in dict.fromkeys(row.fleet for row in rows)}
    sizes = sorted({row.size for row in rows})
    lines = [
        [f"exponent, {' to '.join(map(str, (sizes[0], sizes[-1])))} tasks", *COSTS],
        ["---", *["--:"] * len(COSTS)],
    ]
    for fleet, mine in fleets.items():
        found = [exponent(medians(mine, value)) for value in COSTS.values()]
        lines.append([title(fleet), *("" if each is None else f"{each:.2f}" for each in found)])
    table = "".join(f"| {' | '.join(line)} |\n" for line in lines)
    (RESULTS / "growth.md").write_text(table)
    figure, axes = pyplot.subplots(1, 3, figsize=(13, 4.5), layout="constrained")
    for axis, name in zip(axes, ("slot-seconds", "workers' CPU s", "token requests"), strict=True):
        for (fleet, mine), mark in zip(fleets.items(), cycle("osD^vP"), strict=False):
            costs, ours = medians(mine, COSTS[name]), fleet.startswith(("deployment", "in_run", "deferred"))
            style = "-" if ours else ":" if fleet.startswith("empty") else "--"
            axis.plot(list(costs), list(costs.values()), style, marker=mark, label=title(fleet), ms=4)
        axis.set(title=name, xlabel="mapped tasks", xscale="log", yscale="symlog")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)
    figure.savefig(RESULTS / "growth.svg", metadata={"Date": None})
    print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
