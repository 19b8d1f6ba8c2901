"""Search indexes, for text and for vectors. Their lists are bare arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_atlas.sandbox import jobs
from airflow_provider_atlas.sandbox.bodies import read_body
from airflow_provider_atlas.sandbox.clusters import find
from airflow_provider_atlas.sandbox.refusals import Refusal
from airflow_provider_atlas.sandbox.responses import AtlasResponse, timestamp

if TYPE_CHECKING:
    from airflow_provider_atlas.sandbox.jobs import Job
    from airflow_provider_atlas.sandbox.requests import AtlasRequest
    from airflow_provider_atlas.sandbox.responses import Routes
    from airflow_provider_atlas.sandbox.state import AtlasState

STATES = {"queued": "PENDING", "running": "BUILDING", "done": "READY"}
TYPES = ("search", "vectorSearch")
INDEX = {"name!": str, "database!": str, "collectionName!": str, "type": TYPES, "definition!": dict}
SEARCH = {"mappings!": {"dynamic": bool, "fields": dict}, "analyzer": str, "searchAnalyzer": str, "analyzers": [dict]}
SEARCH |= {"synonyms": [dict], "numPartitions": int}
VECTOR = {"fields!": [dict], "numPartitions": int}


def create(atlas: AtlasState, request: AtlasRequest) -> AtlasResponse:
    cluster = find(atlas, request)
    kind = read_body(request, INDEX).get("type", "search")
    body = {"type": kind, **read_body(request, {**INDEX, "definition!": VECTOR if kind == "vectorSearch" else SEARCH})}
    same = ("database", "collectionName", "name")
    if any(all(job.given[key] == body[key] for key in same) for job in jobs.of_cluster(atlas, "index", cluster)):
        raise Refusal("ATLAS_FTS_DUPLICATE_INDEX", body["name"])
    return AtlasResponse(201, _describe(jobs.start(atlas, request, "index", cluster, body), atlas.clock()))


def list_all(atlas: AtlasState, request: AtlasRequest) -> AtlasResponse:
    return AtlasResponse(200, [_describe(job, atlas.clock()) for job in _found(atlas, request)])


def get(atlas: AtlasState, request: AtlasRequest) -> AtlasResponse:
    return AtlasResponse(200, _describe(_one(atlas, request), atlas.clock()))


def delete(atlas: AtlasState, request: AtlasRequest) -> AtlasResponse:
    del atlas.jobs[_one(atlas, request).id]
    return AtlasResponse(204)


def _found(atlas: AtlasState, request: AtlasRequest) -> list[Job]:
    """Return the cluster's indexes that the path names: by id, by names, of a collection, or all."""
    found, ids = jobs.of_cluster(atlas, "index", find(atlas, request)), request.ids
    names = {"databaseName": "database", "collectionName": "collectionName", "indexName": "name"}
    wanted = {names[name]: value for name, value in ids.items() if name in names}
    return [
        job
        for job in found
        if job.id == ids.get("indexId", job.id) and all(job.given[key] == value for key, value in wanted.items())
    ]


def _one(atlas: AtlasState, request: AtlasRequest) -> Job:
    found = _found(atlas, request)
    if not found:
        raise Refusal("RESOURCE_NOT_FOUND", request.path)
    return found[0]


def _describe(job: Job, now: float) -> dict[str, Any]:
    phase, given = job.phase(now), job.given
    return {
        "indexID": job.id,
        **{name: given[name] for name in ("name", "database", "collectionName", "type")},
        "status": STATES.get(phase, "FAILED"),
        "queryable": phase == "done",
        "latestDefinition": given["definition"],
        "latestDefinitionVersion": {"version": 0, "createdAt": timestamp(job.began)},
    }


INDEXES = "/groups/{groupId}/clusters/{clusterName}/search/indexes"
ROUTES: Routes = {
    INDEXES: {"GET": list_all, "POST": create},
    f"{INDEXES}/{{indexId}}": {"GET": get, "DELETE": delete},
    f"{INDEXES}/{{databaseName}}/{{collectionName}}": {"GET": list_all},
    f"{INDEXES}/{{databaseName}}/{{collectionName}}/{{indexName}}": {"GET": get, "DELETE": delete},
}
