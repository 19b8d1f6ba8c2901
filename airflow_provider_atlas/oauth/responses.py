"""Reads the responses of the token endpoints: status, headers and bytes in, an access token or a typed error out.

Pure functions, since any status may come from a proxy with any body: HTML, nothing, half a JSON text. JSON is
recognized by content, as Atlas serves it under ``application/json`` and ``application/vnd.atlas.<date>+json``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow_provider_atlas import exceptions as errors
from airflow_provider_atlas.oauth.retry_after import retry_after, stated_limit
from airflow_provider_atlas.oauth.token import AccessToken

#: Atlas's tokens live for an hour; a lifetime of more than a day is refused. Seconds.
LONGEST_LIFETIME = 86_400
#: The longest text of Atlas's in an error, in characters.
LONGEST_DESCRIPTION = 500

_BY_CODE: dict[tuple[int, str], type[errors.AtlasError]] = {
    (400, "invalid_request"): errors.InvalidRequest,
    (400, "unsupported_grant_type"): errors.UnsupportedGrantType,
    (400, "invalid_grant"): errors.InvalidGrant,
    (403, "access_denied"): errors.AccessDenied,
    (403, "IP_ADDRESS_NOT_ON_ACCESS_LIST"): errors.AccessDenied,
}


def json_object(body: bytes) -> dict[str, Any] | None:
    """The JSON object in ``body``, or ``None`` if there is none."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):  # not JSON, not UTF-8; nested without end
        return None
    return value if isinstance(value, dict) else None


def unwrap(status: int, body: bytes) -> tuple[int, dict[str, Any] | None]:
    """Unwrap a response to ``envelope=true``; the envelope's status is the real one."""
    outer = json_object(body)
    if outer is not None and type(outer.get("status")) is int:
        content = outer.get("content")
        return outer["status"], content if isinstance(content, dict) else {}
    return status, outer


def token_from(body: Mapping[str, Any] | None, issued_at: datetime) -> AccessToken:
    """
    Read the body of a 200 from ``/api/oauth/token``.

    :param issued_at: the clock as it stood before the request.
    :raises UnexpectedResponse: names the field that is not as documented, never its value.
    """
    if body is None:
        raise errors.UnexpectedResponse("The response to a token request is 200 without a JSON object", status=200)
    value, token_type, lifetime = body.get("access_token"), body.get("token_type"), body.get("expires_in")
    if not isinstance(value, str) or not value or not value.isascii() or not value.isprintable() or " " in value:
        raise errors.UnexpectedResponse("The access_token in Atlas's response is missing or not a token", status=200)
    if not isinstance(token_type, str) or token_type.lower() != "bearer":
        raise errors.UnexpectedResponse("The token_type in Atlas's response must be Bearer", status=200)
    if isinstance(lifetime, bool) or not isinstance(lifetime, int | float) or not 0 < lifetime <= LONGEST_LIFETIME:
        raise errors.UnexpectedResponse(
            f"The expires_in in Atlas's response must be a number of seconds from 1 to {LONGEST_LIFETIME}", status=200
        )
    return AccessToken(value, "Bearer", issued_at, issued_at + timedelta(seconds=lifetime))


def error_from(
    status: int,
    headers: Mapping[str, str],
    body: Mapping[str, Any] | None,
    scrub: Callable[[str], str],
) -> errors.AtlasError:
    """
    Read a refusal, in the OAuth shape (``error``, ``error_description``) or the API's (``errorCode``, ``detail``).

    :param scrub: takes secrets out of what the server wrote, which may echo the request.
    :return: the error, to be raised by the caller.
    """
    body = body or {}
    code = words(body.get("errorCode") or body.get("error"), scrub)
    description = words(body.get("detail") or body.get("error_description"), scrub)
    said: dict[str, Any] = {"status": status, "error": code, "description": description}
    if status == 429:
        limit, window = stated_limit(description, body.get("parameters"))
        return errors.RateLimited(retry_after=retry_after(headers), limit=limit, window=window, **said)
    if status == 503:
        return errors.ServiceUnavailable(retry_after=retry_after(headers), **said)
    if status >= 500:
        return errors.ServerError(**said)
    if status == 401:  # with or without a body: the server in front responds with HTML
        return errors.InvalidClient(**said)
    if status == 403 and "token limit" in (description or "").lower():
        return errors.TokenLimitReached(**said)
    if 300 <= status < 400:
        return errors.UnexpectedResponse("The Atlas URL redirects elsewhere, and redirects are not followed", **said)
    return _BY_CODE.get((status, code or ""), errors.UnexpectedResponse)(**said)


def utcnow(clock: Callable[[], float]) -> datetime:
    """An aware UTC time from a clock of epoch seconds."""
    return datetime.fromtimestamp(clock(), UTC)


def words(value: object, scrub: Callable[[str], str], longest: int = LONGEST_DESCRIPTION) -> str | None:
    """What the server wrote: one line, without secrets, cut to ``longest`` characters."""
    if not isinstance(value, str):
        return None
    line = "".join(character if character.isprintable() else " " for character in scrub(value)).strip()
    return line[:longest] or None
