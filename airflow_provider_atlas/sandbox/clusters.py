"""Clusters: their states move with the sandbox's clock, and a change that Atlas refuses is refused with its code."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow_provider_atlas.sandbox.bodies import HEX_ID, read_body
from airflow_provider_atlas.sandbox.refusals import Refusal
from airflow_provider_atlas.sandbox.resources import CLUSTER_IDS, PROJECT_IDS, check_owner, self_link
from airflow_provider_atlas.sandbox.responses import AtlasResponse, page, timestamp

if TYPE_CHECKING:
    from airflow_provider_atlas.sandbox.requests import AtlasRequest
    from airflow_provider_atlas.sandbox.responses import Routes
    from airflow_provider_atlas.sandbox.state import AtlasState

SHARED_SIZES = ("M0", "M2", "M5")
#: Atlas resumes a paused cluster by itself after 30 days.
LONGEST_PAUSE = 30 * 24 * 3600.0
CLUSTER_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9-]*")
PROVIDERS = ("AWS", "AZURE", "GCP")
HARDWARE = {
    "instanceSize": re.compile(r"M[025]|[MR]\d{2,3}(_NVME|_GEN_2)?"),
    "nodeCount": int,
    "diskSizeGB": float,
    "diskIOPS": int,
    "ebsVolumeType": ("STANDARD", "PROVISIONED", "HIGH_PERFORMANCE"),
}
REGION = {
    "providerName": (*PROVIDERS, "TENANT"),
    "backingProviderName": PROVIDERS,
    "regionName": str,
    "priority": range(8),
    "electableSpecs": HARDWARE,
    "readOnlySpecs": HARDWARE,
    "analyticsSpecs": HARDWARE,
    "autoScaling": dict,
    "analyticsAutoScaling": dict,
}
PAIRS = [{"key!": str, "value!": str}]
CHANGE: dict[str, Any] = {
    "advancedConfiguration": dict,
    "backupEnabled": bool,
    "biConnector": dict,
    "clusterType": ("REPLICASET", "SHARDED", "GEOSHARDED"),
    "encryptionAtRestProvider": ("NONE", *PROVIDERS),
    "labels": PAIRS,
    "mongoDBMajorVersion": str,
    "paused": bool,
    "pitEnabled": bool,
    "redactClientLogData": bool,
    "replicaSetScalingStrategy": ("SEQUENTIAL", "WORKLOAD_TYPE", "NODE_TYPE"),
    "replicationSpecs": [{"id": HEX_ID, "zoneId": HEX_ID, "zoneName": str, "regionConfigs": [REGION]}],
    "tags": PAIRS,
    "terminationProtectionEnabled": bool,
    "versionReleaseSystem": ("LTS", "CONTINUOUS"),
}
NEW = {**CHANGE, "name!": CLUSTER_NAME, "clusterType!": CHANGE["clusterType"]}
NEW |= {"replicationSpecs!": CHANGE["replicationSpecs"]}


def _new_id() -> str:
    return secrets.token_hex(12)


def _hardware(settings: dict[str, Any]) -> dict[str, Any]:
    """Return the specs of the first region."""
    regions = [region for spec in settings["replicationSpecs"] for region in spec.get("regionConfigs", [])]
    return dict(regions[0].get("electableSpecs", {})) if regions else {}


@dataclass(eq=False)
class Cluster:
    """
    A cluster. A change is visible at once in its settings, and as a state only after some seconds, as in Atlas.

    :param settings: what a client may set
    :param resumed: seconds since the epoch, as the other times
    """

    project: int
    name: str
    settings: dict[str, Any] = field(repr=False)
    created: float
    id: str = ""
    paused_since: float | None = None
    resumed: float | None = None
    change: str = "IDLE"
    shows: float = 0.0
    until: float = 0.0
    restoring: bool = False

    def __post_init__(self) -> None:
        self.id = f"{int(self.created):08x}{secrets.token_hex(8)}"  # as all ids of Atlas, it begins with the time

    @property
    def group_id(self) -> str:
        return f"{PROJECT_IDS + self.project:024x}"

    @property
    def size(self) -> str:
        return "FLEX" if "providerSettings" in self.settings else str(_hardware(self.settings).get("instanceSize"))

    @property
    def is_sharded(self) -> bool:
        return bool(self.settings.get("clusterType", "REPLICASET") != "REPLICASET")

    def start(self, change: str, now: float, seconds: float, stale: float = 0.0, *, restoring: bool = False) -> None:
        self.change, self.shows, self.until, self.restoring = change, now + stale, now + stale + seconds, restoring

    def state(self, now: float) -> str:
        return self.change if self.shows <= now < self.until else "IDLE"

    def is_busy(self, now: float) -> bool:
        return now < self.until

    def changed(self, now: float) -> bool:
        return not self.is_gone(now) and (self.change != "IDLE" or self.is_paused(now))

    def is_gone(self, now: float) -> bool:
        return self.change == "DELETING" and now >= self.until

    def is_paused(self, now: float) -> bool:
        return self.paused_since is not None and now < self.paused_since + LONGEST_PAUSE


def make(project: int, name: str, created: float, size: str = "M10", tags: dict[str, str] | None = None) -> Cluster:
    """Return a cluster with three nodes in one region, or a flex cluster."""
    pairs = [{"key": key, "value": value} for key, value in (tags or {}).items()]
    common = {"tags": pairs, "terminationProtectionEnabled": False, "versionReleaseSystem": "LTS"}
    region: dict[str, Any] = {"backingProviderName": "AWS", "regionName": "US_EAST_1"}
    if size == "FLEX":
        flex = {**region, "providerName": "FLEX", "diskSizeGB": 5.0}
        return Cluster(project, name, {**common, "providerSettings": flex}, created)
    if size in SHARED_SIZES:
        region |= {"providerName": "TENANT", "electableSpecs": {"instanceSize": size}}
    else:
        specs = {"instanceSize": size, "nodeCount": 3, "diskSizeGB": 10.0}
        region = {"providerName": "AWS", "regionName": "US_EAST_1", "electableSpecs": specs}
    spec = {"id": _new_id(), "zoneId": _new_id(), "zoneName": "Zone 1", "regionConfigs": [{**region, "priority": 7}]}
    settings = {**common, "clusterType": "REPLICASET", "replicationSpecs": [spec], "labels": []}
    settings |= {"backupEnabled": True, "pitEnabled": True, "mongoDBMajorVersion": "8.0"}
    return Cluster(project, name, settings, created)


def of_project(atlas: AtlasState, project: int) -> dict[str, Cluster]:
    """Return the project's clusters by name. The first ``page_total`` are made when they are read first."""
    clusters, now = atlas.clusters.setdefault(project, {}), atlas.clock()
    for index in range(atlas.page_total):
        if (name := f"cluster-{index}") not in clusters:
            clusters[name] = make(project, name, atlas.created)
            clusters[name].id = f"{CLUSTER_IDS + (project << 32) + index:024x}"
    return {name: cluster for name, cluster in clusters.items() if not cluster.is_gone(now)}


def find(atlas: AtlasState, request: AtlasRequest) -> Cluster:
    """Return the cluster that the path names."""
    return find_named(atlas, check_owner(atlas, request), request.ids["clusterName"])


def find_named(atlas: AtlasState, project: int, name: str) -> Cluster:
    cluster = of_project(atlas, project).get(name)
    if cluster is None:
        raise Refusal("CLUSTER_NOT_FOUND", name, f"{PROJECT_IDS + project:024x}")
    if cluster.size == "FLEX":
        raise Refusal("CANNOT_USE_FLEX_CLUSTER_IN_CLUSTER_API", name)
    return cluster


def list_all(atlas: AtlasState, request: AtlasRequest) -> AtlasResponse:
    flex, now = request.path.endswith("/flexClusters"), atlas.clock()
    clusters = of_project(atlas, check_owner(atlas, request)).values()
    found = [cluster for cluster in clusters if (cluster.size == "FLEX") is flex]
    return page(request, len(found), lambda index: _describe(found[index], request, now))


def get(atlas: AtlasState, request: AtlasRequest) -> AtlasResponse:
    return AtlasResponse(200, _describe(find(atlas, request), request, atlas.clock()))


def create(atlas: AtlasState, request: AtlasRequest) -> AtlasResponse:
    project, now = check_owner(atlas, request), atlas.clock()
    body = read_body(request, NEW)
    name = body.pop("name")
    if name in of_project(atlas, project):
        raise Refusal("DUPLICATE_CLUSTER_NAME", name, request.ids["groupId"])
    body.pop("paused", None)
    cluster = make(project, name, now)
    specs = body.pop("replicationSpecs")
    cluster.settings |= {**body, "replicationSpecs": [{"id": _new_id(), "zoneId": _new_id(), **spec} for spec in specs]}
    if not _hardware(cluster.settings):
        wrong = {"replicationSpecs": "must have the electableSpecs of a region"}
        raise Refusal("INVALID_ATTRIBUTE", *wrong, fields=wrong)
    cluster.start("CREATING", now, atlas.change_seconds)
    atlas.clusters[project][name] = cluster
    atlas.count("cluster_changes")
    return AtlasResponse(201, _describe(cluster, request, now))


def update(atlas: AtlasState, request: AtlasRequest) -> AtlasResponse:
    cluster, now = find(atlas, request), atlas.clock()
    body = read_body(request, CHANGE)
    was_paused = cluster.is_paused(now)
    settings = _merged(cluster.settings, {name: value for name, value in body.items() if name != "paused"})
    _check_change(atlas, cluster, body, settings)
    paused = body.get("paused", was_paused)
    if (settings, paused) != (cluster.settings, was_paused):
        cluster.settings = settings
        if paused != was_paused:
            cluster.paused_since, cluster.resumed = (now, cluster.resumed) if paused else (None, now)
        cluster.start("UPDATING", now, atlas.change_seconds, atlas.stale_seconds)
        atlas.count("cluster_changes")
    return AtlasResponse(200, _describe(cluster, request, now))


def _check_change(atlas: AtlasState, cluster: Cluster, body: dict[str, Any], settings: dict[str, Any]) -> None:
    """Refuse what Atlas refuses. ``settings`` are those that the cluster would have."""
    name, now = cluster.name, atlas.clock()
    paused, resumed = cluster.is_paused(now), cluster.resumed
    if cluster.change == "DELETING":
        raise Refusal("CLUSTER_ALREADY_REQUESTED_DELETION", name)
    if cluster.size in SHARED_SIZES:
        raise Refusal("TENANT_CLUSTER_UPDATE_UNSUPPORTED", cluster.size)
    if "paused" in body and len(body) > 1:
        raise Refusal("CANNOT_UPDATE_AND_PAUSE_CLUSTER", name)
    if cluster.restoring and cluster.is_busy(now):
        raise Refusal("CLUSTER_RESTORE_IN_PROGRESS_CANNOT_UPDATE", name)
    if body.get("paused"):
        if paused:
            raise Refusal("CLUSTER_ALREADY_PAUSED", name)
        if cluster.is_busy(now):
            raise Refusal("CANNOT_PAUSE_CLUSTER_WITH_PENDING_CHANGES", name)
        if cluster.size.endswith("_NVME"):
            raise Refusal("CANNOT_PAUSE_NVME_CLUSTER", name)
        if resumed is not None and now < resumed + atlas.resumed_minutes * 60:
            raise Refusal("CANNOT_PAUSE_RECENTLY_RESUMED_CLUSTER", f"{atlas.resumed_minutes:g}")
    if paused and "paused" not in body:
        raise Refusal("CANNOT_UPDATE_PAUSED_CLUSTER", name)
    if cluster.is_busy(now):
        raise Refusal("OPERATION_INVALID_MEMBER_REPLICATION_LAG", name)
    new, old = (_hardware(each).get("diskSizeGB", 0) for each in (settings, cluster.settings))
    if new < old:
        raise Refusal("CANNOT_DECREASE_DISK_SIZE", name)


def delete(atlas: AtlasState, request: AtlasRequest) -> AtlasResponse:
    cluster = find(atlas, request)
    if cluster.change == "DELETING":
        raise Refusal("CLUSTER_ALREADY_REQUESTED_DELETION", cluster.name)
    if cluster.settings["terminationProtectionEnabled"]:
        raise Refusal("CANNOT_TERMINATE_CLUSTER_WHEN_TERMINATION_PROTECTION_ENABLED", cluster.name)
    cluster.start("DELETING", atlas.clock(), atlas.change_seconds)
    atlas.count("cluster_changes")
    return AtlasResponse(202)


def get_flex(atlas: AtlasState, request: AtlasRequest) -> AtlasResponse:
    project, name = check_owner(atlas, request), request.ids["name"]
    cluster = of_project(atlas, project).get(name)
    if cluster is None or cluster.size != "FLEX":
        raise Refusal("CLUSTER_NOT_FOUND", name, request.ids["groupId"])
    return AtlasResponse(200, _describe(cluster, request, atlas.clock()))


def _merged(old: Any, new: Any) -> Any:
    """Return ``new`` over ``old``: objects by field, arrays by position."""
    if isinstance(old, dict) and isinstance(new, dict):
        return {**old, **{name: _merged(old.get(name), value) for name, value in new.items()}}
    if isinstance(old, list) and isinstance(new, list):
        return [_merged(old[index] if index < len(old) else None, value) for index, value in enumerate(new)]
    return new


def _describe(cluster: Cluster, request: AtlasRequest, now: float) -> dict[str, Any]:
    flex = cluster.size == "FLEX"
    kind = {"clusterType": "REPLICASET"} if flex else {"paused": cluster.is_paused(now)}
    path = f"/groups/{cluster.group_id}/{'flexClusters' if flex else 'clusters'}/{cluster.name}"
    return {
        **cluster.settings,
        **kind,
        "id": cluster.id,
        "name": cluster.name,
        "groupId": cluster.group_id,
        "createDate": timestamp(cluster.created),
        "mongoDBVersion": "8.0.12",
        "stateName": cluster.state(now),
        "connectionStrings": {"standardSrv": f"mongodb+srv://{cluster.name.lower()}.sandbox.invalid"},
        "links": self_link(request, path),
    }


ROUTES: Routes = {
    "/groups/{groupId}/clusters": {"GET": list_all, "POST": create},
    "/groups/{groupId}/clusters/{clusterName}": {"GET": get, "PATCH": update, "DELETE": delete},
    "/groups/{groupId}/flexClusters": {"GET": list_all},
    "/groups/{groupId}/flexClusters/{name}": {"GET": get_flex},
}
