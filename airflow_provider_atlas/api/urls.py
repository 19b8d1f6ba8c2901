"""The URL of a request to the Administration API, which must be at Atlas."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from airflow_provider_atlas.exceptions import InvalidCall, InvalidConnection
from airflow_provider_atlas.oauth.base_url import origin

_NAME = re.compile(r"\{([^{}/]*)\}")
_ID = re.compile(r"(?<=/)[0-9a-fA-F]{24}(?=/|$)")
#: Servers and proxies may decode a path more than once.
MOST_DECODINGS = 3
#: An error or a warning shows so many characters of a path, which may be a link of the server's.
LONGEST_PATH = 200


def at_atlas(base_url: str, endpoint: str) -> str:
    """
    The absolute URL of an endpoint.

    :param base_url: an origin, as :func:`airflow_provider_atlas.oauth.base_url.origin` gives it.
    :param endpoint: a path such as ``/api/atlas/v2/groups``, with a query or without, or a URL at the same origin, like
        Atlas's links.
    :raises InvalidCall: if it leads elsewhere, or if another library may read it so.
    """
    if not isinstance(endpoint, str) or not endpoint.isascii() or not endpoint.isprintable() or "\\" in endpoint:
        raise InvalidCall(
            "The endpoint must be a path such as /api/atlas/v2/groups: give names with special characters as path={...}"
        )
    if "#" in endpoint:  # it would be dropped with all that follows, and the request be about something else
        raise InvalidCall("The endpoint must not have a #: give names with special characters as path={...}")
    try:
        parts = urlsplit(endpoint)
        here = not (parts.scheme or parts.netloc) or origin(f"{parts.scheme}://{parts.netloc}") == base_url
    except (ValueError, InvalidConnection):
        here = False
    if not here:
        raise InvalidCall("The endpoint must be at the connection's Atlas URL: no token is sent elsewhere")
    path = parts.path
    for _ in range(MOST_DECODINGS):
        path = unquote(path)
        if _has_control(path):
            raise InvalidCall("The endpoint must not have control characters in its path")
        if any(segment.partition(";")[0] in (".", "..") for segment in re.split(r"[/\\]", path)):
            raise InvalidCall("The endpoint must not have . or .. in its path")
    return f"{base_url}/{parts.path.lstrip('/')}" + (f"?{parts.query}" if parts.query else "")


def fill(template: str, values: Mapping[str, Any] | None) -> str:
    """
    Fill in the names of a path, each value as one segment or a part of one.

    :param template: such as ``/api/atlas/v2/groups/{groupId}``.
    :param values: texts or whole numbers, by name; any character is allowed but control characters.
    :raises InvalidCall: for a value that is missing, not used, empty or of another type.
    """
    values = {} if values is None else values
    if not isinstance(values, Mapping):
        raise InvalidCall("path must be a dictionary of names and values")
    names = _NAME.findall(template) if isinstance(template, str) else []
    if missing := [name for name in names if name not in values]:
        raise InvalidCall(f"The path has names without a value: give path={{{missing[0]!r}: ...}}")
    if unused := [name for name in values if name not in names]:
        raise InvalidCall(f"The endpoint does not have the names {', '.join(map(repr, unused))} that path gives")
    quoted: dict[str, str] = {}
    for name, value in values.items():
        text = ""
        if isinstance(value, str | int) and not isinstance(value, bool):
            # A member of an Enum is its value.
            text = str.__str__(value) if isinstance(value, str) else int.__repr__(value)
        if not text or _has_control(text):
            raise InvalidCall(f"The value of {name!r} in path must be a text without control characters, or a number")
        quoted[name] = quote(text, safe="")
    return _NAME.sub(lambda match: quoted[match[1]], template)


def _has_control(text: str) -> bool:
    # Only one kind of space counts as printable. Nearly every text is, and each request asks.
    return not text.isprintable() and not all(
        character.isprintable() or unicodedata.category(character) == "Zs" for character in text
    )


def query(params: Mapping[str, Any] | None) -> dict[str, Any]:
    """
    Query parameters as Atlas reads them: ``true`` and ``false``, times in ISO 8601, a list as one parameter for each.

    :raises InvalidCall: for a value of another type.
    """
    params = {} if params is None else params
    if not isinstance(params, Mapping):
        raise InvalidCall("params must be a dictionary of names and values")
    return {
        name: [_value(name, item) for item in value]
        if isinstance(value, list | tuple | set | frozenset)
        else _value(name, value)
        for name, value in params.items()
        if value is not None
    }


def _value(name: str, value: Any) -> str | int | float:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        moment = value if value.tzinfo else value.replace(tzinfo=UTC)
        return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, str | int | float):
        return value
    raise InvalidCall(f"The query parameter {name!r} must be a text, a number, a boolean, a time or a list of these")


def shown(endpoint: str) -> str:
    """An endpoint for an error or a log line: without host and query, and without ids."""
    path = _ID.sub("{id}", urlsplit(endpoint).path)
    return "".join(character if character.isprintable() else "?" for character in path)[:LONGEST_PATH]
