"""Processes are found and ended by session, whatever they do to their group, their parent and their signals."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys

import pytest

from harness import processes


@pytest.fixture
def start():
    """Starts Python in a new session and waits until each of its processes runs."""
    started = []

    def start(code: str = "", processes: int = 1) -> subprocess.Popen[bytes]:
        program = f"import os, signal, time\n{code}\nprint(flush=True)\ntime.sleep(60)"
        process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, start_new_session=True)
        started.append(process)
        for _ in range(processes):
            assert process.stdout.readline()
        return process

    yield start
    for process in started:
        processes.end({process.pid}, processes.AT_ONCE)
        process.communicate()


def test_only_the_processes_of_the_session_are_found_and_the_leader_is_first(start):
    process = start("os.fork()", processes=2)
    leader, child = processes.find({process.pid})
    assert leader == process.pid
    assert os.getsid(child) == process.pid
    assert os.getpid() not in processes.find({process.pid})


def test_a_zombie_is_not_found(start):
    process = start()
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert processes.find({process.pid}) == []


@pytest.mark.parametrize(
    "child",
    ["os.setpgid(0, 0)", "os.fork() and os._exit(0)"],
    ids=["in a new group", "without its parent"],
)
def test_a_child_is_ended_too(start, child):
    process = start(f"if not os.fork():\n    {child}", processes=2)
    assert processes.end({process.pid}) == []
    process.communicate(timeout=5)  # no process holds its output open
    assert process.returncode == -signal.SIGTERM


def test_a_process_that_ignores_sigterm_is_killed(start):
    process = start("signal.signal(signal.SIGTERM, signal.SIG_IGN)")
    assert processes.end({process.pid}, ((signal.SIGTERM, 0.2), (signal.SIGKILL, 5.0))) == []
    assert process.wait() == -signal.SIGKILL


def test_a_process_that_cleans_up_gets_sigterm_once(start):
    process = start(
        "signals = []\n"
        "def end(*_):\n"
        "    signals.append(1)\n"
        "    deadline = time.monotonic() + 0.5\n"
        "    while time.monotonic() < deadline: time.sleep(0.1)\n"
        "    os._exit(len(signals))\n"
        "signal.signal(signal.SIGTERM, end)"
    )
    assert processes.end({process.pid}) == []
    assert process.wait() == 1


def test_a_process_that_does_not_end_in_time_is_returned(start):
    process = start("signal.signal(signal.SIGTERM, signal.SIG_IGN)")
    assert processes.end({process.pid}, ((signal.SIGTERM, 0.2),)) == [process.pid]


@pytest.mark.parametrize("ending", ["close", "kill"])
def test_the_guard_ends_the_sessions_of_the_last_line_when_the_harness_has_ended(start, ending):
    removed, listed = start(), start()
    code = (
        "import subprocess, sys, time\n"
        f"guard = subprocess.Popen([sys.executable, '-I', {processes.__file__!r}], stdin=subprocess.PIPE)\n"
        f"for line in ({json.dumps([removed.pid])!r}, {json.dumps([listed.pid])!r}):\n"
        "    guard.stdin.write(line.encode() + b'\\n')\n"
        "guard.stdin.flush()\n"
        "print(flush=True)\n"
        "sys.stdin.read()"
    )
    harness = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert harness.stdout.readline()
    if ending == "kill":
        harness.kill()
    harness.communicate()
    assert select.select([listed.stdout], [], [], 10)[0], "the guard did not end the session"
    assert listed.wait() == -signal.SIGTERM
    assert removed.poll() is None
