"""The command line: every knob is an option, one line says that it is ready, and a signal stops it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from dataclasses import fields

import pytest
import requests

from airflow_provider_atlas.sandbox.__main__ import ID_VARIABLE, SECRET_VARIABLE, main, parser
from airflow_provider_atlas.sandbox.knobs import Knobs


@pytest.fixture(autouse=True)
def no_credentials_in_the_environment(monkeypatch):
    monkeypatch.delenv(ID_VARIABLE, raising=False)
    monkeypatch.delenv(SECRET_VARIABLE, raising=False)


@pytest.fixture
def stops_at_once(monkeypatch):
    """Send each signal as soon as its handler is set."""
    monkeypatch.setattr(signal, "signal", lambda number, handler: handler(number, None))


def test_without_options_each_knob_has_its_default():
    options = vars(parser().parse_args([]))
    assert options == {knob.name: knob.default for knob in fields(Knobs)} | {
        "host": "127.0.0.1",
        "port": 0,
        "log_file": None,
    }


def test_each_option_has_a_help_text():
    assert [action.dest for action in parser()._actions if len(action.help or "") < 20] == []


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        ("--rate-limit=5", {"rate_limit": 5}),
        ("--window=0.5", {"window": 0.5}),
        ("--stated-window=60", {"stated_window": 60.0}),
        ("--api-rate-limit=7", {"api_rate_limit": 7}),
        ("--retry-after=date", {"retry_after": "date"}),
        ("--rate-limit-shape=api", {"rate_limit_shape": "api"}),
        ("--ip-denied", {"ip_denied": True}),
        ("--port=80", {"port": 80}),
    ],
)
def test_option_is_parsed_to_its_type(option, expected):
    options = vars(parser().parse_args([option]))
    assert {name: options[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("arguments", "environment", "says"),
    [
        (["--retry-after=soon"], {}, "invalid choice"),
        (["--window=0"], {}, "window must be positive"),
        (["--host=0.0.0.0"], {}, "loopback"),
        (["--log-file=/nowhere/at/all"], {}, "No such file"),
        ([], {ID_VARIABLE: "mdb_sa_id_1"}, "or neither"),
        ([], {SECRET_VARIABLE: "mdb_sa_sk_1"}, "or neither"),
    ],
)
def test_value_that_is_not_valid_is_a_usage_error_without_the_secret(monkeypatch, capsys, arguments, environment, says):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    error = capsys.readouterr().err
    assert (stopped.value.code, says in error, "mdb_sa_sk_1" in error) == (2, True, False)


def test_output_is_url_client_id_and_generated_secret(capsys, stops_at_once):
    main([])
    ready, secret = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"Atlas sandbox ready at http://127\.0\.0\.1:\d+ with client id mdb_sa_id_[0-9a-f]{24}", ready)
    assert re.fullmatch(r"Client secret \(throw-away, .*\): mdb_sa_sk_[\w-]+", secret)


def test_secret_from_the_environment_is_not_printed(monkeypatch, capsys, stops_at_once):
    monkeypatch.setenv(ID_VARIABLE, "mdb_sa_id_given")
    monkeypatch.setenv(SECRET_VARIABLE, "mdb_sa_sk_given")
    main([])
    (ready,) = capsys.readouterr().out.splitlines()
    assert ready.endswith("with client id mdb_sa_id_given")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_command_serves_until_a_signal_and_exits_with_0(number):
    command = [sys.executable, "-m", "airflow_provider_atlas.sandbox", "--rate-limit=1"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            ready, secret = process.stdout.readline().split(), process.stdout.readline().split()[-1]
            url, client_id = ready[4], ready[-1]
            given = {"auth": (client_id, secret), "data": {"grant_type": "client_credentials"}}
            responses = [requests.post(f"{url}/api/oauth/token", timeout=10, **given) for _ in range(2)]
            statuses = [response.status_code for response in responses]
            process.send_signal(number)
            assert (statuses, process.wait(10)) == ([200, 429], 0)
        finally:
            process.kill()
    with pytest.raises(requests.exceptions.ConnectionError):
        requests.get(url, timeout=10)
