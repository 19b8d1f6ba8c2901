"""Commands are started, awaited, killed and ended, and say at the end what went wrong. `airflow` is a script here."""

from __future__ import annotations

import os
import sys

import pytest

from harness import processes
from harness.commands import AirflowFailed, Components

SCRIPT = """
import os, sys, time
print(*sys.argv[1:], os.getcwd(), flush=True)
if sys.argv[1] == "stay":
    os.fork()
    time.sleep(60)
sys.exit(int(sys.argv[2]))
"""


@pytest.fixture
def components(tmp_path):
    package = tmp_path / "library" / "airflow"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text(SCRIPT)
    home = tmp_path / "home"
    home.mkdir()
    made = Components([sys.executable, "-m", "airflow"], home, {**os.environ, "PYTHONPATH": str(package.parent)})
    yield made
    made.stop()


def test_a_command_that_ends_well_is_forgotten(components, tmp_path):
    components.start("migrate", "end", "0")
    components.finish("migrate", 30)
    assert components.running == {}
    assert components.tail("migrate") == f"  migrate | end 0 {tmp_path}/home"


def test_a_command_that_fails_says_why(components):
    components.start("migrate", "end", "3")
    with pytest.raises(AirflowFailed, match=r"migrate ended with 3\n  migrate \| end 3"):
        components.finish("migrate", 30)


def test_a_command_that_takes_too_long_is_an_error(components):
    components.start("migrate", "stay")
    with pytest.raises(AirflowFailed, match="migrate did not end in time"):
        components.finish("migrate", 0.1)


def test_each_component_lives_in_a_session_of_its_own_and_is_killed_with_its_children(components):
    components.start("scheduler", "stay")
    components.start("triggerer", "stay")
    scheduler, triggerer = (components.running[name].pid for name in ("scheduler", "triggerer"))
    assert os.getsid(scheduler) == scheduler
    assert components.pids("scheduler")[0] == scheduler
    components.kill("scheduler")
    assert processes.living({scheduler}) == []
    assert components.pids("triggerer")[0] == triggerer


def test_stopping_ends_everything_the_guard_included_and_can_be_repeated(components):
    components.start("scheduler", "stay")
    session, guard = components.running["scheduler"].pid, components._guard
    components.stop()
    components.stop()
    assert processes.living({session}) == []
    assert guard.returncode == 0


def test_what_cannot_be_ended_is_an_error(components, monkeypatch):
    components.start("scheduler", "stay")
    with monkeypatch.context() as patch:
        patch.setattr(processes, "end", lambda _: [1])
        with pytest.raises(AirflowFailed, match=r"cannot be ended: \[1\]"):
            components.stop()


def test_outputs_of_a_component_s_lives_follow_each_other_and_only_the_end_is_told(components):
    for code in ("1", "2"):
        components.start("scheduler", "end", code)
        components.running["scheduler"].wait()
    assert [line.split()[3] for line in components.tail("scheduler").splitlines()] == ["1", "2"]
    assert components.tail("scheduler", 1).count("\n") == 0
