"""The module for airflow_local_settings.py imports what a task needs, and does nothing else."""

from __future__ import annotations

import json
import subprocess
import sys

import airflow
import pytest

LOOK = """
import os
import sys
import threading

import airflow.sdk  # Airflow's processes have it already



def open_files():
    links = []
    for number in os.listdir("/proc/self/fd"):
        try:
            links.append(os.readlink(f"/proc/self/fd/{number}"))
        except OSError:
            pass
    return links


opened, seen = open_files(), []
WATCHED = ("socket.", "subprocess.", "os.fork", "os.exec", "os.system", "_thread.start_new_thread")
sys.addaudithook(lambda event, args: seen.append(event) if event.startswith(WATCHED) else None)

import airflow_provider_atlas.preload

# urllib3 tries to bind a socket to ::1 when it is imported, and closes it.
done = [event for event in seen if event not in ("socket.__new__", "socket.bind")]
done += [link for link in open_files() if link.startswith("socket:") and link not in opened]
imported = set(sys.modules)
from airflow.providers.common.compat.sdk import dag, task

by_dags = sorted(set(sys.modules) - imported)

import json

from airflow_provider_atlas.sandbox import Sandbox

with Sandbox() as sandbox:
    os.environ["AIRFLOW_CONN_ATLAS_DEFAULT"] = json.dumps(sandbox.connection)
    imported |= {name for name in sys.modules if name.startswith(("airflow.", "uvicorn", "starlette"))}
    before = set(sys.modules)
    from airflow_provider_atlas.hooks.service_account import AtlasServiceAccountHook
    from airflow_provider_atlas.operators.cluster import AtlasPauseClusterOperator
    from airflow_provider_atlas.operators.token import GenerateTokenOperator

    hook = AtlasServiceAccountHook()
    hook.run("/api/atlas/v2/groups")
    hook.unseal(hook.seal(hook.get_token()))
late = sorted(name for name in set(sys.modules) - before if not name.startswith(("airflow.", "uvicorn", "starlette")))
print(json.dumps({"done": done, "threads": threading.active_count(), "late": late, "by_dags": by_dags}))
"""


@pytest.mark.skipif(
    not airflow.__version__.startswith("3.3."),
    reason="older Airflows load modules of their own late, some with a process",
)
def test_it_starts_no_thread_opens_no_socket_and_leaves_nothing_to_import():
    run = subprocess.run([sys.executable, "-c", LOOK], capture_output=True, text=True, timeout=120, check=True)
    found = json.loads(run.stdout.splitlines()[-1])
    assert found == {"done": [], "threads": 1, "late": [], "by_dags": []}
