"""The processes of an Airflow or of its services, each the leader of a session of its own, with a file for output."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

from harness import processes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


class AirflowFailed(RuntimeError):
    """A component ended, or something did not happen in time. The message ends with the output that explains it."""


class Components:
    """
    Starts and ends commands, and lets none outlive this process.

    :param program: what each command begins with
    :param home: working directory; the outputs go to its `output`
    :param environment: the environment variables of every command
    """

    def __init__(self, program: Sequence[str | Path], home: Path, environment: Mapping[str, str]) -> None:
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self._program, self._home, self._environment = program, home, environment
        self._output = home / "output"
        self._guard: subprocess.Popen[bytes] | None = None

    def start(self, name: str, *arguments: str) -> None:
        """Start the program with these arguments and call the process by this name."""
        self._output.mkdir(parents=True, exist_ok=True)
        with (self._output / f"{name}.log").open("ab") as output:
            self.running[name] = subprocess.Popen(
                [*self._program, *arguments],
                cwd=self._home,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._tell_guard()

    def finish(self, name: str, timeout: float) -> None:
        """
        Wait for a command that ends by itself.

        :raises AirflowFailed: it failed, or did not end in time
        """
        try:
            code = self.running[name].wait(timeout)
        except subprocess.TimeoutExpired:
            raise AirflowFailed(f"{name} did not end in time\n{self.tail(name)}") from None
        if code:
            raise AirflowFailed(f"{name} ended with {code}\n{self.tail(name)}")
        self.kill(name)

    def kill(self, name: str) -> None:
        """End a command and everything that it has started, without warning."""
        process = self.running.pop(name)
        processes.end({process.pid}, processes.AT_ONCE)
        process.wait()
        # Its number may soon be somebody else's.
        self._tell_guard()

    def stop(self) -> None:
        """
        End everything.

        :raises AirflowFailed: something survived
        """
        if left := processes.end(self._sessions()):
            raise AirflowFailed(f"these processes cannot be ended: {left}")
        for process in self.running.values():
            process.wait()
        self.running.clear()
        if self._guard is not None:
            self._tell_guard()
            self._guard.communicate()
            self._guard = None

    def pids(self, name: str) -> list[int]:
        """The process itself and, after it, everything that it has started."""
        return processes.living({self.running[name].pid})

    def tail(self, name: str, lines: int = 20) -> str:
        """The end of a command's output."""
        output = (self._output / f"{name}.log").read_text(errors="replace")
        return "\n".join(f"  {name} | {line}" for line in output.splitlines()[-lines:])

    def _sessions(self) -> list[int]:
        return [process.pid for process in self.running.values()]

    def _tell_guard(self) -> None:
        if self._guard is None:
            command = [sys.executable, "-I", processes.__file__]
            self._guard = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)
        assert self._guard.stdin is not None  # noqa: S101 - it has a pipe
        self._guard.stdin.write(json.dumps(self._sessions()).encode() + b"\n")
        self._guard.stdin.flush()
