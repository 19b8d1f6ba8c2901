"""Wait for any resource of the Administration API, on the worker, rescheduled or deferred."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.providers.common.compat.sdk import (
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
    AirflowTaskTimeout,
    BaseOperator,
    BaseSensorOperator,
    PokeReturnValue,
    conf,
)

from airflow_provider_atlas.api.urls import fill, query
from airflow_provider_atlas.conditions import Condition, check_given, check_rendered
from airflow_provider_atlas.exceptions import AtlasJobTimeout
from airflow_provider_atlas.frames import cleared
from airflow_provider_atlas.hooks.service_account import AtlasServiceAccountHook
from airflow_provider_atlas.hooks.watch import Watch
from airflow_provider_atlas.operators.base import DEFERRAL_TIMEOUT_MARGIN, SHORTEST_DEFERRAL
from airflow_provider_atlas.operators.link import AtlasLink
from airflow_provider_atlas.triggers import events

try:
    from airflow.sdk.exceptions import TaskDeferralTimeout
except ImportError:
    try:
        from airflow.exceptions import TaskDeferralTimeout  # type: ignore[no-redef]
    except ImportError:  # 2.11, whose error for a trigger that failed is the same
        from airflow.exceptions import TaskDeferralError as TaskDeferralTimeout  # type: ignore[no-redef]

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

log = logging.getLogger(__name__)

#: The shortest interval of a deferred sensor, in seconds.
SHORTEST_INTERVAL = 1.0


class AtlasSensor(BaseSensorOperator):
    """
    True once a condition holds on a resource. Its XCom is the response, or the named fields of it.

    A rate limit, an error inside Atlas and a lost connection are "not yet". Every argument of a sensor means the same
    in the modes ``poke`` and ``reschedule`` and deferred.

    .. seealso:: MongoDB Atlas documentation, "Atlas Administration API".

    :param endpoint: path such as ``/api/atlas/v2/groups/{groupId}/clusters/{clusterName}``.
    :param path: values for the names in ``endpoint``.
    :param query_params: query parameters. (``params`` is Airflow's own argument of every operator.)
    :param until: what must hold, see :mod:`airflow_provider_atlas.conditions`; ``{"$found": False}`` waits for a 404.
    :param fail_if: what means that it cannot hold any more. It is looked at first.
    :param returns: name of a field of the response, or a list of names; all of it if left out.
    :param atlas_conn_id: id of the connection.
    :param deferrable: wait in the triggerer; default from ``[operators] default_deferrable``.
    :raises AtlasJobFailed: if ``fail_if`` holds.
    """

    template_fields: Sequence[str] = (
        "endpoint",
        "path",
        "query_params",
        "until",
        "fail_if",
        "returns",
        "atlas_conn_id",
    )
    operator_extra_links = (AtlasLink(),)

    def __init__(
        self,
        *,
        endpoint: str,
        until: Condition,
        path: Mapping[str, Any] | None = None,
        query_params: Mapping[str, Any] | None = None,
        fail_if: Condition | None = None,
        returns: str | Sequence[str] | None = None,
        atlas_conn_id: str = AtlasServiceAccountHook.default_conn_name,
        deferrable: bool | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._given = check_given(until=until, **({} if fail_if is None else {"fail_if": fail_if}))
        if deferrable is None:
            deferrable = conf.getboolean("operators", "default_deferrable", fallback=False)
        self.endpoint = endpoint
        self.path = path
        self.query_params = query_params
        self.until = until
        self.fail_if = fail_if
        self.returns = returns
        self.atlas_conn_id = atlas_conn_id
        self.deferrable = deferrable
        self._looks: tuple[AtlasServiceAccountHook, Watch] | None = None

    @cleared
    def poke(self, context: Context) -> bool | PokeReturnValue:
        """Look once."""
        if self._looks is None:
            hook = AtlasServiceAccountHook(self.atlas_conn_id, max_wait=0)
            self._looks = hook, self._watch(time.time())
            AtlasLink().show(context, self, hook, self._looks[1].endpoint)
        hook, watch = self._looks
        done, result = watch.look(hook)
        return PokeReturnValue(True, result) if done else False

    @cleared
    def execute(self, context: Context) -> Any:
        if not self.deferrable:
            return super().execute(context)
        started = time.time()
        with self._as_poked():
            try:
                found = self.poke(context)
            except AirflowFailException:
                raise
            except Exception as error:  # noqa: BLE001 - whatever `poke` raises
                found = self._silenced(error)
            if isinstance(found, PokeReturnValue):
                return found.xcom_value
        if self.timeout <= 0:
            self._time_out(f"The sensor has no time to wait: its timeout is {self.timeout} s")
        return self._defer(started)

    @cleared
    def execute_complete(self, context: Context, event: Any = None) -> Any:
        """Go on with what the trigger saw."""
        job = event.get("job") if isinstance(event, Mapping) else None
        started = float(job["started"]) if isinstance(job, Mapping) and "started" in job else time.time()
        with self._as_poked():
            AtlasLink().show(context, self, AtlasServiceAccountHook(self.atlas_conn_id), self._watch(started).endpoint)
            try:
                return events.body(event)
            except AtlasJobTimeout as error:
                if self._ends(started) < started + self.timeout:
                    raise AirflowTaskTimeout(str(error)) from None
                timeout = str(error)
            except AirflowFailException:
                raise
            except Exception as error:  # noqa: BLE001 - as above
                self._silenced(error)
                timeout = ""
        if timeout or time.time() >= self._ends(started):
            self._time_out(timeout or "The sensor has timed out")
        return self._defer(started)

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """As of ``BaseOperator``: the sensor's own takes a refusal for something else than ``poke`` does."""
        try:
            return BaseOperator.resume_execution(self, next_method, next_kwargs, context)
        except TaskDeferralTimeout as error:
            message = str(error)
            if "timeout" not in message.lower():
                raise
        return self._time_out(message)

    @contextmanager
    def _as_poked(self) -> Iterator[None]:
        """Let ``soft_fail`` and ``never_fail`` mean what they mean for ``poke`` (``BaseSensorOperator.execute``)."""
        try:
            yield
        except AirflowSkipException:
            raise
        except (AirflowTaskTimeout, AirflowFailException) as error:
            if self.soft_fail or self.never_fail:
                raise AirflowSkipException(f"Skipped, as the sensor does not fail: {error}") from error
            raise
        except Exception as error:
            if self.never_fail:
                raise AirflowSkipException(f"Skipped, as the sensor does not fail: {error}") from error
            raise

    def _silenced(self, error: Exception) -> bool:
        """Log an error and go on, if ``silent_fail`` says so."""
        if not self.silent_fail:
            raise error
        log.error("The look failed, and the sensor goes on: %s", error)
        return False

    def _time_out(self, message: str) -> NoReturn:
        if self.soft_fail:
            raise AirflowSkipException(message)
        raise AirflowSensorTimeout(message)

    def _ends(self, started: float) -> float:
        limit = self.execution_timeout.total_seconds() if self.execution_timeout else float("inf")
        return started + min(self.timeout, limit)

    def _watch(self, started: float) -> Watch:
        check_rendered(self, self._given)
        return Watch(
            fill(self.endpoint, self.path),
            self.until,
            self.fail_if,
            params=query(self.query_params),
            returns=self.returns,
            started=started,
        )

    def _defer(self, started: float) -> NoReturn:
        from airflow_provider_atlas.triggers.job import AtlasJobTrigger

        now, deadline, watch = time.time(), self._ends(started), self._watch(started)
        interval = max(self.poke_interval, SHORTEST_INTERVAL)
        longest = interval
        if self.exponential_backoff:
            longest = self.max_wait.total_seconds() if self.max_wait else self.timeout
        self.defer(
            trigger=AtlasJobTrigger.of(
                watch,
                atlas_conn_id=self.atlas_conn_id,
                moment=now + max(min(interval, deadline - now), SHORTEST_DEFERRAL),
                deadline=deadline,
                poll_interval=interval,
                growth=2.0 if self.exponential_backoff else 1.0,
                longest=longest,
                job={"started": started},
            ),
            method_name="execute_complete",
            timeout=timedelta(seconds=max(deadline - now, SHORTEST_DEFERRAL) + DEFERRAL_TIMEOUT_MARGIN),
        )
