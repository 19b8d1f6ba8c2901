"""Lists projects and their clusters in mapped tasks that share one token, and prints a report."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from airflow.providers.common.compat.sdk import dag, task

from airflow_provider_atlas.hooks.service_account import AtlasServiceAccountHook
from airflow_provider_atlas.operators.token import GenerateTokenOperator, RevokeTokenOperator


@dag(schedule=None, start_date=datetime(2025, 1, 1), catchup=False, tags=["atlas", "example"])
def atlas_clusters_report() -> None:
    generate = GenerateTokenOperator(task_id="generate")
    token = generate.output["token"]

    @task
    def projects(token: str) -> list[dict[str, str]]:
        hook = AtlasServiceAccountHook(token=token)
        return [{"id": group["id"], "name": group["name"]} for group in hook.paginate("/api/atlas/v2/groups")]

    @task
    def clusters(project: dict[str, str], token: str) -> dict[str, Any]:
        hook = AtlasServiceAccountHook(token=token)
        found = hook.paginate(f"/api/atlas/v2/groups/{project['id']}/clusters")
        return {"project": project["name"], "clusters": sorted(cluster["name"] for cluster in found)}

    @task
    def report(rows: list[dict[str, Any]]) -> str:
        lines = [f"{row['project']}: {len(row['clusters'])} clusters ({', '.join(row['clusters'])})" for row in rows]
        print("\n".join(lines))
        return "\n".join(lines)

    listed = projects(token)
    per_project = clusters.partial(token=token).expand(project=listed)
    revoke = RevokeTokenOperator(task_id="revoke", token=token)
    generate.as_setup() >> [listed, per_project] >> revoke.as_teardown(setups=generate)
    report(per_project)


atlas_clusters_report()
