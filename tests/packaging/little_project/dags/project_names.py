"""Lists the organization's projects with one token for the run, which is revoked even if the run fails."""

from __future__ import annotations

from airflow.providers.common.compat.sdk import dag, task

from airflow_provider_atlas.hooks.service_account import AtlasServiceAccountHook
from airflow_provider_atlas.operators.token import GenerateTokenOperator, RevokeTokenOperator


@task
def list_names(token: str | None = None) -> list[str]:
    return [group["name"] for group in AtlasServiceAccountHook(token=token).paginate("/api/atlas/v2/groups")]


@dag(schedule=None)
def project_names():
    generate = GenerateTokenOperator(task_id="generate").as_setup()
    revoke = RevokeTokenOperator(task_id="revoke", token=generate.output["token"]).as_teardown(setups=generate)
    list_names(generate.output["token"]) >> revoke


made = project_names()
