"""Each job operator and the sensor in DAGs: mapped, as setup and teardown, deferrable and not; and what a DAG shows."""

from __future__ import annotations

from datetime import datetime

import pytest
from airflow.providers.common.compat.sdk import DAG

from airflow_provider_atlas.operators.api import AtlasOperator
from airflow_provider_atlas.operators.backup import (
    AtlasCreateSnapshotOperator,
    AtlasExportSnapshotOperator,
    AtlasRestoreSnapshotOperator,
)
from airflow_provider_atlas.operators.cluster import (
    AtlasPauseClusterOperator,
    AtlasResumeClusterOperator,
    AtlasUpdateClusterOperator,
)
from airflow_provider_atlas.operators.link import page
from airflow_provider_atlas.operators.search import AtlasCreateSearchIndexOperator
from airflow_provider_atlas.sensors.api import AtlasSensor
from tests.operators.jobs import PROJECT

PLACE = {"project_id": PROJECT, "cluster_name": "cluster-0"}
INDEX = {"database": "a", "collection": "b", "definition": {"mappings": {"dynamic": True}}}
TARGET = {"target_project_id": PROJECT, "target_cluster_name": "cluster-1", "confirm_target": "cluster-1"}
#: Each with its arguments, and the one that is expanded.
OPERATORS = [
    (AtlasPauseClusterOperator, {"project_id": PROJECT}, {"cluster_name": ["cluster-0", "cluster-1"]}),
    (AtlasResumeClusterOperator, {"project_id": PROJECT}, {"cluster_name": ["cluster-0", "cluster-1"]}),
    (AtlasUpdateClusterOperator, {**PLACE, "json": {"pitEnabled": False}}, {"cluster_name": ["cluster-0"]}),
    (AtlasCreateSnapshotOperator, {**PLACE, "description": "x"}, {"cluster_name": ["cluster-0"]}),
    (AtlasRestoreSnapshotOperator, {**PLACE, **TARGET}, {"snapshot_id": ["1", "2"]}),
    (AtlasExportSnapshotOperator, {**PLACE, "export_bucket_id": "x"}, {"snapshot_id": ["1", "2"]}),
    (AtlasCreateSearchIndexOperator, {**PLACE, **INDEX}, {"index_name": ["a", "b"]}),
    (AtlasOperator, {"until": {"stateName": "IDLE"}}, {"endpoint": ["/a", "/b"]}),
    (AtlasSensor, {"until": {"stateName": "IDLE"}}, {"endpoint": ["/a", "/b"]}),
]
every_operator = pytest.mark.parametrize(("kind", "kwargs", "expanded"), OPERATORS, ids=lambda value: str(value)[-60:])


@every_operator
@pytest.mark.parametrize("deferrable", [True, False])
def test_each_can_be_mapped_and_be_a_setup_or_a_teardown(kind, kwargs, expanded, deferrable):
    whole = {**kwargs, **{name: values[0] for name, values in expanded.items()}}
    rest = {name: value for name, value in kwargs.items() if name not in expanded}
    with DAG("jobs", start_date=datetime(2025, 1, 1), schedule=None):
        mapped = kind.partial(task_id="mapped", deferrable=deferrable, **rest).expand(**expanded)
        begin = kind(task_id="begin", deferrable=deferrable, **whole).as_setup()
        end = kind(task_id="end", deferrable=deferrable, **whole).as_teardown(setups=begin)
    assert (mapped.task_id, begin.is_setup, end.is_teardown) == ("mapped", True, True)
    assert [link.name for link in begin.operator_extra_links] == ["Open in Atlas"]
    assert set(kind.template_fields) <= set(vars(begin))


@pytest.mark.parametrize("value", ["true", "false"])
def test_the_default_of_deferrable_is_airflow_s(monkeypatch, value):
    monkeypatch.setenv("AIRFLOW__OPERATORS__DEFAULT_DEFERRABLE", value)
    assert AtlasSensor(task_id="a", endpoint="/a", until={"a": 1}).deferrable is (value == "true")
    assert AtlasPauseClusterOperator(task_id="a", **PLACE).deferrable is (value == "true")


@pytest.mark.parametrize(
    ("endpoint", "expected"),
    [
        ("/api/atlas/v2/groups/1/clusters/a/backup/snapshots/2", "https://x/v2/1#/clusters/detail/a"),
        ("/api/atlas/v2/groups/1/clusters/a%26b", "https://x/v2/1#/clusters/detail/a%26b"),
        ("/api/atlas/v2/groups/1/flexClusters/a", "https://x/v2/1#/clusters/detail/a"),
        ("/api/atlas/v2/groups/1/alerts", "https://x/v2/1#/clusters"),
        ("/api/atlas/v2/orgs", "https://x"),
    ],
)
def test_the_link_leads_to_the_cluster_or_the_project(endpoint, expected):
    assert page("https://x", endpoint) == expected
