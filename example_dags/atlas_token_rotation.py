"""Renews the deployment's token on a schedule, so that tasks with ``cache_scope=deployment`` make no token request.

The run publishes the new token before it revokes the old one. A task with the old token gets a 401, reads the new token
from the store, and continues. If a run is killed between its two tasks, the next run finishes it: the store contains
the unrevoked tokens. In the first run there is nothing to revoke, and ``revoke_replaced`` is skipped.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow.providers.common.compat.sdk import dag

from airflow_provider_atlas.operators.token import GenerateTokenOperator, RevokeTokenOperator


@dag(
    schedule=timedelta(minutes=45),  # a token expires after an hour and counts as fresh for 55 minutes
    start_date=datetime(2025, 1, 1),
    catchup=False,
    max_active_runs=1,
    tags=["atlas", "example"],
)
def atlas_token_rotation() -> None:
    generate = GenerateTokenOperator(task_id="generate", share=True)
    RevokeTokenOperator(task_id="revoke_replaced", token=generate.output["replaced"])


atlas_token_rotation()
