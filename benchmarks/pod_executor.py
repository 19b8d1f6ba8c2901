"""An executor that runs each task in a pod of its own, by the command that KubernetesExecutor's pods run."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from typing import Any

from airflow.executors.base_executor import BaseExecutor

#: The environment variable with the process ids of :class:`benchmarks.pod_network.PodNetwork`.
PIDS = "BENCHMARK_PODS"


class PodExecutor(BaseExecutor):
    """Gives each task a free pod, with an empty directory for temporary files, as a new container has."""

    def start(self) -> None:
        """See :class:`BaseExecutor`."""
        self._free = os.environ[PIDS].split()
        self._busy: dict[Any, tuple[str, subprocess.Popen[bytes]]] = {}

    def _process_workloads(self, workload_items: Any) -> None:
        for workload in workload_items:
            self.queued_tasks.pop(workload.key)
            self.running.add(workload.key)
            pid = self._free.pop(0)
            command = ["nsenter", f"--net=/proc/{pid}/ns/net", sys.executable, "-m"]
            command += ["airflow.sdk.execution_time.execute_workload", "--json-string", workload.model_dump_json()]
            environment = os.environ | {"TMPDIR": tempfile.mkdtemp(dir=os.environ["AIRFLOW_HOME"])}
            output = open(f"{os.environ['AIRFLOW_HOME']}/pod-{pid}.log", "ab")  # noqa: SIM115 - the pod has it
            self._busy[workload.key] = pid, subprocess.Popen(command, env=environment, stdout=output, stderr=output)
            output.close()

    def sync(self) -> None:
        """See :class:`BaseExecutor`."""
        for key, (pid, process) in list(self._busy.items()):
            if (code := process.poll()) is not None:
                del self._busy[key]
                self._free.append(pid)
                (self.fail if code else self.success)(key)

    def end(self) -> None:
        """See :class:`BaseExecutor`. The harness ends the pods' processes."""

    def terminate(self) -> None:
        """See :class:`BaseExecutor`."""
