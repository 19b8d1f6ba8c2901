"""Commands are started, killed and ended, and an error shows the end of their output. `airflow` is a script here."""

from __future__ import annotations

import os
import sys

import pytest

from harness import processes
from harness.commands import AirflowFailed, Commands

SCRIPT = """
import os, sys, time
print(*sys.argv[1:], os.getcwd(), flush=True)
if sys.argv[1] == "stay":
    os.fork()
    time.sleep(60)
sys.exit(int(sys.argv[2]))
"""


@pytest.fixture
def commands(tmp_path, script):
    made = Commands([sys.executable, "-m", "airflow"], tmp_path, os.environ | script(SCRIPT))
    yield made
    made.stop()


def test_a_command_that_succeeds_is_no_longer_listed(commands, tmp_path):
    commands.start("migrate", "end", "0")
    commands.finish("migrate", 30)
    assert commands.running == {}
    assert commands.tail("migrate") == f"  migrate | end 0 {tmp_path}"


def test_the_error_of_a_command_that_fails_shows_its_output(commands):
    commands.start("migrate", "end", "3")
    with pytest.raises(AirflowFailed, match=r"migrate ended with 3\n  migrate \| end 3"):
        commands.finish("migrate", 30)


def test_a_command_that_takes_too_long_is_an_error(commands):
    commands.start("migrate", "stay")
    with pytest.raises(AirflowFailed, match="migrate did not end in time"):
        commands.finish("migrate", 0.1)


def test_each_command_leads_its_own_session_and_is_killed_with_its_children(commands):
    commands.start("scheduler", "stay")
    commands.start("triggerer", "stay")
    scheduler, triggerer = (commands.running[name].pid for name in ("scheduler", "triggerer"))
    assert os.getsid(scheduler) == scheduler
    assert commands.pids("scheduler")[0] == scheduler
    commands.kill("scheduler")
    assert processes.find({scheduler}) == []
    assert commands.pids("triggerer")[0] == triggerer


def test_stop_ends_every_process_and_the_guard_and_can_be_repeated(commands):
    commands.start("scheduler", "stay")
    session, guard = commands.running["scheduler"].pid, commands._guard
    commands.stop()
    commands.stop()
    assert processes.find({session}) == []
    assert guard.returncode == 0


def test_a_process_that_cannot_be_ended_is_an_error(commands, monkeypatch):
    commands.start("scheduler", "stay")
    with monkeypatch.context() as patch:
        patch.setattr(processes, "end", lambda _: [1])
        with pytest.raises(AirflowFailed, match=r"cannot be ended: \[1\]"):
            commands.stop()


def test_a_restarted_command_appends_to_its_output_and_only_the_last_lines_are_shown(commands):
    for code in ("1", "2"):
        commands.start("scheduler", "end", code)
        commands.running["scheduler"].wait()
    assert [line.split()[3] for line in commands.tail("scheduler").splitlines()] == ["1", "2"]
    assert commands.tail("scheduler", 1).count("\n") == 0
