"""The URL and the version of a request to the Administration API: the URL is at Atlas, the version is a date."""

from __future__ import annotations

import re
from urllib.parse import unquote, urlsplit

from airflow_provider_atlas.exceptions import InvalidCall, InvalidConnection
from airflow_provider_atlas.oauth.account import origin

#: Served for every resource of the Administration API (as the newest version not after it).
DEFAULT_API_VERSION = "2025-03-12"

_DATE = re.compile(r"\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])", re.ASCII)


def is_version(text: str) -> bool:
    """Whether a text is a date, as versions of the Administration API are."""
    return _DATE.fullmatch(text) is not None


def media_type(version: str) -> str:
    """
    The ``Accept`` header for a version.

    :param version: date of the Administration API version, ``yyyy-mm-dd``.
    :raises InvalidCall: if it is not a date.
    """
    if not isinstance(version, str) or not is_version(version):
        raise InvalidCall(f"api_version must be a date such as {DEFAULT_API_VERSION}")
    return f"application/vnd.atlas.{version}+json"


def at_atlas(base_url: str, endpoint: str) -> str:
    """
    The absolute URL of an endpoint.

    :param base_url: an origin, as :func:`airflow_provider_atlas.oauth.account.origin` gives it.
    :param endpoint: a path such as ``/api/atlas/v2/groups``, with a query or without, or a URL at the same origin, like
        Atlas's links.
    :raises InvalidCall: if it leads elsewhere, or if another library may read it so.
    """
    if not isinstance(endpoint, str) or not endpoint.isascii() or not endpoint.isprintable() or "\\" in endpoint:
        raise InvalidCall("The endpoint must be a path such as /api/atlas/v2/groups")
    try:
        parts = urlsplit(endpoint)
        here = not (parts.scheme or parts.netloc) or origin(f"{parts.scheme}://{parts.netloc}") == base_url
    except (ValueError, InvalidConnection):
        here = False
    if not here:
        raise InvalidCall("The endpoint must be at the connection's Atlas URL: no token is sent elsewhere")
    if ".." in unquote(unquote(parts.path)).split("/"):
        raise InvalidCall("The endpoint must not have .. in its path")
    path = "/" + parts.path.lstrip("/")
    return f"{base_url}{path}" + (f"?{parts.query}" if parts.query else "")
