"""Twenty pods that each run a task, with an address each and behind one address, in each scope.

Run ``python -m benchmarks.pods``; it needs root, ``ip`` and ``nft``, and takes some minutes, most of them waits for
Atlas. Each pod is a process with network namespace and temporary files of its own, as with KubernetesExecutor. The
Variables are in a real metadata database. The sandbox counts token requests by address, 10 in 60 s, and allows 100
active tokens, as Atlas does. All pods make their first request at one moment. The table is written to
``docs/measured``.
"""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from typing import Any

from airflow_provider_atlas.sandbox import Sandbox
from benchmarks import pod_network
from benchmarks.fleets import CAP
from benchmarks.results import RESULTS, markdown

PODS = 20
#: Arguments of the hook, name in the table, and tokens of other tasks that are active before.
FLEETS: dict[str, tuple[dict[str, Any], str, int]] = {
    "task": ({}, "task scope", 0),
    "cap": ({}, "task scope, 90 other tokens active", 90),
    "run": ({"token": "a task that runs before generates it"}, "DAG run scope", 0),
    "deployment": ({"cache_scope": "deployment"}, "deployment scope, cold", 0),
}
COLUMNS = ("succeeded", "from addresses", "token requests", "429s", "403s for the cap", "active tokens", "seconds")


def measure(pods: list[int], fleet: str, sandbox: Sandbox) -> list[int]:
    """Run a fleet; the values of :data:`COLUMNS`. Active tokens are those at the end of the run."""
    from airflow_provider_atlas.hooks.service_account import AtlasServiceAccountHook
    from benchmarks import pod_task

    kwargs, _, others = FLEETS[fleet]
    for _ in range(others):
        sandbox.issue(sandbox.client_id, sandbox.client_secret, sandbox.token_life)
    hook = AtlasServiceAccountHook(
        client_id=sandbox.client_id, client_secret=sandbox.client_secret, base_url=sandbox.url
    )
    if "token" in kwargs:
        kwargs = {"token": hook.seal(hook.generate_token())}
    context = multiprocessing.get_context("forkserver")
    start, ended = context.Barrier(len(pods) + 1, timeout=300), context.SimpleQueue()
    processes = [
        context.Process(target=pod_task.run, args=(pod, sandbox.connection, kwargs, start, ended)) for pod in pods
    ]
    for process in processes:
        process.start()
    start.wait()
    began = time.monotonic()
    for process in processes:
        process.join()
    seconds = time.monotonic() - began
    results = Counter(ended.get() for _ in pods if not ended.empty())
    print(dict(results), flush=True)
    counters = sandbox.counters
    addresses = {key[0] for key in sandbox.windows.keys if isinstance(key, tuple)}
    return [
        results["success"],
        len(addresses),
        counters.token_requests,
        counters.rate_limited,
        counters.cap_refused,
        counters.active,
        round(seconds),
    ]


def main() -> int:
    rows = []
    with tempfile.TemporaryDirectory(prefix="pods-") as home, pod_network.PodNetwork(PODS) as network:
        os.environ |= {"AIRFLOW_HOME": home, "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
        subprocess.run([sys.executable, "-m", "airflow", "db", "migrate"], check=True, capture_output=True)
        multiprocessing.set_forkserver_preload(["benchmarks.pod_task"])
        for one_address in (False, True):
            if one_address:
                network.one_address()
            for fleet, (_, name, _) in FLEETS.items():
                if fleet == "cap" and one_address:  # Atlas does not count it by address
                    continue
                with Sandbox(token_cap=CAP) as sandbox:
                    values = measure(network.pids, fleet, sandbox)
                rows.append([f"{name}; {'one address' if one_address else 'an address each'}", *map(str, values)])
                print(*rows[-1], flush=True)
    table = markdown([f"{PODS} pods", *COLUMNS], rows)
    (RESULTS / "pods.md").write_text(table)
    print(table)
    return 0


if __name__ == "__main__":
    pod_network.enter("benchmarks.pods")
    sys.exit(main())
