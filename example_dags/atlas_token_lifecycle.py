"""One token for a DAG run: the setup generates it, mapped tasks use it, and the teardown always revokes it."""

from __future__ import annotations

from datetime import datetime

from airflow.providers.common.compat.sdk import dag, task

from airflow_provider_atlas.hooks.service_account import AtlasServiceAccountHook
from airflow_provider_atlas.operators.token import GenerateTokenOperator, RevokeTokenOperator


@dag(schedule=None, start_date=datetime(2025, 1, 1), catchup=False, tags=["atlas", "example"])
def atlas_token_lifecycle() -> None:
    generate = GenerateTokenOperator(task_id="generate")
    revoke = RevokeTokenOperator(task_id="revoke", token=generate.output["token"])

    @task
    def count_projects(page: int, token: str) -> int:
        hook = AtlasServiceAccountHook(token=token)
        return len(hook.run("/api/atlas/v2/groups", params={"pageNum": page, "itemsPerPage": 5})["results"])

    pages = count_projects.partial(token=generate.output["token"]).expand(page=[1, 2, 3, 4])
    generate.as_setup() >> pages >> revoke.as_teardown(setups=generate)


atlas_token_lifecycle()
