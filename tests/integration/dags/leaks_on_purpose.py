"""Runs the operator of :mod:`leaky`."""

from __future__ import annotations

from datetime import datetime

from airflow.providers.common.compat.sdk import dag
from leaky import LeakyOperator, decoy


@dag(schedule=None, start_date=datetime(2025, 1, 1))
def leaks_on_purpose():
    LeakyOperator(task_id="leak", harmless_field="{{ params.get('x') or '" + decoy("rendered") + "' }}")


leaks_on_purpose()
