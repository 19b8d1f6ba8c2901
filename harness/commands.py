"""Long-running commands: the components of an Airflow, or its services. Each leads a session and writes a log file."""

from __future__ import annotations

import contextlib
import json
import random
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING, TypeVar

from harness import processes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

T = TypeVar("T")


class AirflowFailed(RuntimeError):
    """A command failed, or something did not happen in time. The message ends with the output of the command."""


class Commands:
    """
    Starts and ends commands. When this process ends, no command survives it.

    :param program: the first words of each command
    :param home: working directory; the output of each command goes to a file in its `output`
    :param environment: the environment variables of every command
    """

    def __init__(self, program: Sequence[str | Path], home: Path, environment: Mapping[str, str]) -> None:
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self._program, self._home, self._environment = program, home, environment
        self._output = home / "output"
        self._guard: subprocess.Popen[bytes] | None = None

    def start(self, name: str, *arguments: str, **environment: str) -> None:
        """Start the program with these arguments and more environment variables, and give the process a name."""
        self._output.mkdir(parents=True, exist_ok=True)
        with (self._output / f"{name}.log").open("ab") as output:
            self.running[name] = subprocess.Popen(
                [*self._program, *arguments],
                cwd=self._home,
                env={**self._environment, **environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._inform_guard()

    def finish(self, name: str, timeout: float) -> None:
        """Wait for a command that ends by itself, and check its exit status."""
        try:
            code = self.running[name].wait(timeout)
        except subprocess.TimeoutExpired:
            raise AirflowFailed(f"{name} did not end in time\n{self.tail(name)}") from None
        if code:
            raise AirflowFailed(f"{name} ended with {code}\n{self.tail(name)}")
        self.kill(name)

    def wait_until(self, condition: Callable[[], T | None], deadline: float, complaint: str, name: str) -> T:
        """Wait until a condition is true and return its value, unless the named command ends before."""
        while not (value := condition()):
            process = self.running.get(name)
            if process and process.poll() is not None:
                raise AirflowFailed(f"{complaint}: {name} ended with {process.poll()}\n{self.tail(name)}")
            if time.monotonic() > deadline:
                raise AirflowFailed(f"{complaint} in time\n{self.tail(name)}")
            time.sleep(0.1)
        return value

    def kill(self, name: str) -> None:
        """Kill a command and everything that it started, as a crash of its machine would."""
        process = self.running.pop(name)
        processes.end({process.pid}, processes.AT_ONCE)
        process.wait()
        # The system may soon give this process id to another process.
        self._inform_guard()

    def stop(self) -> None:
        """End all commands and everything that they started."""
        if left := processes.end(self._sessions()):
            raise AirflowFailed(f"these processes cannot be ended: {left}")
        for process in self.running.values():
            process.wait()
        self.running.clear()
        if self._guard is not None:
            self._inform_guard()
            self._guard.communicate()
            self._guard = None

    def pids(self, name: str) -> list[int]:
        """The process id of a command, then those of everything that it started."""
        return processes.find({self.running[name].pid})

    def tail(self, name: str, lines: int = 20) -> str:
        """The last lines of a command's output."""
        output = (self._output / f"{name}.log").read_text(errors="replace")
        return "\n".join(f"  {name} | {line}" for line in output.splitlines()[-lines:])

    def _sessions(self) -> list[int]:
        return [process.pid for process in self.running.values()]

    def _inform_guard(self) -> None:
        if self._guard is None:
            command = [sys.executable, "-I", processes.__file__]
            self._guard = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)
        assert self._guard.stdin is not None  # noqa: S101 - it has a pipe
        self._guard.stdin.write(json.dumps(self._sessions()).encode() + b"\n")
        self._guard.stdin.flush()


def free_port() -> int:
    """
    A port of the loopback interface that nobody uses at the moment.

    Not from the range from which the system gives ports to whoever asks for any: Airflow takes a while to bind it.
    """
    while True:
        port = random.randrange(15_000, 32_000)  # noqa: S311 - no secret
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
