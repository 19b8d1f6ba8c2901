"""What the sandbox sends and accepts is valid against Atlas's official document, and its links lead somewhere."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlsplit

import pytest

from airflow_provider_atlas.sandbox.clusters import find_named
from airflow_provider_atlas.sandbox.state import AtlasState
from airflow_provider_atlas.sandbox.urls import ROUTES
from tests.conftest import Clock
from tests.sandbox import openapi, test_clusters, test_search
from tests.sandbox.conftest import CLIENT_ID, Api

ORG, GROUP = "6a0000000000000000000000", "6b0000000000000000000000"
CLUSTER = "/groups/{groupId}/clusters/{clusterName}"
BACKUP = f"{CLUSTER}/backup"


class Walk:
    """Uses each endpoint of the sandbox at least once, and keeps what was sent and received."""

    def __init__(self) -> None:
        self.clock = Clock()
        state = AtlasState(clock=self.clock, client_id=CLIENT_ID)
        state.add_cluster("flexible", size="FLEX", tags={"team": "a"})
        state.add_cluster("shared", size="M0")
        state.add_cluster("sharded")
        find_named(state, 0, "sharded").settings["clusterType"] = "SHARDED"
        self.api = Api(state)
        self.ids = {"orgId": ORG, "groupId": GROUP, "clientId": CLIENT_ID, "clusterName": "cluster-0"}
        self.steps: list[tuple[str, str, object, int, object]] = []
        self.go()

    def __call__(self, method, template, body=None, **ids):
        more = {"job_end": ids.pop("job_end")} if "job_end" in ids else {}
        response = self.api(method, template.format(**{**self.ids, **ids}), body, **more)
        assert response.status < 300, (method, template, response)
        self.steps.append((method, template, body, response.status, response.content))
        return response.content

    def go(self):
        for template in ("/orgs", "/orgs/{orgId}", "/groups", "/groups/{groupId}"):
            self("GET", template)
        for owner in ("/orgs/{orgId}", "/groups/{groupId}"):
            accounts = f"{owner}/serviceAccounts"
            made = self("POST", f"{accounts}/{{clientId}}/secrets", {"secretExpiresAfterHours": 8})
            self("GET", accounts)
            self("GET", f"{accounts}/{{clientId}}")
            self("DELETE", f"{accounts}/{{clientId}}/secrets/{{secretId}}", secretId=made["id"])
        self.clusters()
        for end in ("done", "failed", "cancelled"):
            self.backups(end)
            self.indexes(end)
            self.sharded(end)

    def clusters(self):
        self("POST", "/groups/{groupId}/clusters", test_clusters.NEW)
        self.read("")
        for body in (
            {"paused": True},
            {"paused": False},
            test_clusters.specs(),
            {"tags": [{"key": "a", "value": "b"}]},
        ):
            self("PATCH", CLUSTER, body)
            self.read("")
        self("GET", "/groups/{groupId}/flexClusters")
        self("GET", "/groups/{groupId}/flexClusters/{name}", name="flexible")
        self("DELETE", CLUSTER, clusterName="new")
        self.read("")

    def read(self, path, **ids):
        """Read one thing at several moments, until its change or its job has ended."""
        for wait in (0, 1, 2, 10):
            self.clock.now += wait
            self("GET", f"{CLUSTER}{path}", **ids)
            self("GET", f"{CLUSTER}{path}".rpartition("/{")[0])

    def backups(self, end):
        self("GET", "/groups/{groupId}/backup/exportBuckets")
        bucket = self("GET", "/groups/{groupId}/backup/exportBuckets")["results"][0]["_id"]
        self("GET", "/groups/{groupId}/backup/exportBuckets/{exportBucketId}", exportBucketId=bucket)
        body = {"description": "before", "retentionInDays": 1}
        taken = self("POST", f"{BACKUP}/snapshots", body)["id"]
        self.read("/backup/snapshots/{snapshotId}", snapshotId=taken)
        target = {"targetGroupId": GROUP, "targetClusterName": "cluster-1"}
        moment = {"pointInTimeUTCSeconds": int(self.clock()) - 60}
        for body in (
            {"deliveryType": "automated", "snapshotId": taken, **target},
            {"deliveryType": "pointInTime", **moment, **target},
            {"deliveryType": "download", "snapshotId": taken},
        ):
            job = self("POST", f"{BACKUP}/restoreJobs", body, job_end=end)["id"]
            self.read("/backup/restoreJobs/{restoreJobId}", restoreJobId=job)
        self("DELETE", f"{BACKUP}/restoreJobs/{{restoreJobId}}", restoreJobId=job)
        body = {"snapshotId": taken, "exportBucketId": bucket, "customData": [{"key": "a", "value": "b"}]}
        job = self("POST", f"{BACKUP}/exports", body, job_end=end)["id"]
        self.read("/backup/exports/{exportId}", exportId=job)
        spare = self("POST", f"{BACKUP}/snapshots", {}, job_end=end)["id"]
        self.read("/backup/snapshots/{snapshotId}", snapshotId=spare)
        self("DELETE", f"{BACKUP}/snapshots/{{snapshotId}}", snapshotId=spare)

    def sharded(self, end):
        of = {"clusterName": "sharded"}
        of["snapshotId"] = self("POST", f"{BACKUP}/snapshots", {}, job_end=end, **of)["id"]
        one = f"{BACKUP}/snapshots/shardedCluster/{{snapshotId}}"
        for wait in (0, 1, 2, 10):
            self.clock.now += wait
            self("GET", one, **of)
            self("GET", f"{BACKUP}/snapshots/shardedClusters", **of)
        self("DELETE", one, **of)

    def indexes(self, end):
        path = f"{CLUSTER}/search/indexes"
        names = {"databaseName": "shop", "collectionName": "items"}
        for index in (test_search.TEXT, test_search.VECTOR):
            made = self("POST", path, index, job_end=end)["indexID"]
            self.read("/search/indexes/{indexId}", indexId=made)
            self("GET", f"{path}/{{databaseName}}/{{collectionName}}", **names)
            by_name = f"{path}/{{databaseName}}/{{collectionName}}/{{indexName}}"
            self("GET", by_name, indexName=index["name"], **names)
            if index is test_search.TEXT:
                self("DELETE", by_name, indexName=index["name"], **names)
            else:
                self("DELETE", f"{path}/{{indexId}}", indexId=made)


@pytest.fixture(scope="module")
def walk():
    return Walk()


@pytest.fixture(scope="module")
def document():
    if not openapi.path():
        pytest.skip("ATLAS_OPENAPI must hold the path of Atlas's OpenAPI document")
    return openapi.Document()


def test_walk_uses_each_endpoint(walk):
    used = {(method, template) for method, template, *_ in walk.steps}
    assert used == {(method, template) for template, methods in ROUTES.items() for method in methods}


def test_each_response_and_each_accepted_body_is_valid(walk, document):
    wrong = []
    for method, template, body, status, content in walk.steps:
        wrong += [(method, template, status, text) for text in document.errors(method, template, content, status)]
        if body is not None:
            wrong += [(method, template, text) for text in document.errors(method, template, body)]
    assert wrong == []


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"surprise": 1}, "surprise"),
        ({"stateName": "PAUSED"}, "PAUSED"),
        ({"createDate": "today"}, "today"),
        ({"replicationSpecs": [{"surprise": 1}]}, "surprise"),
        ({"links": [{"url": "x"}]}, "url"),
    ],
)
def test_response_that_atlas_would_not_send_is_found(walk, document, change, says):
    (content, *_) = [
        content for method, template, _, _, content in walk.steps if (method, template) == ("GET", CLUSTER)
    ]
    assert document.errors("GET", CLUSTER, content, 200) == []
    (error,) = document.errors("GET", CLUSTER, {**content, **change}, 200)
    assert says in error


@pytest.mark.parametrize(
    "body", [{"paused": "yes"}, {"stateName": "IDLE"}, {"surprise": 1}, test_clusters.specs("M15")]
)
def test_body_that_atlas_would_refuse_is_found(document, body):
    assert document.errors("PATCH", CLUSTER, body)


def test_status_or_kind_of_index_that_atlas_does_not_have_is_found(document):
    assert document.errors("DELETE", CLUSTER, None, 204)
    path = f"{CLUSTER}/search/indexes"
    for index in ({**test_search.TEXT, "type": "graph"}, {**test_search.TEXT, "definition": {"fields": []}}):
        assert document.errors("POST", path, index)


def test_each_link_leads_to_what_has_it(walk):
    links = set()

    def collect(value):
        if isinstance(value, dict):
            links.update(link["href"] for link in value.get("links", ()))
            value = list(value.values())
        if isinstance(value, list):
            for each in value:
                collect(each)

    for template in ROUTES:
        if template.count("{") == template.count("{orgId}") + template.count("{groupId}") + template.count(
            "{clusterName}"
        ):
            collect(walk.api.get(template.format(**walk.ids)).content if "GET" in ROUTES[template] else None)
    assert len(links) > 20
    for link in links:
        parts = urlsplit(link)
        path = parts.path.removeprefix("/api/atlas/v2")
        assert walk.api.get(path, **dict(parse_qsl(parts.query))).status == 200, link
