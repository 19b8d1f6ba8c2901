"""The example DAGs of Atlas's work, with the clusters of the demo: some wait for another's change of their cluster."""

from __future__ import annotations

import pytest

from airflow_provider_atlas.sandbox import Sandbox
from demo import clusters
from harness.airflow import EXAMPLES, PrivateAirflow

pytestmark = pytest.mark.long
WORK = ("atlas_clusters_night", "atlas_scale_for_the_day", "atlas_snapshot_restore", "atlas_weekly_export")


@pytest.fixture(scope="module")
def sandbox():
    with Sandbox(rate_limit=100) as running:
        yield running


@pytest.fixture(scope="module")
def airflow(sandbox):
    connections = {"atlas_default": sandbox.connection}
    with PrivateAirflow(EXAMPLES, connections=connections, by_schedule=True) as running:
        clusters.prepare(running, sandbox)
        yield running


def test_each_example_of_atlas_s_work_succeeds_at_the_same_time(airflow, sandbox):
    started = {dag_id: airflow.schedule(dag_id) for dag_id in WORK}
    for dag_id, run_id in started.items():
        run = airflow.wait(dag_id, run_id, 300)
        assert run.state == "success", "\n".join(run.errors(airflow.logs()))
    mine = sandbox.clusters[0]
    assert {name for name, cluster in mine.items() if cluster.paused_since} == set(clusters.OFFICE)
    run = airflow.wait("atlas_clusters_morning", airflow.schedule("atlas_clusters_morning"), 300)
    assert run.state == "success", "\n".join(run.errors(airflow.logs()))
    assert not [name for name, cluster in mine.items() if cluster.paused_since]


def test_every_example_is_run_by_a_test():
    """The others: in tests/integration/test_leaks.py, and by the demo, whose end tests/demo checks."""
    elsewhere = {"atlas_clusters_report", "atlas_secret_rotation", "atlas_token_lifecycle", "atlas_token_rotation"}
    assert {path.stem for path in EXAMPLES.glob("*.py")} == elsewhere | set(WORK)
