"""The organization behind the Administration API: as many projects and clusters as wished, each made on demand."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from airflow_provider_atlas.sandbox.answers import Answer, api_error
from airflow_provider_atlas.sandbox.pages import page

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = "/api/atlas/v2"
ORG_ID = 0x6A00_0000_0000_0000_0000_0000
PROJECT_IDS = 0x6B00_0000_0000_0000_0000_0000
CLUSTER_IDS = 0x6C00_0000_0000_0000_0000_0000
PATH = re.compile(rf"{ROOT}/(orgs|groups)(?:/([0-9a-f]{{24}})(/clusters)?)?")


def read(path: str, query: Mapping[str, str], base_url: str, total: int) -> Answer:
    """Answer a read, where ``total`` is the number of projects and of clusters in each."""
    url = base_url + path
    match = PATH.fullmatch(path)
    if match and match.groups() == ("orgs", None, None):
        return page(url, query, 1, lambda _: _organization(base_url))
    if match and match.groups() == ("groups", None, None):
        return page(url, query, total, lambda index: _project(base_url, index, total))
    if match and match[1] == "groups":
        index = int(match[2], 16) - PROJECT_IDS
        if 0 <= index < total and match[3]:
            return page(url, query, total, lambda number: _cluster(base_url, index, number))
        if 0 <= index < total:
            return Answer(200, _project(base_url, index, total))
    return api_error(404, "RESOURCE_NOT_FOUND", f"Cannot find resource {path}.", parameters=[path])


def _organization(base_url: str) -> dict[str, Any]:
    path = f"{ROOT}/orgs/{ORG_ID:024x}"
    return {"id": f"{ORG_ID:024x}", "name": "Sandbox", "isDeleted": False, "links": _self(base_url + path)}


def _project(base_url: str, index: int, total: int) -> dict[str, Any]:
    group_id = f"{PROJECT_IDS + index:024x}"
    return {
        "id": group_id,
        "name": f"project-{index}",
        "orgId": f"{ORG_ID:024x}",
        "clusterCount": total,
        "created": "2024-01-01T00:00:00Z",
        "links": _self(f"{base_url}{ROOT}/groups/{group_id}"),
    }


def _cluster(base_url: str, project: int, index: int) -> dict[str, Any]:
    group_id, name = f"{PROJECT_IDS + project:024x}", f"cluster-{index}"
    return {
        "id": f"{CLUSTER_IDS + (project << 32) + index:024x}",
        "name": name,
        "groupId": group_id,
        "clusterType": "REPLICASET",
        "mongoDBVersion": "8.0.12",
        "paused": False,
        "stateName": "IDLE",
        "links": _self(f"{base_url}{ROOT}/groups/{group_id}/clusters/{name}"),
    }


def _self(href: str) -> list[dict[str, str]]:
    return [{"rel": "self", "href": href}]
