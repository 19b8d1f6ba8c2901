"""Revokes and removes the deployment's token."""

from __future__ import annotations

from datetime import datetime

from airflow.providers.common.compat.sdk import dag

from airflow_provider_atlas.operators.token import RevokeTokenOperator


@dag(schedule=None, start_date=datetime(2025, 1, 1))
def decommission():
    RevokeTokenOperator(task_id="revoke", share=True)


decommission()
