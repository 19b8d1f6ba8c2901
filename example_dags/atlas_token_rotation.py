"""Scheduled rotation: generate a token, then revoke the one that the run before generated.

The new token exists before the old one goes, so whoever reads the newest XCom always finds one that is valid.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from airflow.providers.common.compat.sdk import dag, task

from airflow_provider_atlas.operators.token import GenerateTokenOperator, RevokeTokenOperator


@dag(
    schedule=timedelta(minutes=45),
    start_date=datetime(2025, 1, 1),
    catchup=False,
    max_active_runs=1,
    tags=["atlas", "example"],
)
def atlas_token_rotation() -> None:
    @task
    def token_before(ti: Any) -> str | None:
        # Asked before this run generates its own; the first run finds none, and its revocation is skipped.
        return ti.xcom_pull(task_ids="generate", key="token", include_prior_dates=True)

    before = token_before()
    generate = GenerateTokenOperator(task_id="generate")
    before >> generate >> RevokeTokenOperator(task_id="revoke_before", token=before)


atlas_token_rotation()
