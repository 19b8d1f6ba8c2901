"""What the example DAGs need to run against a sandbox: clusters, and the Variables that name them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_atlas.sandbox.backups import BUCKET_IDS
from airflow_provider_atlas.sandbox.resources import ORG_ID

if TYPE_CHECKING:
    from airflow_provider_atlas.sandbox import Sandbox
    from harness.airflow import PrivateAirflow

#: Clusters with the tag of the nightly pause.
OFFICE = ("reports", "search", "sessions")


def prepare(airflow: PrivateAirflow, sandbox: Sandbox) -> None:
    """Add the clusters to the sandbox, and the Variables to Airflow."""
    for name in OFFICE:
        sandbox.add_cluster(name, tags={"schedule": "office"})
    variables = {
        "atlas_org_id": f"{ORG_ID:024x}",
        "atlas_project_id": sandbox.add_cluster("orders"),
        "atlas_cluster_name": "orders",
        "atlas_staging_project_id": sandbox.add_cluster("staging", project=1),
        "atlas_staging_cluster_name": "staging",
        "atlas_export_bucket_id": f"{BUCKET_IDS:024x}",
    }
    for key, value in variables.items():
        airflow.rest.request("POST", "/variables", {"key": key, "value": value})
