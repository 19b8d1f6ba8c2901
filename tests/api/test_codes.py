"""Errors for refusals quote Atlas and name a remedy, whatever the body contains."""

from __future__ import annotations

import pytest

from airflow_provider_atlas.api.codes import api_error
from airflow_provider_atlas.exceptions import AtlasApiError


def body(**fields):
    return {"error": 400, "errorCode": "CODE", "detail": "Details.", "reason": "Reason", "parameters": [], **fields}


def test_an_error_has_every_part_of_the_body():
    fields = [{"field": "itemsPerPage", "description": "must be less than 501"}]
    error = api_error(400, body(parameters=["a", 1], badRequestDetail={"fields": fields}), str)
    assert (error.status, error.error_code, error.detail, error.reason) == (400, "CODE", "Details.", "Reason")
    assert error.parameters == ("a", 1)
    assert error.fields == (("itemsPerPage", "must be less than 501"),)
    assert "(HTTP 400 CODE: Details.). Correct itemsPerPage: must be less than 501." in str(error)


@pytest.mark.parametrize(
    ("status", "fields", "remedy"),
    [
        (401, {"errorCode": "USER_UNAUTHORIZED"}, "role is missing"),
        (403, {"errorCode": "IP_ADDRESS_NOT_ON_ACCESS_LIST", "parameters": ["192.0.2.7"]}, "Add 192.0.2.7 to"),
        (403, {"errorCode": "IP_ADDRESS_NOT_ON_ACCESS_LIST"}, "Add this machine's address to"),
        (403, {}, "a role that allows this"),
        (406, {}, "api_version"),
        (410, {}, "later date"),
        (404, {}, "Details.)."),
    ],
)
def test_an_error_names_the_remedy_if_there_is_one(status, fields, remedy):
    assert remedy in str(api_error(status, body(**fields), str))


@pytest.mark.parametrize(
    "invalid",
    [
        None,
        {},
        {"errorCode": "", "detail": None, "reason": 7, "parameters": "x", "badRequestDetail": []},
        {"errorCode": ["x"], "parameters": [None, {}], "badRequestDetail": {"fields": "x"}},
        {"badRequestDetail": {"fields": [None, 7]}},
    ],
)
def test_missing_empty_and_invalid_fields_are_left_out(invalid):
    error = api_error(418, invalid, str)
    assert (error.status, error.error_code, error.parameters, error.fields) == (418, None, (), ())
    assert str(error) == "The Atlas Administration API refused the request (HTTP 418)." or error.detail is None


def test_fields_without_a_name_are_still_reported():
    error = api_error(400, {"badRequestDetail": {"fields": [{"field": None, "description": 3}]}}, str)
    assert error.fields == (("?", "?"),)


def test_every_part_of_the_body_is_scrubbed():
    fields = [{"field": "secret", "description": "secret"}]
    error = api_error(
        400,
        body(
            errorCode="secret",
            detail="secret",
            reason="secret",
            parameters=["secret"],
            badRequestDetail={"fields": fields},
        ),
        lambda text: text.replace("secret", "***"),
    )
    assert "secret" not in str(error) + repr(vars(error))


def test_an_error_survives_pickling():
    import pickle

    error = AtlasApiError(status=406, error_code="X", parameters=["a"])
    again = pickle.loads(pickle.dumps(error))
    assert (vars(again), str(again)) == (vars(error), str(error))
