"""Atlas's answers in Atlas's words: the pages for generating and revoking a token, and the API's error object."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

OAUTH_ERRORS = {
    "invalid_request": (400, "The provided credentials are not valid."),
    "unsupported_grant_type": (400, "Invalid grant type."),
    "invalid_client": (401, "Invalid credentials provided."),
    "access_denied": (403, "IP access list validation failed for the service account."),
    "server_error": (500, "Unexpected error."),
}
CAP_REACHED = "Access Token limit reached. Revoke an access token or wait until one expires."


@dataclass(frozen=True)
class Answer:
    """
    What the sandbox answers.

    :param status: HTTP status
    :param content: a JSON object, a text of HTML, or None for an empty body
    :param headers: headers beside those that every answer has
    """

    status: int
    content: dict[str, Any] | str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


def challenge() -> dict[str, str]:
    """Return the header that Atlas's front sends with a 401, even to those who know no Digest."""
    nonce = secrets.token_urlsafe(24)
    scheme = f'Digest realm="MMS Public API", domain="", nonce="{nonce}", algorithm=MD5, op="auth", stale=false'
    return {"WWW-Authenticate": scheme}


def front_unauthorized() -> Answer:
    """Return the 401 of the server in front, which answers before the token endpoint could."""
    page = "<html><head><title>401 Unauthorized</title></head><body>Unauthorized</body></html>"
    return Answer(401, page, challenge())


def oauth_error(error: str, description: str | None = None) -> Answer:
    status, documented = OAUTH_ERRORS[error]
    content = {"error_description": description or documented, "error": error}
    return Answer(status, content, challenge() if status == 401 else {})


def api_error(
    status: int,
    code: str,
    detail: str,
    *,
    parameters: Sequence[Any] = (),
    fields: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """Return the Administration API's error; ``fields`` are the bad ones with what is wrong about them."""
    content: dict[str, Any] = {
        "detail": detail,
        "error": status,
        "errorCode": code,
        "parameters": list(parameters),
        "reason": HTTPStatus(status).phrase,
    }
    if fields:
        bad = [{"field": name, "description": description} for name, description in fields.items()]
        content["badRequestDetail"] = {"fields": bad}
    return Answer(status, content, {**(headers or {}), **(challenge() if status == 401 else {})})
