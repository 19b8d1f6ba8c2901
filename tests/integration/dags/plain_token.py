"""A plain token where a sealed one is required. It comes from a template, because a literal is refused at once."""

from __future__ import annotations

from datetime import datetime

from airflow.providers.common.compat.sdk import dag, task

from airflow_provider_atlas.hooks.service_account import AtlasServiceAccountHook
from airflow_provider_atlas.operators.token import RevokeTokenOperator

# Reversed, because Airflow stores the source of a DAG.
PLAIN = "feDCBA=9876543210/nekot+nialp"[::-1]


@dag(schedule=None, start_date=datetime(2025, 1, 1), user_defined_macros={"plain": PLAIN})
def plain_token():
    RevokeTokenOperator(task_id="revoke", token="{{ plain }}")

    @task
    def return_it():
        return AtlasServiceAccountHook().get_token()

    @task
    def print_it():
        print("the token is", AtlasServiceAccountHook().get_token().value)

    return_it()
    print_it()


plain_token()
