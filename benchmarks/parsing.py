"""What the import of a DAG file with our operators costs the DAG processor, compared with Airflow's own imports only.

Run ``python -m benchmarks.parsing``. Each file is imported in a new process, in turn, and the process reports how long
its imports took. Medians, and the median of the differences, are printed.
"""

from __future__ import annotations

import statistics
import subprocess
import sys

ROUNDS = 9
BEGIN = "import time; started = time.perf_counter(); from airflow.sdk import dag, task, BaseOperator; "
OURS = (
    "from airflow_provider_atlas.hooks.service_account import AtlasServiceAccountHook; "
    "from airflow_provider_atlas.operators.token import GenerateTokenOperator, RevokeTokenOperator; "
)
PEER = (
    "from airflow.providers.http.hooks.http import HttpHook; "
    "from airflow.providers.http.operators.http import HttpOperator; "
)
END = "print(time.perf_counter() - started)"
FILES = {"Airflow's own": BEGIN + END, "this provider": BEGIN + OURS + END, "HTTP provider": BEGIN + PEER + END}


def seconds(code: str) -> float:
    return float(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout)


def main() -> int:
    times: dict[str, list[float]] = {name: [] for name in FILES}
    for _ in range(ROUNDS):
        for name, code in FILES.items():
            times[name].append(seconds(code))
    base, *others = times
    print(f"{base:<16}{statistics.median(times[base]) * 1000:8.0f} ms  (median of {ROUNDS})")
    for name in others:
        over = statistics.median(mine - bare for mine, bare in zip(times[name], times[base], strict=True))
        print(f"{name:<16}{over * 1000:+8.0f} ms  (median of the rounds' differences)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
