"""Retries when Atlas says, at once no more where it is of no use, and nothing at all where Airflow has no policies."""

from __future__ import annotations

from datetime import datetime

import pytest
from airflow.providers.common.compat.sdk import DAG, task

from airflow_provider_atlas import exceptions, retry_policy
from airflow_provider_atlas.retry_policy import AtlasRetryPolicy, atlas_retry

has_policies = pytest.mark.skipif(retry_policy.RetryPolicy is object, reason="retry policies exist from Airflow 3.3 on")


@has_policies
@pytest.mark.parametrize(
    ("error", "at_least", "at_most"),
    [
        (exceptions.RateLimited(retry_after=40), 40, 44),
        (exceptions.RateLimited(window=60.0), 30, 33),
        (exceptions.TokenLimitReached(), 60, 66),
        (exceptions.ServiceUnavailable(retry_after=5), 5, 6),
        (exceptions.AtlasUnreachable(), 1, 2),
        (exceptions.AtlasApiError(status=500, meaning="passes"), 1, 2),
        (exceptions.AtlasApiError(status=503, retry_after=7), 7, 8),
        (exceptions.AtlasApiError(status=409, error_code="OUT_OF_CAPACITY", meaning="passes"), 1, 2),
    ],
)
def test_a_limit_is_retried_when_atlas_says(error, at_least, at_most):
    decision = AtlasRetryPolicy().evaluate(error, 1, 5)
    assert decision.action.value == "retry"
    assert at_least <= decision.retry_delay.total_seconds() <= at_most


@has_policies
@pytest.mark.parametrize("error", [exceptions.UnexpectedResponse(status=200), exceptions.AtlasApiError(status=401)])
def test_what_waiting_does_not_cure_fails_at_once_and_says_why(error):
    decision = AtlasRetryPolicy().evaluate(error, 1, 5)
    assert (decision.action.value, decision.reason) == ("fail", str(error))


@has_policies
@pytest.mark.parametrize("try_number", [1, 3, 4, 5, 40])
@pytest.mark.parametrize(
    "error", [exceptions.ServerError(status=500), exceptions.AtlasApiError(status=502, meaning="passes")]
)
def test_a_task_s_first_error_inside_atlas_is_retried_however_often_the_task_was_tried(error, try_number):
    assert AtlasRetryPolicy().evaluate(error, try_number, 50).action.value == "retry"


@has_policies
def test_other_errors_are_airflow_s_own_affair():
    assert AtlasRetryPolicy().evaluate(ValueError(), 1, 5).action.value == "default"


@has_policies
def test_it_survives_the_serialization_of_a_dag():
    from airflow.serialization.serialized_objects import DagSerialization

    with DAG("d", schedule=None, start_date=datetime(2025, 1, 1)) as dag:

        @task(retries=3, **atlas_retry())
        def call():
            pass

        call()
    written = DagSerialization.to_dict(dag)
    assert "has_retry_policy" in str(written)
    assert isinstance(AtlasRetryPolicy.deserialize(AtlasRetryPolicy().serialize()), AtlasRetryPolicy)


def test_where_airflow_has_no_policies_there_is_no_argument(monkeypatch):
    monkeypatch.setattr(retry_policy, "RetryPolicy", object)
    assert atlas_retry() == {}
