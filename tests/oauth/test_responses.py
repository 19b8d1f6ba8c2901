"""Any status with any body becomes a token or a typed error. The error quotes Atlas and holds no secret."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta

import pytest

from airflow_provider_atlas import exceptions as errors
from airflow_provider_atlas.oauth.responses import LONGEST_DESCRIPTION, error_from, json_object, token_from, unwrap
from tests.conftest import CLIENT_SECRET, TOKEN

NOW = datetime(2027, 1, 1, tzinfo=UTC)
LIMIT_TEXT = "Resource /api/oauth/token is limited to 10 requests every 1 minutes."
CAP_TEXT = "Access Token limit reached. Please revoke an existing access token."


def oauth(error: str, description: str) -> dict[str, object]:
    return {"error": error, "error_description": description}


def api(status: int, code: str, detail: str, parameters: list[object] | None = None) -> dict[str, object]:
    return {"error": status, "errorCode": code, "detail": detail, "reason": "?", "parameters": parameters or []}


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, oauth("invalid_request", "The provided credentials are not valid."), errors.InvalidRequest),
        (400, oauth("unsupported_grant_type", "Invalid grant type."), errors.UnsupportedGrantType),
        (400, oauth("invalid_grant", "Invalid grant."), errors.InvalidGrant),
        (401, oauth("invalid_client", "Invalid credentials provided."), errors.InvalidClient),
        (401, api(401, "UNAUTHORIZED", "You are not authorized."), errors.InvalidClient),
        (401, None, errors.InvalidClient),
        (403, oauth("access_denied", "IP access list validation failed."), errors.AccessDenied),
        (403, api(403, "IP_ADDRESS_NOT_ON_ACCESS_LIST", "IP address 1.2.3.4 is not allowed."), errors.AccessDenied),
        (403, oauth("access_denied", CAP_TEXT), errors.TokenLimitReached),
        (403, api(403, "ACCESS_TOKEN_LIMIT", CAP_TEXT), errors.TokenLimitReached),
        (403, None, errors.UnexpectedResponse),
        (429, oauth("rate_limited", LIMIT_TEXT), errors.RateLimited),
        (429, api(429, "RATE_LIMITED", LIMIT_TEXT, ["/api/oauth/token", 10, 1]), errors.RateLimited),
        (429, None, errors.RateLimited),
        (500, oauth("server_error", "Unexpected error."), errors.ServerError),
        (502, None, errors.ServerError),
        (503, None, errors.ServiceUnavailable),
        (302, None, errors.UnexpectedResponse),
        (400, None, errors.UnexpectedResponse),
        (404, api(404, "NOT_FOUND", "?"), errors.UnexpectedResponse),
        (418, {"error": None, "errorCode": ["x"], "detail": 7}, errors.UnexpectedResponse),
    ],
)
def test_each_documented_status_and_code_becomes_its_own_error_type(status, body, kind):
    error = error_from(status, {}, body, str)
    assert type(error) is kind
    assert error.status == status


@pytest.mark.parametrize(
    "body", [oauth("rate_limited", LIMIT_TEXT), api(429, "RATE_LIMITED", LIMIT_TEXT, ["/t", 10, 1])]
)
def test_a_rate_limit_error_has_retry_after_limit_and_window_in_both_body_formats(body):
    error = error_from(429, {"Retry-After": "31"}, body, str)
    assert (error.retry_after, error.limit, error.window) == (31.0, 10, 60.0)
    assert error.description == LIMIT_TEXT


def test_an_error_message_has_status_code_description_and_remedy():
    error = error_from(401, {}, oauth("invalid_client", "Invalid credentials provided"), str)
    assert str(error).startswith(
        "Atlas does not accept this client id and secret (HTTP 401 invalid_client: Invalid credentials provided)."
    )
    assert "Client secret of the connection" in str(error)


def test_a_description_from_the_server_is_scrubbed_shortened_and_put_on_one_line(account, says_nothing):
    echo = f"bad\n{CLIENT_SECRET} {TOKEN}\x1b[31m \ud800" + "x" * 1000
    error = error_from(400, {}, oauth(CLIENT_SECRET, echo), lambda text: account.scrub(text, TOKEN))
    assert error.description.startswith("bad *** ***")
    assert len(error.description) == LONGEST_DESCRIPTION
    assert error.description.isprintable()
    says_nothing(error)


@pytest.mark.parametrize("token_type", ["Bearer", "bearer", "BEARER"])
def test_a_token_response_becomes_a_token(token_type):
    token = token_from({"access_token": TOKEN, "expires_in": 3600, "token_type": token_type}, NOW)
    assert (token.value, token.token_type) == (TOKEN, "Bearer")
    assert (token.issued_at, token.expires_at) == (NOW, NOW + timedelta(hours=1))


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("access_token", [None, "", 7, [TOKEN], "two words", "line\nbreak", "caf\u00e9", "\ud800"]),
        ("expires_in", [None, 0, -1, "3600", math.nan, math.inf, True, 365 * 86_400]),
        ("token_type", [None, "", "MAC", 7]),
    ],
)
def test_an_error_for_an_invalid_field_names_it_and_does_not_quote_its_value(field, values, says_nothing):
    for value in values:
        body = {"access_token": TOKEN, "expires_in": 3600, "token_type": "Bearer", field: value}
        with pytest.raises(errors.UnexpectedResponse, match=field) as caught:
            token_from(body, NOW)
        says_nothing(caught.value)
        del body[field]
        with pytest.raises(errors.UnexpectedResponse, match=field):
            token_from(body, NOW)


@pytest.mark.parametrize("body", [b"", b"<html>", b"{", b"[]", b'"x"', b"\xff\xfe", b"[" * 100_000, b"9" * 5000])
def test_a_body_that_is_not_a_json_object_is_read_as_none(body):
    assert json_object(body) is None
    with pytest.raises(errors.UnexpectedResponse):
        token_from(None, NOW)


@pytest.mark.parametrize(
    ("outer", "expected"),
    [
        ({"status": 401, "content": {"error": "invalid_client"}}, (401, {"error": "invalid_client"})),
        ({"status": 200, "content": {}}, (200, {})),
        ({"status": 200}, (200, {})),
        ({"status": 200, "content": None}, (200, {})),
        ({"access_token": "x"}, (299, {"access_token": "x"})),
        ({"status": "200", "content": {}}, (299, {"status": "200", "content": {}})),
        ({"status": True}, (299, {"status": True})),
    ],
)
def test_an_envelope_is_unwrapped_and_its_status_replaces_the_http_status(outer, expected):
    assert unwrap(299, json.dumps(outer).encode()) == expected
