"""An error that no retry can fix is an AirflowFailException. Every error survives pickling."""

from __future__ import annotations

import pickle

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_atlas import exceptions
from airflow_provider_atlas.exceptions import AtlasError
from airflow_provider_atlas.triggers.events import failure, load

FINAL = {
    "AccessDenied",
    "AtlasJobFailed",
    "CertificateRefused",
    "ClientSecretsInUse",
    "RotatedElsewhere",
    "InvalidCall",
    "InvalidClient",
    "InvalidConnection",
    "InvalidGrant",
    "InvalidRequest",
    "InvalidSealedToken",
    "TokenExpired",
    "UnsupportedGrantType",
}
#: Every error type that is raised, by name.
ERRORS = {
    name: kind
    for name, kind in vars(exceptions).items()
    if isinstance(kind, type) and issubclass(kind, AtlasError) and name != "RetryableResponse"
}
TYPES = sorted(set(ERRORS) - {"AtlasApiError", "AtlasChangeRefused"})


def test_every_final_type_exists():
    assert set(TYPES) > FINAL


@pytest.mark.parametrize("name", TYPES)
def test_an_error_fails_the_task_at_once_if_no_retry_can_fix_it(name):
    error = getattr(exceptions, name)("Something happened", status=400, error="code", description="words")
    assert isinstance(error, AirflowFailException) is (name in FINAL)
    assert str(error).startswith("Something happened (HTTP 400 code: words).")


@pytest.mark.parametrize(
    "data",
    [
        {"waited": "long"},
        {"retry_after": "soon"},
        {"retry_after": 10**400},
        {"description": [1]},
        {"status": {}},
        {"fields": [1]},
        {"fields": 1},
        {"parameters": 1},
    ],
)
@pytest.mark.parametrize("name", ["RateLimited", "AtlasApiError"])
def test_invalid_data_from_another_release_is_left_out_and_the_error_can_be_printed(name, data):
    error = load({"type": name, "summary": "Something happened", "data": data})
    assert str(error).startswith("Something happened")
    assert vars(error) == vars(getattr(exceptions, name)())


@pytest.mark.parametrize("name", TYPES)
def test_each_error_survives_pickling_with_its_data(name):
    error = getattr(exceptions, name)("Something happened", status=400, description="words")
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), vars(again), str(again)) == (type(error), vars(error), str(error))


def test_a_job_s_error_carries_its_state_its_seconds_and_atlas_s_words_through_an_event():
    error = exceptions.AtlasJobFailed("The export failed", state="state Failed", description="no such bucket")
    error.waited = 35.0
    again = load(failure(error)["error"])
    assert (type(again), again.state, again.seconds) == (exceptions.AtlasJobFailed, "state Failed", 35.0)
    assert str(again) == "The export failed (no such bucket). Waited 35 s in all. Clear the task to request it again."


def test_a_refused_change_fails_the_task_at_once_and_keeps_its_code_in_an_event():
    error = exceptions.AtlasChangeRefused(status=409, error_code="CANNOT_PAUSE_NVME_CLUSTER", remedy="Scale it down.")
    again = load(failure(error)["error"])
    assert isinstance(again, AirflowFailException)
    assert (again.error_code, again.remedy) == ("CANNOT_PAUSE_NVME_CLUSTER", "Scale it down.")
