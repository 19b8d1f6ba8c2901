"""Pause, resume and change clusters.

There is no state "paused": ``paused`` is a flag beside ``stateName``. A change is over once its fields are there and
the cluster is idle again. The latter is stale for some seconds after a change.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_atlas.api.urls import fill
from airflow_provider_atlas.conditions import leaves
from airflow_provider_atlas.exceptions import InvalidCall
from airflow_provider_atlas.operators.job import AtlasJobOperator, Plan

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

#: After a change, IDLE may be older than the change for so many seconds (as Terraform's provider assumes).
SETTLES = 30.0
IDLE = {"stateName": "IDLE"}
GONE = {"stateName": ["DELETING", "DELETED"]}
RETURNS = ("id", "name", "stateName", "paused", "mongoDBVersion")


def cluster_path(project_id: str, cluster_name: str, rest: str = "") -> str:
    """Path of a cluster, or of something that belongs to it."""
    path = fill("/api/atlas/v2/groups/{groupId}/clusters/{name}", {"groupId": project_id, "name": cluster_name})
    return path + rest


class AtlasUpdateClusterOperator(AtlasJobOperator):
    """
    Change a cluster, and wait until it has the wished fields and is idle.

    A cluster that has them already is not changed. A cluster that is busy is waited for, and so is a refusal that
    passes by itself. A paused cluster refuses changes: resume it first. Returns ``id``, ``name``, ``stateName``,
    ``paused`` and ``mongoDBVersion``.

    .. seealso:: MongoDB Atlas documentation, "Update One Cluster in One Project".

    :param project_id: the cluster's project.
    :param cluster_name: the cluster's name.
    :param json: the fields to change, as the Administration API takes them. ``paused`` travels alone.
    :param atlas_conn_id: id of the connection.
    :param poll_interval: seconds between two looks; it grows slowly, up to four times itself.
    :param max_wait: seconds for everything.
    :param deferrable: wait in the triggerer; default from ``[operators] default_deferrable``.
    :raises InvalidCall: if ``json`` names no field.
    :raises AtlasChangeRefused: if Atlas refuses for a reason that does not pass.
    :raises AtlasJobFailed: if the cluster is being deleted.
    :raises AtlasJobTimeout: if the change is not over within ``max_wait``.
    """

    template_fields: Sequence[str] = ("project_id", "cluster_name", "json", "atlas_conn_id")

    def __init__(self, *, project_id: str, cluster_name: str, json: Mapping[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if isinstance(json, Mapping) and "paused" in json and len(json) > 1:
            raise ValueError("paused must be the only field of json: Atlas refuses it beside another change")
        self.project_id = project_id
        self.cluster_name = cluster_name
        self.json = json

    def _plan(self, context: Context) -> Plan:
        path = cluster_path(self.project_id, self.cluster_name)
        if not isinstance(self.json, Mapping) or not self.json:
            raise InvalidCall("json must be a mapping with the fields to change")
        return Plan(
            endpoint=path,
            method="PATCH",
            json=self.json,
            watched=path,
            until={**leaves(self.json), **IDLE},
            fail_if=GONE,
            returns=RETURNS,
            wish=leaves(self.json, whole=True),
            looks=True,
            ready=(path, IDLE),
            settles=SETTLES,
        )


class _PausedOperator(AtlasUpdateClusterOperator):
    template_fields: Sequence[str] = ("project_id", "cluster_name", "atlas_conn_id")
    paused: ClassVar[bool]

    def __init__(self, *, project_id: str, cluster_name: str, **kwargs: Any) -> None:
        super().__init__(project_id=project_id, cluster_name=cluster_name, json={"paused": self.paused}, **kwargs)


class AtlasPauseClusterOperator(_PausedOperator):
    """
    Pause a cluster, and wait until it is paused and idle. A cluster that is paused already is left as it is.

    A cluster that was resumed runs for 60 minutes before Atlas pauses it: the task waits. Atlas resumes a paused
    cluster by itself after 30 days. Only M10 and larger can be paused, and none with NVMe storage.

    The parameters and the errors are those of :class:`AtlasUpdateClusterOperator`, without ``json``.

    .. seealso:: MongoDB Atlas documentation, "Pause One Cluster".
    """

    paused = True


class AtlasResumeClusterOperator(_PausedOperator):
    """
    Resume a paused cluster, and wait until it runs. A cluster that is not paused is left as it is.

    The parameters and the errors are those of :class:`AtlasUpdateClusterOperator`, without ``json``.

    .. seealso:: MongoDB Atlas documentation, "Resume One Cluster".
    """

    paused = False
