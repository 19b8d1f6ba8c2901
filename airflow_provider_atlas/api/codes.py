"""Reads refusals of the Administration API, and what their codes mean."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from airflow_provider_atlas.exceptions import AtlasApiError
from airflow_provider_atlas.oauth.responses import json_object, words

if TYPE_CHECKING:
    import requests


#: So many bad fields and parameters of a refusal are kept.
MOST = 20


def api_error(
    status: int,
    body: Mapping[str, Any] | None,
    scrub: Callable[[str], str],
    retry_after: float | None = None,
) -> AtlasApiError:
    """
    Read a refusal. Fields that are missing, empty or of another type are left out.

    :param scrub: takes secrets out of what the server wrote.
    """
    body = body or {}
    bad = body.get("badRequestDetail")
    fields = bad.get("fields") if isinstance(bad, dict) else None
    parameters = body.get("parameters")
    return AtlasApiError(
        status=status,
        error_code=words(body.get("errorCode"), scrub),
        detail=words(body.get("detail"), scrub),
        reason=words(body.get("reason"), scrub),
        parameters=[
            words(value, scrub) if isinstance(value, str) else value
            for value in (parameters[:MOST] if isinstance(parameters, list) else ())
            if isinstance(value, str | int | float)
        ],
        fields=[
            (words(field.get("field"), scrub) or "?", words(field.get("description"), scrub) or "?")
            for field in (fields[:MOST] if isinstance(fields, list) else ())
            if isinstance(field, dict)
        ],
        retry_after=retry_after,
    )


def refuses_token(response: requests.Response) -> bool:
    """Whether a 401 may be about the token. With this code it is about rights, which no other token has either."""
    return response.status_code == 401 and (json_object(response.content) or {}).get("errorCode") != "USER_UNAUTHORIZED"
