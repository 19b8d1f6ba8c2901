"""Work that takes time: snapshots, restores, exports and search indexes. They move with the sandbox's clock."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from airflow_provider_atlas.sandbox.refusals import Refusal

if TYPE_CHECKING:
    from airflow_provider_atlas.sandbox.clusters import Cluster
    from airflow_provider_atlas.sandbox.requests import AtlasRequest
    from airflow_provider_atlas.sandbox.state import AtlasState

#: The part of its time that a job is queued.
QUEUED = 0.2

Kind = Literal["snapshot", "restore", "export", "index"]
Phase = Literal["queued", "running", "done", "failed", "cancelled"]


@dataclass
class Job:
    """
    One job.

    :param given: the body of the request that started it
    :param began: seconds since the epoch
    :param seconds: from its beginning to its end
    :param end: how it ends
    :param ticket: the secret part of a download's link
    """

    kind: Kind
    cluster: Cluster
    given: dict[str, Any] = field(repr=False)
    began: float
    seconds: float
    end: Phase = "done"
    id: str = field(init=False)
    ticket: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)

    def __post_init__(self) -> None:
        self.id = f"{int(self.began):08x}{secrets.token_hex(8)}"  # as all ids of Atlas, it begins with the time

    @property
    def ended(self) -> float:
        return self.began + self.seconds

    def phase(self, now: float) -> Phase:
        if now >= self.ended:
            return self.end
        return "queued" if now < self.began + QUEUED * self.seconds else "running"

    def is_open(self, now: float) -> bool:
        return now < self.ended


def start(atlas: AtlasState, request: AtlasRequest, kind: Kind, cluster: Cluster, given: dict[str, Any]) -> Job:
    job = Job(kind, cluster, given, atlas.clock(), atlas.job_seconds, request.job_end)
    atlas.jobs[job.id] = job
    atlas.count("jobs")
    return job


def of_cluster(atlas: AtlasState, kind: Kind, cluster: Cluster) -> list[Job]:
    return [job for job in atlas.jobs.values() if job.kind == kind and job.cluster is cluster]


def find(atlas: AtlasState, request: AtlasRequest, kind: Kind, cluster: Cluster, job_id: str) -> Job:
    job = atlas.jobs.get(job_id)
    if job is None or job.kind != kind or job.cluster is not cluster:
        raise Refusal("RESOURCE_NOT_FOUND", request.path)
    return job
