"""Calls to the Administration API as a DAG author writes them: decoded bodies, or errors with a remedy."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from json import loads
from typing import TYPE_CHECKING, Any

from airflow_provider_atlas.api.codes import KNOWN, api_error
from airflow_provider_atlas.api.obstacles import READS, limit_of
from airflow_provider_atlas.api.urls import fill, query, shown
from airflow_provider_atlas.exceptions import AtlasApiError, InvalidCall, ServerError
from airflow_provider_atlas.oauth.failures import ask
from airflow_provider_atlas.oauth.responses import words
from airflow_provider_atlas.oauth.retry_after import Backoff, describe, retry_after

if TYPE_CHECKING:
    import requests

    from airflow_provider_atlas.api.session import AtlasSession

log = logging.getLogger(__name__)

#: Atlas's response to a report that is not ready (RFC 2518, 10.1, which allows it in other places only).
PROCESSING = 102
#: Results in a page. It is the most that Atlas allows: fewer requests count against the rate limit.
LARGEST_PAGE = 500
#: The longest link to a next page; characters.
LONGEST_LINK = 8_000
#: An error names so many lists of a response.
MOST_LISTS = 10


def run(
    session: AtlasSession,
    endpoint: str,
    method: str = "GET",
    *,
    path: Mapping[str, Any] | None = None,
    json: Any = None,
    params: Mapping[str, Any] | None = None,
    api_version: str | None = None,
    accept: str = "json",
) -> Any:
    """
    Make a request and decode its response; see :meth:`AtlasServiceAccountHook.run`.

    :raises AtlasApiError: for every status that is not a success, and for a response that is not what it says.
    """
    if not isinstance(method, str) or not isinstance(endpoint, str):
        raise InvalidCall("Endpoint and method must be texts")
    method, url, asked = method.upper(), fill(endpoint, path), query(params)
    media = session.media_type(api_version, accept)
    reads, label = method in READS, shown(endpoint)
    deadline, backoff = time.monotonic() + session.max_wait, Backoff()
    while True:
        left = max(deadline - time.monotonic(), 0.0)
        response = ask(
            lambda left=left: session.request(  # type: ignore[misc]
                method, url, json=json, params=asked, headers={"Accept": media}, max_wait=left
            ),
            session.transport,
            changes=not reads,
        )
        try:
            status, body = _unwrapped(response)
        except (ValueError, RecursionError) as error:
            status, body, form = response.status_code, None, "UTF-8" if isinstance(error, UnicodeError) else "JSON"
        else:
            if 200 <= status < 300 or status == PROCESSING:
                return body
        if not 200 <= status < 300:  # a redirect to nowhere must not count as success
            raise refusal(session, response, status, body, method=method, path=label, media=media)
        broken = ServerError("The response of the Administration API is broken", status=status)
        wait = backoff.seconds(broken) if reads else None
        if wait is None or time.monotonic() + wait > deadline:
            unread = AtlasApiError(
                f"The response to {method} {label} is not {form}", status=status, method=method, path=label
            )
            unread.unknown_effect = not reads
            raise unread
        log.info("%s", describe(broken, wait))
        time.sleep(wait)


def refusal(
    session: AtlasSession, response: requests.Response, status: int, body: Any, *, method: str, path: str, media: str
) -> AtlasApiError:
    """Read a refusal: what Atlas said, when to retry, and whether a change may have been made."""
    limit = limit_of(response)
    error = api_error(
        status,
        body if isinstance(body, dict) else None,
        session.scrub,
        retry_after(response.headers) if limit is None else limit.retry_after,
        method=method,
        path=path,
        accept=media,
    )
    error.unknown_effect = method not in READS and status >= 500 and error.error_code not in KNOWN
    return error


def _unwrapped(response: requests.Response) -> tuple[int, Any]:
    """Status and decoded body; both from the envelope, if one was asked for. A list is its own envelope."""
    body = _decoded(response)
    if isinstance(body, dict) and type(body.get("status")) is int and "envelope=true" in response.url.lower():
        return body["status"], body.get("content", body)
    return response.status_code, body


def _decoded(response: requests.Response) -> Any:
    """The body as its type says: JSON decoded, a table as a text, a file as bytes; ``None`` for an empty one."""
    if not response.content:
        return None
    kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if kind.endswith("csv"):
        return response.content.decode()
    if kind.endswith(("gzip", "octet-stream")):
        return response.content
    return loads(response.content)  # `response.json` uses any codec that the server names, however slow


def paginate(
    session: AtlasSession,
    endpoint: str,
    *,
    path: Mapping[str, Any] | None = None,
    params: Mapping[str, Any] | None = None,
    json: Any = None,
    api_version: str | None = None,
    items: str | None = None,
) -> Iterator[Any]:
    """Yield the items of all pages, one page in memory at a time; see :meth:`AtlasServiceAccountHook.paginate`."""
    label, following = endpoint, fill(endpoint, path)
    own = items is not None or "itemsPerPage" in (params or {}) or "itemsPerPage=" in following
    size = {} if own else {"itemsPerPage": LARGEST_PAGE}
    asked: Mapping[str, Any] | None = {**size, **(params or {})}
    # Brent's cycle detection: one link is remembered, however many there are.
    remembered, pages, power = following, 0, 1
    before: list[Any] = []  # the last page, of a list that goes on by number
    while True:
        try:
            page = run(session, following, json=json, params=asked, api_version=api_version)
        except AtlasApiError as error:
            error.path = shown(label)
            if not (asked and size and _refuses_page_size(error)):
                raise
            size, asked = {}, params
            continue
        found = _items(page, items, label)
        if found and found == before:
            raise _leads_back()
        yield from found
        link = _next(page) if isinstance(page, dict) else None
        if link is None:
            # A list without links goes on by number, which is known if its page size is.
            if not asked or not isinstance(page, dict) or "links" in page:
                return
            if str(len(found)) != str(asked.get("itemsPerPage")):
                return
            before, asked = found, {**asked, "pageNum": int(asked.get("pageNum", 1)) + 1}
            continue
        following, asked = link, None  # the link holds the parameters
        if following == remembered:
            raise _leads_back()
        pages += 1
        if pages == power:
            remembered, pages, power = following, 0, power * 2


def _leads_back() -> AtlasApiError:
    return AtlasApiError("The pages of the Administration API lead back to one that was read before", status=200)


def _refuses_page_size(error: AtlasApiError) -> bool:
    """Whether Atlas does not know ``itemsPerPage`` here: lists that have one page only."""
    return error.status == 400 and "itemsPerPage" in " ".join(map(str, (error.detail, *error.parameters)))


def _items(page: Any, name: str | None, endpoint: str) -> list[Any]:
    found = page if isinstance(page, list) and name is None else None
    if isinstance(page, dict):
        found = page.get(name or "results")
    if isinstance(found, list):
        return found
    lists = [key for key, value in page.items() if isinstance(value, list)] if isinstance(page, dict) else []
    names = ", ".join(words(key, str, 40) or "?" for key in lists[:MOST_LISTS] if key != "links")
    raise AtlasApiError(
        f"The response to GET {shown(endpoint)} is not a list of {name or 'results'}",
        status=200,
        remedy=f"Name one of its lists as items: {names}." if names else "",
    )


def _next(page: Mapping[str, Any]) -> str | None:
    links = page.get("links")
    for link in links if isinstance(links, list) else ():
        if isinstance(link, dict) and link.get("rel") == "next":
            if isinstance(link.get("href"), str) and len(link["href"]) <= LONGEST_LINK:
                return str(link["href"])
            raise AtlasApiError("The link to the next page of the Administration API has no valid href", status=200)
    return None
