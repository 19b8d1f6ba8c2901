"""The URL of a request to the Administration API, which must be at Atlas."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

from airflow_provider_atlas.exceptions import InvalidCall, InvalidConnection
from airflow_provider_atlas.oauth.base_url import origin


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
