"""What no retry cures reaches Airflow as its own kind; everything survives a trip between processes."""

from __future__ import annotations

import pickle

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_atlas import exceptions
from airflow_provider_atlas.oauth import errors

FINAL = {
    "AccessDenied",
    "CertificateRefused",
    "InvalidCall",
    "InvalidClient",
    "InvalidConnection",
    "InvalidGrant",
    "InvalidRequest",
    "InvalidSealedToken",
    "TokenExpired",
    "UnsupportedGrantType",
}
TYPES = sorted(name for name in exceptions.__all__ if name not in ("airflow_errors", "AtlasApiError"))


@pytest.mark.parametrize("name", TYPES)
def test_each_error_reaches_airflow_as_the_kind_it_is(name):
    original = getattr(errors, name)("Something happened", status=400, error="code", description="words")
    with pytest.raises(errors.AtlasError) as caught, exceptions.airflow_errors():
        raise original
    assert type(caught.value) is getattr(exceptions, name)
    assert isinstance(caught.value, AirflowFailException) is (name in FINAL)
    assert isinstance(caught.value, type(original))
    assert (vars(caught.value), str(caught.value)) == (vars(original), str(original))


def test_every_error_of_the_protocol_has_its_place_here():
    known = {
        name
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and issubclass(kind, errors.AtlasError) and kind is not errors.RetryableAnswer
    }
    assert known == set(TYPES)


def test_twins_are_raised_once():
    with pytest.raises(exceptions.InvalidClient) as caught, exceptions.airflow_errors(), exceptions.airflow_errors():
        raise errors.InvalidClient(status=401)
    assert caught.value.status == 401


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
def test_what_another_release_wrote_otherwise_is_left_out_and_the_error_can_be_printed(name, data):
    error = exceptions.load({"type": name, "summary": "Something happened", "data": data})
    assert str(error).startswith("Something happened")
    assert vars(error) == vars(getattr(exceptions, name)())


@pytest.mark.parametrize("name", TYPES)
def test_each_error_survives_pickling_with_its_data(name):
    error = getattr(exceptions, name)("Something happened", status=400, description="words")
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), vars(again), str(again)) == (type(error), vars(error), str(error))


def test_the_traceback_leads_to_where_it_happened():
    def fail():
        raise errors.InvalidGrant()

    with pytest.raises(exceptions.InvalidGrant) as caught, exceptions.airflow_errors():
        fail()
    assert "fail" in [entry.name for entry in caught.traceback]
