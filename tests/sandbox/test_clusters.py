"""Clusters: how their states move with the clock, and each change that Atlas refuses, with its code."""

from __future__ import annotations

import pytest

GROUP = "/groups/6b0000000000000000000000"
CLUSTER = f"{GROUP}/clusters/cluster-0"
SPEC = {"providerName": "AWS", "regionName": "US_EAST_1", "priority": 7}
NEW = {
    "name": "new",
    "clusterType": "REPLICASET",
    "replicationSpecs": [{"regionConfigs": [{**SPEC, "electableSpecs": {"instanceSize": "M10", "nodeCount": 3}}]}],
}


def specs(size="M20", disk=10.0):
    """Return a change of the hardware."""
    hardware = {"instanceSize": size, "nodeCount": 3, "diskSizeGB": disk}
    return {"replicationSpecs": [{"regionConfigs": [{**SPEC, "electableSpecs": hardware}]}]}


def hardware(cluster):
    return cluster["replicationSpecs"][0]["regionConfigs"][0]["electableSpecs"]


def error(response):
    return response.status, response.content["errorCode"]


@pytest.fixture
def patch(api):
    """Change a cluster of the first project."""
    return lambda body, name="cluster-0": api("PATCH", f"{GROUP}/clusters/{name}", body)


@pytest.fixture
def states(api, clock):
    """Read a cluster now and after each of some seconds."""

    def read(seconds, path=CLUSTER):
        seen = []
        for wait in seconds:
            clock.now += wait
            content = api.get(path).content
            seen.append((content["stateName"], content["paused"]))
        return seen

    return read


def test_listed_cluster_is_the_one_that_its_self_link_leads_to(api):
    for cluster in api.get(f"{GROUP}/clusters").content["results"]:
        path = cluster["links"][0]["href"].partition("/api/atlas/v2")[2]
        assert api.get(path).content == cluster


def test_paused_cluster_is_idle_then_updating_then_idle(patch, states):
    response = patch({"paused": True})
    assert (response.status, response.content["paused"], response.content["stateName"]) == (200, True, "IDLE")
    assert states([0, 0.9, 0.1, 4.9, 0.1]) == [
        ("IDLE", True),
        ("IDLE", True),
        ("UPDATING", True),
        ("UPDATING", True),
        ("IDLE", True),
    ]


def test_knobs_decide_how_long_a_change_takes_and_stays_hidden(state, patch, states):
    state.change_seconds, state.stale_seconds = 300, 0
    patch({"paused": True})
    assert states([0, 299, 1]) == [("UPDATING", True), ("UPDATING", True), ("IDLE", True)]


def test_resumed_cluster_can_be_paused_after_60_minutes_and_not_before(patch, clock):
    patch({"paused": True})
    clock.now += 10
    assert patch({"paused": False}).content["paused"] is False
    clock.now += 3599
    refused = patch({"paused": True})
    assert error(refused) == (400, "CANNOT_PAUSE_RECENTLY_RESUMED_CLUSTER")
    assert "60 minutes" in refused.content["detail"]
    clock.now += 1
    assert patch({"paused": True}).status == 200


def test_minutes_of_the_rule_can_be_chosen(state, patch, clock):
    state.resumed_minutes = 0
    for paused in (True, False, True):
        assert patch({"paused": paused}).status == 200
        clock.now += 10


def test_paused_cluster_is_resumed_by_atlas_after_30_days(patch, states):
    patch({"paused": True})
    assert states([30 * 86400 - 1, 1]) == [("IDLE", True), ("IDLE", False)]


def test_resuming_a_cluster_that_runs_changes_nothing(state, patch, states):
    assert patch({"paused": False}).status == 200
    assert states([2]) == [("IDLE", False)]
    assert (state.counters.cluster_changes, patch({}).status) == (0, 200)


def test_change_is_visible_at_once_and_keeps_what_it_does_not_name(api, patch, clock):
    before = api.get(CLUSTER).content
    after = patch(specs("M20", 20) | {"tags": [{"key": "team", "value": "a"}]}).content
    assert (hardware(after)["instanceSize"], hardware(after)["diskSizeGB"]) == ("M20", 20)
    assert after["replicationSpecs"][0]["id"] == before["replicationSpecs"][0]["id"]
    assert (after["tags"], after["backupEnabled"]) == ([{"key": "team", "value": "a"}], True)
    clock.now += 10
    assert patch({"tags": []}).content["tags"] == []


@pytest.mark.parametrize(
    ("first", "then", "expected"),
    [
        ([], {"paused": True, "tags": []}, (409, "CANNOT_UPDATE_AND_PAUSE_CLUSTER")),
        ([{"paused": True}], {"paused": True}, (409, "CLUSTER_ALREADY_PAUSED")),
        ([{"paused": True}], {"tags": []}, (409, "CANNOT_UPDATE_PAUSED_CLUSTER")),
        ([{"paused": True}], {"paused": False}, (400, "OPERATION_INVALID_MEMBER_REPLICATION_LAG")),
        ([specs()], {"paused": True}, (409, "CANNOT_PAUSE_CLUSTER_WITH_PENDING_CHANGES")),
        ([specs()], specs("M30"), (400, "OPERATION_INVALID_MEMBER_REPLICATION_LAG")),
        ([], specs("M10", 5), (500, "CANNOT_DECREASE_DISK_SIZE")),
        ([], {"stateName": "IDLE"}, (400, "INVALID_ATTRIBUTE")),
        ([], {"paused": "true"}, (400, "INVALID_ATTRIBUTE")),
        ([], specs("huge"), (400, "INVALID_ATTRIBUTE")),
    ],
)
def test_change_that_atlas_refuses_changes_nothing(api, patch, first, then, expected):
    for body in first:
        assert patch(body).status == 200
    before = api.get(CLUSTER).content
    assert error(patch(then)) == expected
    assert api.get(CLUSTER).content == before


@pytest.mark.parametrize("size", ["M0", "M2", "M5"])
def test_shared_cluster_refuses_changes(state, patch, size):
    state.add_cluster("small", size=size)
    assert error(patch({"paused": True}, "small")) == (400, "TENANT_CLUSTER_UPDATE_UNSUPPORTED")


def test_nvme_cluster_cannot_be_paused(state, patch):
    state.add_cluster("fast", size="M40_NVME")
    assert error(patch({"paused": True}, "fast")) == (409, "CANNOT_PAUSE_NVME_CLUSTER")


def test_flex_cluster_has_its_own_endpoint(api, state, patch):
    assert state.add_cluster("flexible", size="FLEX", tags={"team": "a"}) == GROUP[-24:]
    (flex,) = api.get(f"{GROUP}/flexClusters").content["results"]
    assert api.get(f"{GROUP}/flexClusters/flexible").content == flex
    assert (flex["stateName"], flex["links"][0]["href"].endswith("/flexClusters/flexible")) == ("IDLE", True)
    assert error(patch({"paused": True}, "flexible")) == (400, "CANNOT_USE_FLEX_CLUSTER_IN_CLUSTER_API")
    assert [cluster["name"] for cluster in api.get(f"{GROUP}/clusters").content["results"]] == [
        f"cluster-{index}" for index in range(3)
    ]
    assert error(api.get(f"{GROUP}/flexClusters/cluster-0")) == (404, "CLUSTER_NOT_FOUND")


def test_added_cluster_has_its_tags_and_may_be_paused(api, state):
    state.add_cluster("tagged", tags={"schedule": "night"}, project=1, paused=True)
    cluster = api.get("/groups/6b0000000000000000000001/clusters/tagged").content
    assert (cluster["tags"], cluster["paused"]) == ([{"key": "schedule", "value": "night"}], True)


def test_created_cluster_is_creating_and_then_idle(api, states):
    created = api("POST", f"{GROUP}/clusters", NEW)
    assert (created.status, created.content["stateName"]) == (201, "CREATING")
    assert states([4.9, 0.1], f"{GROUP}/clusters/new") == [("CREATING", False), ("IDLE", False)]
    assert api.get(f"{GROUP}/clusters").content["totalCount"] == 4
    assert error(api("POST", f"{GROUP}/clusters", NEW)) == (400, "DUPLICATE_CLUSTER_NAME")


@pytest.mark.parametrize(
    "change",
    [
        {"name": "not valid"},
        {"name": None},
        {"replicationSpecs": []},
        {"replicationSpecs": [{"regionConfigs": [SPEC]}]},
        {"id": "6" * 24},
    ],
)
def test_cluster_that_is_not_valid_is_not_created(api, change):
    assert error(api("POST", f"{GROUP}/clusters", {**NEW, **change})) == (400, "INVALID_ATTRIBUTE")
    assert api.get(f"{GROUP}/clusters").content["totalCount"] == 3


def test_deleted_cluster_is_deleting_and_then_gone(api, states, clock):
    assert api("DELETE", CLUSTER).status == 202
    assert error(api("DELETE", CLUSTER)) == (400, "CLUSTER_ALREADY_REQUESTED_DELETION")
    assert error(api("PATCH", CLUSTER, {"paused": True})) == (400, "CLUSTER_ALREADY_REQUESTED_DELETION")
    assert states([4.9]) == [("DELETING", False)]
    clock.now += 0.1
    assert error(api.get(CLUSTER)) == (404, "CLUSTER_NOT_FOUND")
    assert api.get(f"{GROUP}/clusters").content["totalCount"] == 2
    assert api("POST", f"{GROUP}/clusters", {**NEW, "name": "cluster-0"}).status == 201


def test_protected_cluster_is_not_deleted(api, patch):
    patch({"terminationProtectionEnabled": True})
    assert error(api("DELETE", CLUSTER)) == (400, "CANNOT_TERMINATE_CLUSTER_WHEN_TERMINATION_PROTECTION_ENABLED")


@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
@pytest.mark.parametrize("name", ["cluster-3", "cluster-00", "cluster-x", "%2e%2e"])
def test_unknown_cluster_gets_a_404(api, method, name):
    assert error(api(method, f"{GROUP}/clusters/{name}", {})) == (404, "CLUSTER_NOT_FOUND")


def test_method_that_the_sandbox_does_not_have_gets_a_405(api):
    response = api("PUT", CLUSTER, {})
    assert (response.status, response.headers["Allow"]) == (405, "GET, PATCH, DELETE")
