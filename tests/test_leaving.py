"""What a failed call leaves in the log of a task: one line with the remedy, and few frames."""

from __future__ import annotations

import json
import logging
import traceback

import pytest

from airflow_provider_atlas import frames
from airflow_provider_atlas.cache import task
from airflow_provider_atlas.exceptions import AtlasApiError, AtlasError, InvalidClient
from airflow_provider_atlas.frames import cleared
from airflow_provider_atlas.hooks.service_account import AtlasServiceAccountHook
from airflow_provider_atlas.operators.token import GenerateTokenOperator

GROUPS = "/api/atlas/v2/groups"
CALLS = {
    "run": lambda: AtlasServiceAccountHook().run(GROUPS),
    "paginate": lambda: list(AtlasServiceAccountHook().paginate(GROUPS)),
    "download": lambda: AtlasServiceAccountHook().download(GROUPS, "nowhere"),
    "get_token": lambda: AtlasServiceAccountHook().get_token(),
    "session": lambda: AtlasServiceAccountHook().get_conn().get(GROUPS),
    "own token": lambda: AtlasServiceAccountHook().__enter__().run(GROUPS),
    "operator": lambda: GenerateTokenOperator(task_id="generate", deferrable=False).execute({}),
}


@pytest.fixture
def wrong_secret(atlas_sandbox, monkeypatch):
    stored = {**atlas_sandbox.connection, "password": "mdb_sa_sk_wrong"}
    monkeypatch.setenv("AIRFLOW_CONN_ATLAS_DEFAULT", json.dumps(stored))


def failure(call):
    with pytest.raises(AtlasError) as caught:
        call()
    return caught.value


def errors(caplog):
    return [record.getMessage() for record in caplog.records if record.name == frames.__name__ and record.levelno >= 40]


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_failed_call_logs_one_error_with_the_remedy_and_shows_few_frames(call, wrong_secret, caplog):
    error = failure(call)
    assert errors(caplog) == [f"What to do: {InvalidClient.remedy}"]
    beneath = [frame for frame, _ in traceback.walk_tb(error.__traceback__) if frame.f_code.co_filename != __file__]
    assert len(beneath) <= 3
    assert error.__context__ is None


def test_at_level_debug_the_log_has_all_frames(wrong_secret, caplog):
    with caplog.at_level(logging.DEBUG, logger=frames.__name__):
        failure(CALLS["run"])
    assert "oauth/client.py" in caplog.text


@pytest.mark.parametrize("error", [AtlasApiError(status=404), AtlasApiError(status=400, meaning="already so")])
def test_a_dag_that_asks_whether_something_exists_gets_no_error_in_its_log(error, caplog):
    @cleared
    def ask():
        raise error

    failure(ask)
    assert errors(caplog) == []


def test_an_error_that_an_operator_handles_is_not_logged(caplog):
    @cleared
    def call():
        raise InvalidClient

    @cleared
    def operator():
        with pytest.raises(InvalidClient):
            call()

    operator()
    assert errors(caplog) == []


def test_an_error_that_passes_two_methods_is_logged_once(caplog):
    @cleared
    def call():
        raise InvalidClient

    failure(cleared(call))
    assert len(errors(caplog)) == 1


def test_an_error_that_the_user_was_handling_stays_its_context():
    @cleared
    def call():
        try:
            raise KeyError
        except KeyError:
            raise InvalidClient from None

    try:
        raise RuntimeError
    except RuntimeError as handled:
        assert failure(call).__context__ is handled


def test_a_fault_of_ours_keeps_its_frames_and_is_not_explained(caplog):
    def beneath():
        raise ValueError

    @cleared
    def call():
        beneath()

    with pytest.raises(ValueError) as caught:
        call()
    names = [frame.f_code.co_name for frame, _ in traceback.walk_tb(caught.value.__traceback__)]
    assert names[-3:] == ["wrapper", "call", "beneath"]
    assert errors(caplog) == []


@pytest.mark.parametrize(
    ("make", "line"),
    [
        (lambda hook: AtlasServiceAccountHook(token=hook.seal(hook.get_token())), "Using the given Atlas token"),
        (lambda hook: AtlasServiceAccountHook(cache_scope="deployment"), "Using the deployment's Atlas token"),
    ],
    ids=["given", "deployment"],
)
def test_a_task_that_goes_well_says_once_which_token_it_uses_and_from_where(make, line, atlas_sandbox, store, caplog):
    AtlasServiceAccountHook(cache_scope="deployment").get_token()
    given = make(AtlasServiceAccountHook())
    task._caches.clear()  # the other task runs in another process
    caplog.clear()
    with caplog.at_level(logging.INFO):
        tokens = {given.get_token().fingerprint for _ in range(3)}
        given.run(GROUPS)
    assert [text for text in caplog.messages if "Using" in text] == [f"{line} {tokens.pop()}, valid for 60 min."]
