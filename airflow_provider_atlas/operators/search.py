"""Search indexes of clusters, for text and for vectors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider_atlas.api.codes import PASSES
from airflow_provider_atlas.api.urls import fill
from airflow_provider_atlas.conditions import get
from airflow_provider_atlas.exceptions import AtlasApiError, AtlasJobFailed
from airflow_provider_atlas.operators.cluster import cluster_path
from airflow_provider_atlas.operators.job import AtlasJobOperator, Plan

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_atlas.hooks.service_account import AtlasServiceAccountHook


class AtlasCreateSearchIndexOperator(AtlasJobOperator):
    """
    Create a search index, and wait until queries can use it.

    If an index of this name exists with the same definition, the task waits for that one; with another definition it
    fails. Returns ``index_id``, ``name`` and ``status``.

    .. seealso:: MongoDB Atlas documentation, "Create One Atlas Search Index".

    :param project_id: the cluster's project.
    :param cluster_name: the cluster.
    :param database: name of the database.
    :param collection: name of the collection.
    :param index_name: name of the index.
    :param definition: ``{"mappings": {"dynamic": True}}`` and the like; ``{"fields": [...]}`` for vectors.
    :param index_type: ``search`` or ``vectorSearch``.
    :param atlas_conn_id: id of the connection.
    :param poll_interval: seconds between two looks; it grows slowly, up to four times itself.
    :param max_wait: seconds for everything.
    :param deferrable: wait in the triggerer; default from ``[operators] default_deferrable``.
    :raises AtlasJobFailed: if the index cannot be built, or exists with another definition.
    """

    template_fields: Sequence[str] = (
        "project_id",
        "cluster_name",
        "database",
        "collection",
        "index_name",
        "definition",
        "atlas_conn_id",
    )

    def __init__(
        self,
        *,
        project_id: str,
        cluster_name: str,
        database: str,
        collection: str,
        index_name: str,
        definition: Mapping[str, Any],
        index_type: str = "search",
        multiple_outputs: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(multiple_outputs=multiple_outputs, **kwargs)
        if index_type not in ("search", "vectorSearch"):
            raise ValueError("index_type must be search or vectorSearch")
        self.project_id = project_id
        self.cluster_name = cluster_name
        self.database = database
        self.collection = collection
        self.index_name = index_name
        self.definition = definition
        self.index_type = index_type

    def _plan(self, context: Context) -> Plan:
        path = cluster_path(self.project_id, self.cluster_name, "/search/indexes")
        names = {"database": self.database, "collection": self.collection, "index": self.index_name}
        return Plan(
            endpoint=path,
            method="POST",
            json={
                "name": self.index_name,
                "database": self.database,
                "collectionName": self.collection,
                "type": self.index_type,
                "definition": self.definition,
            },
            watched=path + fill("/{database}/{collection}/{index}", names),
            until={"status": ["READY", "STEADY"]},
            fail_if={"status": "FAILED"},
            returns=("indexID", "name", "status"),
            cancels=True,
        )

    def _check_existing(self, hook: AtlasServiceAccountHook, path: str) -> None:
        body = hook.run(path)
        if get(body, "status") == "DELETING":
            raise AtlasApiError(f"The index {self.index_name} is being deleted", method="GET", meaning=PASSES)
        if get(body, "type") != self.index_type or not _has(get(body, "latestDefinition"), self.definition):
            raise AtlasJobFailed(
                f"The index {self.index_name} exists with another definition: give it another name, or delete it",
                state=str(get(body, "status")),
            )

    def _result(self, body: Any) -> dict[str, Any]:
        return {"index_id": get(body, "indexID"), "name": get(body, "name"), "status": get(body, "status")}


def _has(shown: Any, wanted: Any, *, whole: bool = False) -> bool:
    """
    Whether Atlas shows a definition. It adds defaults, but no items of a list and no fields to index.

    :param whole: whether an object must have no other names.
    """
    if isinstance(wanted, Mapping):
        if not isinstance(shown, Mapping) or (whole and shown.keys() != wanted.keys()):
            return False
        return all(_has(shown.get(name), value, whole=name == "fields") for name, value in wanted.items())
    if isinstance(wanted, list | tuple):
        return isinstance(shown, list) and len(shown) == len(wanted) and all(map(_has, shown, wanted))
    return bool(shown == wanted)
