"""A step is one line in a log, and a changing line on a terminal."""

from __future__ import annotations

import re
import sys
import threading

import pytest

from demo.show import Show


def test_a_step_is_one_line_with_its_results(capsys):
    with Show().step("Search") as outcome:
        outcome += ["0 found", "4 MB"]
    assert re.fullmatch(r" +0\.0 s  Search +0 found, 4 MB \(\d\.\d s\)\n", capsys.readouterr().out)


def test_a_step_without_a_result_is_done(capsys):
    with Show().step("Stop"):
        pass
    assert " done (" in capsys.readouterr().out


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_a_step_that_raises_is_not_finished_and_the_error_is_raised(capsys, error):
    with pytest.raises(error), Show().step("Run") as outcome:
        outcome.append("success")
        raise error
    assert " not finished (" in capsys.readouterr().out


def test_a_terminal_shows_the_progress(capsys, monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    seen = threading.Event()

    def progress() -> str:
        seen.set()
        return "2 of 6 tasks"

    with Show().step("Run", progress) as outcome:
        assert seen.wait(10)
        outcome.append("success")
    first, *_, last = capsys.readouterr().out.split("\r\x1b[K")
    assert "of 6" not in first
    assert re.fullmatch(r" +0\.0 s  Run +success \(\d\.\d s\)\n", last)
