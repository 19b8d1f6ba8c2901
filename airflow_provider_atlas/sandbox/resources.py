"""The organization and its projects, made when they are requested."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_atlas.sandbox.refusals import Refusal
from airflow_provider_atlas.sandbox.responses import ROOT, AtlasResponse, page

if TYPE_CHECKING:
    from airflow_provider_atlas.sandbox.requests import AtlasRequest
    from airflow_provider_atlas.sandbox.responses import Routes
    from airflow_provider_atlas.sandbox.state import AtlasState

ORG_ID = 0x6A00_0000_0000_0000_0000_0000
PROJECT_IDS = 0x6B00_0000_0000_0000_0000_0000
CLUSTER_IDS = 0x6C00_0000_0000_0000_0000_0000


def check_owner(atlas: AtlasState, request: AtlasRequest) -> int:
    """Refuse a path with an organization or a project that does not exist. Return the project's number."""
    group_id = request.ids.get("groupId")
    if group_id is None:
        if int(request.ids["orgId"], 16) != ORG_ID:
            raise Refusal("ORG_NOT_FOUND", request.ids["orgId"])
        return 0
    project = int(group_id, 16) - PROJECT_IDS
    if not 0 <= project < atlas.page_total:
        raise Refusal("GROUP_NOT_FOUND", group_id)
    return project


def list_organizations(_: AtlasState, request: AtlasRequest) -> AtlasResponse:
    return page(request, 1, lambda _: _organization(request))


def get_organization(atlas: AtlasState, request: AtlasRequest) -> AtlasResponse:
    check_owner(atlas, request)
    return AtlasResponse(200, _organization(request))


def list_projects(atlas: AtlasState, request: AtlasRequest) -> AtlasResponse:
    return page(request, atlas.page_total, lambda project: _project(atlas, request, project))


def get_project(atlas: AtlasState, request: AtlasRequest) -> AtlasResponse:
    return AtlasResponse(200, _project(atlas, request, check_owner(atlas, request)))


def _organization(request: AtlasRequest) -> dict[str, Any]:
    path = f"/orgs/{ORG_ID:024x}"
    return {"id": f"{ORG_ID:024x}", "name": "Sandbox", "isDeleted": False, "links": self_link(request, path)}


def _project(atlas: AtlasState, request: AtlasRequest, project: int) -> dict[str, Any]:
    group_id = f"{PROJECT_IDS + project:024x}"
    return {
        "id": group_id,
        "name": f"project-{project}",
        "orgId": f"{ORG_ID:024x}",
        "clusterCount": atlas.page_total,
        "created": "2024-01-01T00:00:00Z",
        "links": self_link(request, f"/groups/{group_id}"),
    }


def self_link(request: AtlasRequest, path: str) -> list[dict[str, str]]:
    return [{"rel": "self", "href": f"{request.base_url}{ROOT}{path}"}]


ROUTES: Routes = {
    "/orgs": {"GET": list_organizations},
    "/orgs/{orgId}": {"GET": get_organization},
    "/groups": {"GET": list_projects},
    "/groups/{groupId}": {"GET": get_project},
}
