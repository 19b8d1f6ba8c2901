"""The organization's projects and clusters: every one can be read, and no others exist."""

from __future__ import annotations

import pytest

from airflow_provider_atlas.sandbox.resources import read

BASE = "http://127.0.0.1:1"


def ask(path, total=3):
    return read(f"/api/atlas/v2{path}", {}, BASE, total)


def test_there_is_one_organization():
    content = ask("/orgs").content
    assert (content["totalCount"], content["results"][0]["name"]) == (1, "Sandbox")


def test_every_project_in_the_list_can_be_read_by_its_id():
    projects = ask("/groups").content["results"]
    assert [ask(f"/groups/{project['id']}").content for project in projects] == projects
    assert len({project["id"] for project in projects}) == 3


def test_every_project_has_clusters_of_its_own():
    groups = [project["id"] for project in ask("/groups").content["results"]]
    clusters = [cluster for group in groups for cluster in ask(f"/groups/{group}/clusters").content["results"]]
    assert [cluster["groupId"] for cluster in clusters] == [group for group in groups for _ in range(3)]
    assert len({cluster["id"] for cluster in clusters}) == 9


def test_links_lead_back_to_the_sandbox():
    project = ask("/groups").content["results"][0]
    assert project["links"] == [{"rel": "self", "href": f"{BASE}/api/atlas/v2/groups/{project['id']}"}]


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "/groups/",
        "/groups/6b0000000000000000000003",
        "/groups/6b0000000000000000000003/clusters",
        "/groups/6a0000000000000000000000",
        "/groups/not-an-id",
        "/groups/6B0000000000000000000000",
        "/groups/6b0000000000000000000000/users",
        "/orgs/6a0000000000000000000000",
        "/orgs/6b0000000000000000000000/clusters",
    ],
)
def test_nothing_else_exists(path):
    answer = ask(path)
    assert (answer.status, answer.content["errorCode"]) == (404, "RESOURCE_NOT_FOUND")
    assert answer.content["parameters"] == [f"/api/atlas/v2{path}"]


def test_an_empty_organization_has_no_projects():
    assert ask("/groups", total=0).content["results"] == []
