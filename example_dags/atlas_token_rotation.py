"""Keeps the deployment's token warm: tasks with ``cache_scope=deployment`` find it and make no token request at all.

The new token is out before the old one goes. A task that still holds the old one meets a refusal, finds the new one in
the store, and goes on. A run that dies between its two tasks is finished by the next one, since the store remembers
what is unrevoked; the first run finds nothing to revoke and is skipped there.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow.providers.common.compat.sdk import dag

from airflow_provider_atlas.operators.token import GenerateTokenOperator, RevokeTokenOperator


@dag(
    schedule=timedelta(minutes=45),  # a token lives for an hour, and counts as fresh for 55 minutes
    start_date=datetime(2025, 1, 1),
    catchup=False,
    max_active_runs=1,
    tags=["atlas", "example"],
)
def atlas_token_rotation() -> None:
    generate = GenerateTokenOperator(task_id="generate", share=True)
    RevokeTokenOperator(task_id="revoke_replaced", token=generate.output["replaced"])


atlas_token_rotation()
