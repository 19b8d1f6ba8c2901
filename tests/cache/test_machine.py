"""What one task was told of the rate limit reaches the others on its machine, and nothing else in that place does."""

from __future__ import annotations

import os
import tempfile
from dataclasses import replace

import pytest

from airflow_provider_atlas.cache import machine
from airflow_provider_atlas.oauth.retry_after import LONGEST_WAIT

NOW = 1_800_000_000.0


@pytest.fixture(autouse=True)
def temporary(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_nobody_knows_of_a_closed_window_at_first(account):
    assert machine.rate_limited_for(account, "generate", NOW) == 0


@pytest.mark.parametrize(
    ("until", "left"),
    [
        (NOW + 42.5, 42.5),
        (NOW, 0),
        (NOW - 60, 0),
        (NOW + 1.1 * LONGEST_WAIT, 1.1 * LONGEST_WAIT),  # the longest wait with its spread
        (NOW + 1.25 * LONGEST_WAIT, 0),
        (NOW + 10 * LONGEST_WAIT, 0),
        (NOW + 10 * 365 * 86_400, 0),
    ],
)
def test_a_note_holds_until_its_time_and_is_ignored_if_that_is_far_beyond_the_longest_wait(account, until, left):
    machine.note_rate_limit(account, "generate", until)
    assert machine.rate_limited_for(account, "generate", NOW) == pytest.approx(left)


def test_the_last_one_to_be_told_is_believed(account):
    machine.note_rate_limit(account, "generate", NOW + 60)
    machine.note_rate_limit(account, "generate", NOW + 20)
    assert machine.rate_limited_for(account, "generate", NOW) == pytest.approx(20)


@pytest.mark.parametrize(
    ("changed", "action"),
    [({}, "revoke"), ({"client_id": "mdb_sa_id_other"}, "generate"), ({"base_url": "http://127.0.0.1:2"}, "generate")],
)
def test_each_account_and_endpoint_has_a_window_of_its_own(account, changed, action):
    machine.note_rate_limit(account, "generate", NOW + 60)
    assert machine.rate_limited_for(replace(account, **changed), action, NOW) == 0


def test_a_new_secret_of_the_account_shares_its_window(account):
    machine.note_rate_limit(account, "generate", NOW + 60)
    other = replace(account, client_secret=account.client_secret + "x")
    assert machine.rate_limited_for(other, "generate", NOW) == pytest.approx(60)


def test_what_it_leaves_is_an_empty_file_for_its_owner_alone(account, temporary):
    machine.note_rate_limit(account, "generate", NOW + 60)
    (left,) = temporary.iterdir()
    assert (left.read_bytes(), left.stat().st_mode & 0o777) == (b"", 0o600)
    assert account.client_id not in left.name


@pytest.mark.parametrize("plant", [os.mkfifo, os.mkdir, lambda path: os.symlink("elsewhere", path)])
def test_something_else_under_its_name_is_left_alone_and_not_believed(account, temporary, plant):
    elsewhere = temporary / "elsewhere"
    elsewhere.touch()
    before = elsewhere.stat().st_mtime
    plant(machine._path(account, "generate"))
    machine.note_rate_limit(account, "generate", NOW + 60)
    assert machine.rate_limited_for(account, "generate", NOW) == 0
    assert elsewhere.stat().st_mtime == before


def test_another_user_s_file_is_not_believed(account, mocker):
    machine.note_rate_limit(account, "generate", NOW + 60)
    path = machine._path(account, "generate")
    mocker.patch.object(machine, "_path", return_value=path)
    mocker.patch.object(os, "geteuid", return_value=os.geteuid() + 1)
    assert machine.rate_limited_for(account, "generate", NOW) == 0


def test_without_a_place_to_write_nobody_is_told(account, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", "/proc/nowhere")
    machine.note_rate_limit(account, "generate", NOW + 60)
    assert machine.rate_limited_for(account, "generate", NOW) == 0
