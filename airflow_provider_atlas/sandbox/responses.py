"""Responses with Atlas's status, words and headers: pages of results, OAuth errors, Administration API errors."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import formatdate
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from starlette.responses import Response

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from airflow_provider_atlas.sandbox.requests import AtlasRequest
    from airflow_provider_atlas.sandbox.state import AtlasState

    Handler = Callable[[AtlasState, AtlasRequest], "AtlasResponse"]
    #: Handlers by the template of a path and by method.
    Routes = dict[str, dict[str, Handler]]

OAUTH_ERRORS = {
    "invalid_request": (400, "The provided credentials are not valid."),
    "unsupported_grant_type": (400, "Invalid grant type."),
    "invalid_client": (401, "Invalid credentials provided."),
    "access_denied": (403, "IP access list validation failed for the service account."),
    "server_error": (500, "Unexpected error."),
}
COMMON_HEADERS = {
    "Vary": "Accept-Encoding",
    "Strict-Transport-Security": "max-age=31536000; includeSubdomains;",
    "X-MongoDB-Service-Version": "gitHash=0000000000000000000000000000000000000000; versionString=sandbox",
}
MAX_ITEMS = 500
#: Where the Administration API begins.
ROOT = "/api/atlas/v2"


@dataclass(frozen=True)
class AtlasResponse:
    """
    One response.

    :param status: HTTP status
    :param content: a JSON object or array, a string of HTML, or None for an empty body
    :param headers: headers in addition to those that every response has
    """

    status: int
    content: dict[str, Any] | list[Any] | str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def to_http(self, now: float, *, pretty: bool, envelope: bool) -> Response:
        """Return the HTTP response. An envelope has HTTP status 200 and the real status in its body."""
        status, content = self.status, self.content
        if isinstance(content, str):
            headers = {"Content-Type": "text/html;charset=ISO-8859-1"}
        else:
            headers = {"Content-Type": "application/json"}
            if envelope:
                # A list is its own envelope: Atlas only adds the status.
                if isinstance(content, dict) and "results" in content:
                    content = {**content, "status": status}
                else:
                    content = {"status": status, "content": {} if content is None else content}
                status = 200
            layout: dict[str, Any] = {"indent": 2} if pretty else {"separators": (",", ":")}
            content = "" if content is None else json.dumps(content, **layout)
        # The date is the sandbox's own: clients measure a Retry-After date against it.
        headers["Date"] = formatdate(now, usegmt=True)
        return Response(content, status, {**COMMON_HEADERS, **headers, **self.headers})


def timestamp(seconds: float) -> str:
    return datetime.fromtimestamp(int(seconds), tz=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def challenge() -> dict[str, str]:
    """Return the header that Atlas's front server sends with each 401, although service accounts do not use Digest."""
    digest = 'Digest realm="MMS Public API", domain="", nonce="{}", algorithm=MD5, op="auth", stale=false'
    return {"WWW-Authenticate": digest.format(secrets.token_urlsafe(24))}


def front_unauthorized() -> AtlasResponse:
    """Return the 401 of Atlas's front server. The request does not reach the token endpoint."""
    page = "<html><head><title>401 Unauthorized</title></head><body>Unauthorized</body></html>"
    return AtlasResponse(401, page, challenge())


def oauth_error(error: str, description: str | None = None) -> AtlasResponse:
    status, documented = OAUTH_ERRORS[error]
    content = {"error_description": description or documented, "error": error}
    return AtlasResponse(status, content, challenge() if status == 401 else {})


def api_error(
    status: int,
    code: str,
    detail: str,
    *,
    parameters: Sequence[Any] = (),
    fields: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
) -> AtlasResponse:
    """Return an Administration API error. ``fields`` maps each bad field to what is wrong with it."""
    content: dict[str, Any] = {
        "detail": detail,
        "error": status,
        "errorCode": code,
        "parameters": list(parameters),
        "reason": HTTPStatus(status).phrase,
    }
    if fields:
        bad = [{"field": name, "description": text} for name, text in fields.items()]
        content["badRequestDetail"] = {"fields": bad}
    return AtlasResponse(status, content, {**(headers or {}), **(challenge() if status == 401 else {})})


def page(request: AtlasRequest, total: int, make: Callable[[int], dict[str, Any]]) -> AtlasResponse:
    """
    Return the page of a list that the query names, or a 400. Only its results are made: a list may be very long.

    :param total: how many results the list has
    :param make: makes the result at an index
    """
    query = request.query
    items, items_error = _whole_number(query.get("itemsPerPage", "100"), MAX_ITEMS)
    number, number_error = _whole_number(query.get("pageNum", "1"), None)
    include = query.get("includeCount", "true").lower()
    include_error = "" if include in ("true", "false") else "must be true or false"
    errors = {"itemsPerPage": items_error, "pageNum": number_error, "includeCount": include_error}
    if wrong := {name: error for name, error in errors.items() if error}:
        detail = f"Invalid query parameter {', '.join(wrong)}."
        return api_error(400, "VALIDATION_ERROR", detail, parameters=list(wrong), fields=wrong)

    start = (number - 1) * items
    numbers = {"self": number}
    if number > 1:
        numbers["previous"] = number - 1
    if start + items < total:
        numbers["next"] = number + 1
    url = f"{request.base_url}{request.path}?"
    content: dict[str, Any] = {
        "links": [
            {"rel": rel, "href": url + urlencode({**query, "itemsPerPage": items, "pageNum": linked})}
            for rel, linked in numbers.items()
        ],
        "results": [make(index) for index in range(start, min(start + items, total))],
    }
    return AtlasResponse(200, content | {"totalCount": total} if include == "true" else content)


def _whole_number(text: str, highest: int | None) -> tuple[int, str]:
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
    if number < 1 or (highest and number > highest):
        return 0, f"must be between 1 and {highest}" if highest else "must be greater than or equal to 1"
    return number, ""
