"""What all operators share: a connection, a deadline, and a wait that need not hold a worker slot."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.providers.common.compat.sdk import BaseOperator, conf

from airflow_provider_atlas import metrics
from airflow_provider_atlas.cache import machine
from airflow_provider_atlas.exceptions import AtlasError, RateLimited
from airflow_provider_atlas.hooks.service_account import AtlasServiceAccountHook
from airflow_provider_atlas.oauth.retry_after import seconds_to_wait

if TYPE_CHECKING:
    from airflow_provider_atlas.hooks.current import CurrentSettings
    from airflow_provider_atlas.hooks.settings import Settings

#: A deferral costs some 5 s and starts the task twice: a wait of up to so many seconds happens on the worker.
LONGEST_WAIT_ON_WORKER = 10.0
#: A trigger that fires at once can overtake the executor's report of the deferral, and the task is lost; seconds.
SHORTEST_DEFERRAL = 5.0
#: Airflow's timeout of a deferral comes this much after the trigger's deadline, so that a triggerer that dies can be
#: replaced; seconds.
DEFERRAL_TIMEOUT_MARGIN = 120.0


class AtlasBaseOperator(BaseOperator):
    """
    Base of the operators. Waits for Atlas on the worker or, if it is deferrable, in the triggerer.

    :param atlas_conn_id: id of the connection.
    :param max_wait: seconds that the task may wait for Atlas in all, instead of the connection's; 0 raises at once.
        The task's ``execution_timeout`` limits it, also while the task is deferred.
    :param deferrable: wait in the triggerer; default from ``[operators] default_deferrable``.
    """

    def __init__(
        self,
        *,
        atlas_conn_id: str = AtlasServiceAccountHook.default_conn_name,
        max_wait: float | None = None,
        deferrable: bool | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.atlas_conn_id = atlas_conn_id
        self.max_wait = max_wait
        if deferrable is None:
            deferrable = conf.getboolean("operators", "default_deferrable", fallback=False)
        self.deferrable = deferrable

    def _current(self) -> CurrentSettings:
        return AtlasServiceAccountHook(self.atlas_conn_id, max_wait=self.max_wait).current

    def _deadline(self, settings: Settings, started: float) -> float:
        """When the task must stop to wait, in epoch seconds. Airflow 3 has no execution_timeout for deferred tasks."""
        return min(started + settings.max_wait, self._execution_ends(started))

    def _execution_ends(self, started: float) -> float:
        return started + (self.execution_timeout.total_seconds() if self.execution_timeout else float("inf"))

    def _wait_on_worker(self, deadline: float) -> float:
        """Seconds that a call may wait here."""
        left = max(deadline - time.time(), 0.0)
        return min(left, LONGEST_WAIT_ON_WORKER) if self.deferrable else left

    def _raise_if_rate_limited(self, settings: Settings, action: str) -> None:
        """Raise what Atlas would say, if another task on this machine noted it."""
        left = machine.rate_limited_for(settings.account, action, time.time())
        if self.deferrable and left > LONGEST_WAIT_ON_WORKER:
            raise RateLimited("Atlas told another task on this machine to wait", retry_after=left)

    def _defer_or_raise(
        self, settings: Settings, error: AtlasError, *, action: str, started: float, tokens: str = ""
    ) -> NoReturn:
        """Defer if waiting until the task's deadline can help; else raise ``error``."""
        from airflow_provider_atlas.triggers.token import AtlasTokenTrigger

        now, deadline = time.time(), self._deadline(settings, started)
        wait = seconds_to_wait(error, 1, deferred=True)
        if wait is not None and isinstance(error, RateLimited) and error.status is not None:
            machine.note_rate_limit(settings.account, action, now + wait)
        moment = now + max(wait or 0.0, SHORTEST_DEFERRAL)
        if isinstance(error, RateLimited):
            error.allowed = settings.max_wait
            error.remedy = error.remedy_deferrable if self.deferrable else error.remedy
        if not self.deferrable or wait is None or moment > deadline:
            raise error
        metrics.waiting(error, moment - now)
        self.defer(
            trigger=AtlasTokenTrigger(
                atlas_conn_id=self.atlas_conn_id,
                action=action,
                moment=moment,
                started=started,
                deadline=deadline,
                tokens=tokens,
            ),
            method_name="execute_complete",
            timeout=timedelta(seconds=min(deadline + DEFERRAL_TIMEOUT_MARGIN, self._execution_ends(started)) - now),
        )
