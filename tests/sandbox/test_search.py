"""Search indexes: how they are built, how they are found, and duplicates."""

from __future__ import annotations

import pytest

INDEXES = "/groups/6b0000000000000000000000/clusters/cluster-0/search/indexes"
TEXT = {
    "name": "default",
    "database": "shop",
    "collectionName": "items",
    "type": "search",
    "definition": {"mappings": {"dynamic": True}},
}
FIELD = {"type": "vector", "path": "embedding", "numDimensions": 3, "similarity": "cosine"}
VECTOR = {**TEXT, "name": "vectors", "type": "vectorSearch", "definition": {"fields": [FIELD]}}


def error(response):
    return response.status, response.content["errorCode"]


@pytest.mark.parametrize("index", [TEXT, VECTOR])
@pytest.mark.parametrize(("end", "last"), [("done", "READY"), ("failed", "FAILED")])
def test_index_is_pending_then_building_then_ended(api, clock, index, end, last):
    created = api("POST", INDEXES, index, job_end=end)
    path, seen = f"{INDEXES}/{created.content['indexID']}", [created.content["status"]]
    for wait in (1, 3.9, 0.1):
        clock.now += wait
        content = api.get(path).content
        seen.append(content["status"])
    assert (created.status, seen) == (201, ["PENDING", "BUILDING", "BUILDING", last])
    assert (content["queryable"], content["latestDefinition"]) == (last == "READY", index["definition"])


def test_index_is_found_by_id_by_name_in_its_collection_and_in_the_cluster(api):
    text, vector = (api("POST", INDEXES, index).content for index in (TEXT, VECTOR))
    other = api("POST", INDEXES, {**TEXT, "collectionName": "orders"}).content
    assert api.get(f"{INDEXES}/shop/items/default").content == text
    assert api.get(f"{INDEXES}/shop/orders/default").content == other
    assert api.get(f"{INDEXES}/shop/items").content == [text, vector]
    assert api.get(INDEXES).content == [text, vector, other]
    assert api.get(f"{INDEXES}/shop/nothing").content == []


def test_name_with_a_slash_is_found_percent_encoded(api):
    created = api("POST", INDEXES, {**TEXT, "collectionName": "a/b"}).content
    assert api.get(f"{INDEXES}/shop/a%2Fb/default").content == created


def test_index_without_a_type_is_for_text(api):
    assert api("POST", INDEXES, {key: TEXT[key] for key in TEXT if key != "type"}).content["type"] == "search"


def test_duplicate_is_refused_until_the_first_is_deleted(api):
    first = api("POST", INDEXES, TEXT).content
    assert error(api("POST", INDEXES, TEXT)) == (400, "ATLAS_FTS_DUPLICATE_INDEX")
    assert api("DELETE", f"{INDEXES}/{first['indexID']}").status == 204
    assert api("POST", INDEXES, TEXT).status == 201
    assert api("DELETE", f"{INDEXES}/shop/items/default").status == 204
    assert api.get(INDEXES).content == []


@pytest.mark.parametrize(
    "index",
    [
        {**TEXT, "definition": {}},
        {**TEXT, "definition": {"fields": []}},
        {**VECTOR, "definition": {"mappings": {}}},
        {**TEXT, "type": "graph"},
        {**TEXT, "kind": "search"},
        {"name": "default"},
    ],
)
def test_index_that_is_not_valid_is_refused(api, index):
    assert error(api("POST", INDEXES, index)) == (400, "INVALID_ATTRIBUTE")


@pytest.mark.parametrize("end", ["/" + "0" * 24, "/shop/items/default"])
@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_unknown_index_gets_a_404(api, method, end):
    assert error(api(method, INDEXES + end)) == (404, "RESOURCE_NOT_FOUND")
