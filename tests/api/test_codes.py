"""Errors for refusals quote Atlas and name a remedy, whatever the body contains."""

from __future__ import annotations

import json

import pytest
import requests

from airflow_provider_atlas.api.codes import api_error, meaning, refuses_token
from airflow_provider_atlas.exceptions import AtlasApiError


def body(**fields):
    return {"error": 400, "errorCode": "CODE", "detail": "Details.", "reason": "Reason", "parameters": [], **fields}


def test_an_error_has_every_part_of_the_body():
    fields = [{"field": "itemsPerPage", "description": "must be less than 501"}]
    error = api_error(400, body(parameters=["a", 1], badRequestDetail={"fields": fields}), str)
    assert (error.status, error.error_code, error.detail, error.reason) == (400, "CODE", "Details.", "Reason")
    assert error.parameters == ("a", 1)
    assert error.fields == (("itemsPerPage", "must be less than 501"),)
    text = "Atlas refused with CODE: Details (HTTP 400). Correct itemsPerPage: must be less than 501."
    assert str(error) == text


def test_a_refusal_begins_with_its_cause_and_names_method_and_path():
    error = api_error(400, body(), str, method="GET", path="/api/atlas/v2/groups/{groupId}/clusters/{clusterName}")
    assert str(error).startswith(
        "Atlas refused with CODE: Details (HTTP 400, GET /api/atlas/v2/groups/{groupId}/clusters/{clusterName})."
    )


@pytest.mark.parametrize(
    ("status", "fields", "remedy"),
    [
        (401, {"errorCode": "USER_UNAUTHORIZED"}, "role is missing"),
        (403, {"errorCode": "IP_ADDRESS_NOT_ON_ACCESS_LIST", "parameters": ["192.0.2.7"]}, "Add 192.0.2.7 to"),
        (403, {"errorCode": "IP_ADDRESS_NOT_ON_ACCESS_LIST"}, "Add this machine's address to"),
        (403, {}, "a role that allows this"),
        (406, {}, "api_version"),
        (410, {}, "later date"),
        (404, {}, "Details (HTTP 404)."),
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


PASSING = [
    "OPERATION_INVALID_MEMBER_REPLICATION_LAG",
    "CANNOT_PAUSE_RECENTLY_RESUMED_CLUSTER",
    "CANNOT_PAUSE_CLUSTER_WITH_PENDING_CHANGES",
    "CLUSTER_RESTART_IN_PROGRESS",
    "CLUSTER_RESTORE_IN_PROGRESS_CANNOT_UPDATE",
    "ATLAS_CLUSTER_RESTORE_IN_PROGRESS",
    "UNFINISHED_ON_DEMAND_SNAPSHOT",
    "CANNOT_START_RESTORE_JOB_FOR_INCOMPLETE_CLUSTER_SNAPSHOT",
    "TENANT_RESTORE_DESTINATION_UNAVAILABLE",
    "CANNOT_MODIFY_CLUSTER_WITH_RUNNING_LIVE_IMPORT",
    "CANNOT_PERFORM_RESTORE_ON_CLUSTER_WITH_RUNNING_LIVE_IMPORT",
    "WRITES_NOT_ALLOWED_DURING_APP_UPGRADES",
    "OUT_OF_CAPACITY",
    "NO_CAPACITY",
]
ALREADY = ["CLUSTER_ALREADY_PAUSED", "CLUSTER_ALREADY_REQUESTED_DELETION", "ATLAS_FTS_DUPLICATE_INDEX"]
FINAL = [
    "CANNOT_UPDATE_PAUSED_CLUSTER",
    "CANNOT_UPDATE_AND_PAUSE_CLUSTER",
    "CANNOT_PAUSE_NVME_CLUSTER",
    "TENANT_CLUSTER_UPDATE_UNSUPPORTED",
    "CLUSTER_PAUSED_CANNOT_RESTORE",
    "CANNOT_RESTORE_TO_TARGET",
    "NO_CHECKPOINT_FOR_PIT_RESTORE",
    "SNAPSHOT_RETENTION_LESS_THAN_BACKUP_COMPLIANCE_POLICY",
    "CANNOT_CANCEL_AUTOMATED_RESTORE",
    "CANNOT_DECREASE_DISK_SIZE",
    "ACCOUNT_SUSPENDED",
    "NO_PAYMENT_INFORMATION_FOUND",
]


@pytest.mark.parametrize("method", ["PATCH", "POST"])
@pytest.mark.parametrize(
    ("code", "meaning"),
    [
        *((code, "passes") for code in PASSING),
        *((code, "already so") for code in ALREADY),
        *((code, "final") for code in FINAL),
    ],
)
def test_the_error_of_a_refused_change_says_which_of_the_three_it_is_and_what_to_do(
    hook, atlas_sandbox, code, meaning, method
):
    atlas_sandbox.refuse_next(code)
    with pytest.raises(AtlasApiError, match=code) as caught:
        hook.run("/api/atlas/v2/groups/{groupId}", method, path={"groupId": "0" * 24}, json={})
    assert (caught.value.meaning, caught.value.unknown_effect) == (meaning, False)
    assert caught.value.remedy
    assert (caught.value.method, caught.value.path) == (method, "/api/atlas/v2/groups/{groupId}")
    assert atlas_sandbox.counters.api_requests == 1


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (400, None, "final"),
        (404, "CLUSTER_NOT_FOUND", "final"),
        (409, "SOMETHING_ELSE", "final"),
        (429, None, "passes"),
        (500, "UNEXPECTED_ERROR", "passes"),
        (502, None, "passes"),
        (503, None, "passes"),
        (501, None, "final"),
    ],
)
def test_a_code_that_is_not_listed_leaves_it_to_the_status(status, code, expected):
    assert meaning(status, code) == expected


@pytest.mark.parametrize(
    ("accept", "remedy"),
    [
        ("application/vnd.atlas.2025-03-12+json", "accept='gzip' or accept='csv'"),
        ("application/vnd.atlas.2025-03-12+gzip", "accept='json'"),
    ],
)
def test_the_remedy_of_a_406_fits_what_was_asked_for(accept, remedy):
    error = api_error(406, {}, str, accept=accept)
    assert accept in str(error)
    assert remedy in str(error)
    assert "preview" in str(error)


@pytest.mark.parametrize(
    ("retry_after", "remedy"),
    [(90.4, "Allow a longer max_wait: Atlas asks for 90 s."), (None, "Allow a longer max_wait.")],
)
def test_the_remedy_of_a_429_says_for_how_long(retry_after, remedy):
    assert str(api_error(429, {}, str, retry_after)).endswith(f"(HTTP 429). {remedy}")


RIGHTS = [
    "USER_UNAUTHORIZED",
    "USER_CANNOT_ACCESS_GROUP",
    "USER_CANNOT_ACCESS_ORG",
    "NOT_IN_GROUP",
    "NOT_ORG_GROUP_CREATOR",
    "NOT_ORG_OWNER",
    "NOT_ORG_USER_ADMIN",
    "NOT_GROUP_USER_ADMIN",
]


def refusal(body):
    response = requests.Response()
    response.status_code, response._content = 401, body
    return response


@pytest.mark.parametrize("code", RIGHTS)
def test_a_401_about_rights_is_not_about_the_token(code):
    assert not refuses_token(refusal(json.dumps({"errorCode": code}).encode()), set())


@pytest.mark.parametrize("body", [b"", b"<html>", b"{", b"[]"])
def test_a_401_without_a_json_object_is_always_about_the_token(body):
    met = set()
    assert refuses_token(refusal(body), met)
    assert refuses_token(refusal(body), met)
    assert met == set()


@pytest.mark.parametrize("body", [b'{"errorCode": "NEW_CODE"}', b'{"errorCode": ""}', b"{}", b'{"errorCode": 7}'])
def test_a_code_that_a_second_token_meets_as_well_is_about_rights_from_then_on(body):
    met = set()
    assert refuses_token(refusal(body), met)
    assert not refuses_token(refusal(body), met)
    assert not refuses_token(refusal(body), set())
    assert refuses_token(refusal(b'{"errorCode": "ANOTHER"}'), set())
