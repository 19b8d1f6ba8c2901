"""Pages of results, made when they are asked for: a hundred thousand results must need no memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from airflow_provider_atlas.sandbox.answers import Answer, api_error

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MAX_ITEMS = 500


def page(url: str, query: Mapping[str, str], total: int, make: Callable[[int], dict[str, Any]]) -> Answer:
    """
    Return one page of a list.

    :param url: absolute URL of the list, without a query
    :param query: the request's query
    :param total: how many results there are
    :param make: makes the result of an index
    """
    items, items_error = _whole_number(query.get("itemsPerPage", "100"), MAX_ITEMS)
    number, number_error = _whole_number(query.get("pageNum", "1"), None)
    include = query.get("includeCount", "true").lower()
    include_error = "" if include in ("true", "false") else "must be true or false"
    found = {"itemsPerPage": items_error, "pageNum": number_error, "includeCount": include_error}
    if wrong := {name: error for name, error in found.items() if error}:
        detail = f"Invalid query parameter {', '.join(wrong)}."
        return api_error(400, "VALIDATION_ERROR", detail, parameters=list(wrong), fields=wrong)

    def link(rel: str, pointed: int) -> dict[str, str]:
        parameters = {**query, "itemsPerPage": items, "pageNum": pointed}
        return {"rel": rel, "href": f"{url}?{urlencode(parameters)}"}

    start = (number - 1) * items
    links = [link("self", number)]
    if number > 1:
        links.append(link("previous", number - 1))
    if start + items < total:
        links.append(link("next", number + 1))
    results = [make(index) for index in range(start, min(start + items, total))]
    content: dict[str, Any] = {"links": links, "results": results}
    return Answer(200, content | {"totalCount": total} if include == "true" else content)


def _whole_number(text: str, highest: int | None) -> tuple[int, str]:
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
    if number < 1 or (highest and number > highest):
        return 0, f"must be between 1 and {highest}" if highest else "must be greater than or equal to 1"
    return number, ""
