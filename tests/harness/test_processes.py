"""What runs in a session of ours is found and ended, whatever it does to its group, its parent and its signals."""

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
def begin():
    """Start Python in a session of its own and wait until each of its processes says so."""
    begun = []

    def begin(code: str = "", processes: int = 1) -> subprocess.Popen[bytes]:
        program = f"import os, signal, time\n{code}\nprint(flush=True)\ntime.sleep(60)"
        process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, start_new_session=True)
        begun.append(process)
        for _ in range(processes):
            assert process.stdout.readline()
        return process

    yield begin
    for process in begun:
        processes.end({process.pid}, processes.AT_ONCE)
        process.communicate()


def test_only_what_runs_in_the_session_is_found_and_its_leader_comes_first(begin):
    process = begin("os.fork()", processes=2)
    leader, child = processes.living({process.pid})
    assert leader == process.pid
    assert os.getsid(child) == process.pid
    assert os.getpid() not in processes.living({process.pid})


def test_a_zombie_is_not_found(begin):
    process = begin()
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert processes.living({process.pid}) == []


@pytest.mark.parametrize(
    "child",
    ["os.setpgid(0, 0)", "os.fork() and os._exit(0)"],
    ids=["in a group of its own", "that has lost its parent"],
)
def test_a_child_is_ended_too(begin, child):
    process = begin(f"if not os.fork():\n    {child}", processes=2)
    assert processes.end({process.pid}) == []
    process.communicate(timeout=5)  # nobody holds its output any more
    assert process.returncode == -signal.SIGTERM


def test_what_ignores_the_polite_signal_is_killed(begin):
    process = begin("signal.signal(signal.SIGTERM, signal.SIG_IGN)")
    assert processes.end({process.pid}, ((signal.SIGTERM, 0.2), (signal.SIGKILL, 5.0))) == []
    assert process.wait() == -signal.SIGKILL


def test_a_process_that_cleans_up_is_asked_once(begin):
    process = begin(
        "told = []\n"
        "def end(*_):\n"
        "    told.append(1)\n"
        "    deadline = time.monotonic() + 0.5\n"
        "    while time.monotonic() < deadline: time.sleep(0.1)\n"
        "    os._exit(len(told))\n"
        "signal.signal(signal.SIGTERM, end)"
    )
    assert processes.end({process.pid}) == []
    assert process.wait() == 1


def test_what_does_not_end_in_time_is_told(begin):
    process = begin("signal.signal(signal.SIGTERM, signal.SIG_IGN)")
    assert processes.end({process.pid}, ((signal.SIGTERM, 0.2),)) == [process.pid]


@pytest.mark.parametrize("ending", ["close", "kill"])
def test_the_guard_ends_the_sessions_of_the_last_line_when_its_harness_is_gone(begin, ending):
    forgotten, owned = begin(), begin()
    code = (
        "import subprocess, sys, time\n"
        f"guard = subprocess.Popen([sys.executable, '-I', {processes.__file__!r}], stdin=subprocess.PIPE)\n"
        f"for line in ({json.dumps([forgotten.pid])!r}, {json.dumps([owned.pid])!r}):\n"
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
    assert select.select([owned.stdout], [], [], 10)[0], "the guard did nothing"
    assert owned.wait() == -signal.SIGTERM
    assert forgotten.poll() is None
