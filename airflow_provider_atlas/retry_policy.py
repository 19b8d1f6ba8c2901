"""Retries ``@task`` code when Atlas says, from Airflow 3.3 on, so that a rate limit holds no worker slot.

With ``max_wait=0`` on hook or connection nothing waits in the worker: the error reaches Airflow, the policy reads from
it when to retry, and the task leaves its slot until then.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_atlas.exceptions import AtlasError, StoreUnavailable
from airflow_provider_atlas.oauth.retry_after import seconds_to_wait

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context, RetryDecision, RetryPolicy
else:
    try:
        from airflow.providers.common.compat.sdk import RetryPolicy
    except ImportError:  # below 3.3, where it is not used
        RetryPolicy = object


class AtlasRetryPolicy(RetryPolicy):
    """
    Decides about retries after errors of this provider. All other errors are left to Airflow.

    Waits as long as Atlas says for limits and outages, as the operators do when they defer. An error that waiting does
    not cure fails the task at once. The task's ``retries`` limit how often: a policy cannot exceed them.
    """

    def evaluate(
        self, exception: BaseException, try_number: int, max_tries: int, context: Context | None = None
    ) -> RetryDecision:
        """See ``RetryPolicy``."""
        from airflow.providers.common.compat.sdk import RetryDecision

        if not isinstance(exception, AtlasError):
            return RetryDecision.default()
        wait = seconds_to_wait(exception, try_number, deferred=True)
        if wait is None and isinstance(exception, StoreUnavailable):
            return RetryDecision.default()
        if wait is None:
            return RetryDecision.fail(reason=str(exception))
        return RetryDecision.retry(delay=timedelta(seconds=wait), reason=str(exception))

    def serialize(self) -> dict[str, Any]:
        """See ``RetryPolicy``: there is no state."""
        return {}

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> AtlasRetryPolicy:
        """See ``RetryPolicy``."""
        return cls()


def atlas_retry() -> dict[str, Any]:
    """
    Arguments for ``@task``, to be used with ``max_wait=0``: ``@task(retries=5, **atlas_retry())``.

    :return: ``retry_policy`` on Airflow 3.3 and later; nothing below, where the argument itself raises and Airflow's
        own retries apply.
    """
    return {} if RetryPolicy is object else {"retry_policy": AtlasRetryPolicy()}
