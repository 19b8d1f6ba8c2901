"""The exit status tells whether the demo succeeded, and the table shows what was measured."""

from __future__ import annotations

import contextlib
import re
import signal
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from airflow_provider_atlas.sandbox import Counters
from demo import __main__ as main
from demo.show import Show
from harness.commands import AirflowFailed
from harness.leaks import Findings, Leak
from harness.runs import DagRunResult


@pytest.fixture(autouse=True)
def handlers():
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize(
    ("ending", "status", "said"),
    [
        (True, 0, ""),
        (False, 1, ""),
        (KeyboardInterrupt(), 130, "Interrupted. All processes have ended.\n"),
        (AirflowFailed("triggerer is not ready"), 1, "triggerer is not ready\n"),
    ],
)
def test_the_exit_status_tells_how_the_demo_ended(monkeypatch, capsys, ending, status, said):
    def demo(_show, keep):
        assert keep is False
        if isinstance(ending, BaseException):
            raise ending
        return ending

    monkeypatch.delenv("KEEP", raising=False)
    monkeypatch.setattr(main, "demo", demo)
    assert main.main() == status
    assert "".join(capsys.readouterr()) == said


def test_sigterm_runs_the_clean_up(monkeypatch):
    def demo(_show, keep):
        with contextlib.ExitStack() as stack:
            stack.callback(cleaned.append, keep)
            signal.raise_signal(signal.SIGTERM)

    cleaned = []
    monkeypatch.setenv("KEEP", "1")
    monkeypatch.setattr(main, "demo", demo)
    with pytest.raises(SystemExit) as ended:
        main.main()
    assert (ended.value.code, cleaned) == (143, [True])


def test_the_report_shows_the_counts_and_every_leak_and_error(capsys):
    now = datetime.now(UTC)
    tasks = {("generate", -1): "success", ("use", 0): "failed", ("use", 1): "success"}
    runs = [DagRunResult("dag", f"run{n}", state, tasks, now, now) for n, state in enumerate(("success", "failed"))]
    log = main.Path("run_id=run1/task_id=use/1.log")
    slots = SimpleNamespace(seconds={("dag", "run0"): 1.25, ("dag", "run1"): 3.25})
    airflow = SimpleNamespace(slots=slots, logs=lambda: [(log, b"] ERROR - no\n")])
    sandbox = SimpleNamespace(counters=Counters(token_requests=7, issued=5, rate_limited=2, revoked=4, active=1))
    main.report(Show(), sandbox, airflow, runs, Findings([Leak("xcom.value", "token 1 as plain text")], 1_250_000))
    said = capsys.readouterr().out
    rows = dict(re.findall(r"^  (\S.*?)  +(\S.*)$", said, re.MULTILINE))
    assert rows["DAG runs"] == "1 of 2 succeeded"
    assert rows["Task instances"] == "2 failed, 4 success"
    assert rows["Worker slot-seconds"] == "4.5"
    assert rows["Token requests"].startswith("7 ")
    assert (rows["Refused for the rate limit (429)"], rows["Tokens issued"]) == ("2", "5")
    assert (rows["Tokens revoked"], rows["Tokens still active"]) == ("4", "1")
    assert rows["Plain-text tokens and secrets"].startswith("1 in 1.2 MB")
    assert "  token 1 as plain text in xcom.value\n" in said
    assert "  dag use: no\n" in said
