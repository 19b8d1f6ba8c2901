"""What the Administration API reads: one organization with projects and clusters, made when they are requested."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from airflow_provider_atlas.sandbox.responses import AtlasResponse, api_error, page

if TYPE_CHECKING:
    from airflow_provider_atlas.sandbox.requests import AtlasRequest
    from airflow_provider_atlas.sandbox.state import AtlasState

ROOT = "/api/atlas/v2"
ORG_ID = 0x6A00_0000_0000_0000_0000_0000
PROJECT_IDS = 0x6B00_0000_0000_0000_0000_0000
CLUSTER_IDS = 0x6C00_0000_0000_0000_0000_0000
PATH = re.compile(rf"{ROOT}/(orgs|groups)(?:/([0-9a-f]{{24}})(/clusters)?)?")


def read(atlas: AtlasState, request: AtlasRequest) -> AtlasResponse:
    base_url, path, total = request.base_url, request.path, atlas.page_total
    match (found := PATH.fullmatch(path)) and found.groups():
        case "orgs", None, None:
            return page(request, 1, lambda _: _organization(base_url))
        case "groups", None, None:
            return page(request, total, lambda index: _project(base_url, index, total))
        case "groups", str(group_id), clusters if 0 <= (project := int(group_id, 16) - PROJECT_IDS) < total:
            if clusters:
                return page(request, total, lambda index: _cluster(base_url, project, index))
            return AtlasResponse(200, _project(base_url, project, total))
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
