"""The organization's projects and clusters can be read, and nothing else exists."""

from __future__ import annotations

import pytest

from airflow_provider_atlas.sandbox.state import AtlasState
from tests.sandbox.conftest import Api

BASE = "http://127.0.0.1:1"


def get(path, total=3):
    return Api(AtlasState(page_total=total), BASE).get(path)


def test_there_is_one_organization():
    content = get("/orgs").content
    assert (content["totalCount"], content["results"][0]["name"]) == (1, "Sandbox")


def test_each_project_in_the_list_can_be_read_by_its_id():
    projects = get("/groups").content["results"]
    assert [get(f"/groups/{project['id']}").content for project in projects] == projects
    assert len({project["id"] for project in projects}) == 3


def test_each_project_has_its_own_clusters():
    groups = [project["id"] for project in get("/groups").content["results"]]
    clusters = [cluster for group in groups for cluster in get(f"/groups/{group}/clusters").content["results"]]
    assert [cluster["groupId"] for cluster in clusters] == [group for group in groups for _ in range(3)]
    assert len({cluster["id"] for cluster in clusters}) == 9


def test_links_have_the_sandbox_s_url():
    project = get("/groups").content["results"][0]
    assert project["links"] == [{"rel": "self", "href": f"{BASE}/api/atlas/v2/groups/{project['id']}"}]


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "/groups/",
        "/groups/not-an-id",
        "/groups/6B0000000000000000000000",
        "/groups/6b0000000000000000000000/users",
        "/orgs/6b0000000000000000000000/clusters",
    ],
)
def test_any_other_path_gets_a_404(path):
    response = get(path)
    assert (response.status, response.content["errorCode"]) == (404, "RESOURCE_NOT_FOUND")
    assert response.content["parameters"] == [f"/api/atlas/v2{path}"]


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/groups/6b0000000000000000000003", "GROUP_NOT_FOUND"),
        ("/groups/6b0000000000000000000003/clusters", "GROUP_NOT_FOUND"),
        ("/groups/6a0000000000000000000000", "GROUP_NOT_FOUND"),
        ("/orgs/6a0000000000000000000001", "ORG_NOT_FOUND"),
    ],
)
def test_project_or_organization_that_does_not_exist_gets_a_404_with_its_own_code(path, code):
    response = get(path)
    assert (response.status, response.content["errorCode"]) == (404, code)


def test_self_link_of_the_organization_leads_to_it():
    organization = get("/orgs").content["results"][0]
    assert get(f"/orgs/{organization['id']}").content == organization


def test_an_empty_organization_has_no_projects():
    assert get("/groups", total=0).content["results"] == []
