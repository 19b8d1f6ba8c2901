"""Calls to the Administration API as a DAG author writes them: decoded bodies, or errors with a remedy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from json import loads
from typing import TYPE_CHECKING, Any

from airflow_provider_atlas.api.codes import api_error
from airflow_provider_atlas.api.limits import limit_of
from airflow_provider_atlas.api.version import media_type
from airflow_provider_atlas.exceptions import AtlasApiError
from airflow_provider_atlas.oauth.failures import ask
from airflow_provider_atlas.oauth.responses import json_object

if TYPE_CHECKING:
    from airflow_provider_atlas.api.session import AtlasSession

#: Results in a page. It is the most that Atlas allows: fewer requests count against the rate limit.
LARGEST_PAGE = 500
#: The longest link to a next page; characters.
LONGEST_LINK = 8_000


def run(
    session: AtlasSession,
    endpoint: str,
    *,
    method: str = "GET",
    json: Any = None,
    params: Mapping[str, Any] | None = None,
    api_version: str | None = None,
) -> Any:
    """
    Make a request and decode its response; see :meth:`AtlasServiceAccountHook.run`.

    :raises AtlasApiError: for every status that is not a success, and for a response that is not JSON.
    """
    headers = {"Accept": media_type(api_version)} if api_version is not None else None
    response = ask(
        lambda: session.request(method, endpoint, json=json, params=params, headers=headers), session.transport
    )
    if not 200 <= response.status_code < 300:  # a redirect to nowhere must not count as success
        limit = limit_of(response)
        wait = None if limit is None else limit.retry_after
        raise api_error(response.status_code, json_object(response.content), session.scrub, wait)
    if not response.content:
        return None
    try:
        return loads(response.content)  # `response.json` uses any codec that the server names, however slow
    except (ValueError, RecursionError):
        pass
    raise AtlasApiError("The response of the Administration API is not JSON", status=response.status_code)


def paginate(
    session: AtlasSession,
    endpoint: str,
    *,
    params: Mapping[str, Any] | None = None,
    api_version: str | None = None,
) -> Iterator[Any]:
    """Yield the results of all pages, one page in memory at a time; see :meth:`AtlasServiceAccountHook.paginate`."""
    following: str | None = endpoint
    asked: Mapping[str, Any] | None = {"itemsPerPage": LARGEST_PAGE, **(params or {})}
    # Brent's cycle detection: one link is remembered, however many there are.
    remembered, pages, power = endpoint, 0, 1
    while following is not None:
        page = run(session, following, params=asked, api_version=api_version)
        results = page.get("results") if isinstance(page, dict) else None
        if not isinstance(results, list):
            raise AtlasApiError("The response of the Administration API is not a page of results", status=200)
        yield from results
        following, asked = _next(page), None  # the link holds the parameters
        if following == remembered:
            raise AtlasApiError("The pages of the Administration API lead back to one that was read before", status=200)
        pages += 1
        if following is not None and pages == power:
            remembered, pages, power = following, 0, power * 2


def _next(page: Mapping[str, Any]) -> str | None:
    links = page.get("links")
    for link in links if isinstance(links, list) else ():
        if isinstance(link, dict) and link.get("rel") == "next":
            if isinstance(link.get("href"), str) and len(link["href"]) <= LONGEST_LINK:
                return str(link["href"])
            raise AtlasApiError("The link to the next page of the Administration API has no valid href", status=200)
    return None
