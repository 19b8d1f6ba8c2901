"""Waits in the triggerer for Atlas's work: looks at one resource until a condition holds, and changes nothing.

Two triggerers may run the same trigger for a while, so a change is made on a worker only. What Airflow stores of this
trigger is in plain text: its arguments and its event hold conditions, times and what Atlas states, and no secret.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_atlas import metrics
from airflow_provider_atlas.exceptions import AtlasApiError, AtlasError, ConnectionNotFound, RateLimited
from airflow_provider_atlas.frames import clear
from airflow_provider_atlas.hooks.watch import Watch, cancel
from airflow_provider_atlas.oauth.retry_after import LONGEST_SECONDS, seconds_to_wait
from airflow_provider_atlas.triggers import events
from airflow_provider_atlas.triggers.pool import Shared, shared
from airflow_provider_atlas.triggers.token import sleep_until

log = logging.getLogger(__name__)

#: What is stored as one text, in JSON: Airflow stores texts and numbers the same way in every release.
_JSON = ("params", "until", "fail_if", "returns", "show", "job")


class AtlasJobTrigger(BaseTrigger):
    """
    Look at a resource of the Administration API until a condition holds.

    All times are absolute: a triggerer that replaces another one starts the trigger again with these arguments. The
    event has ``status``: ``success`` with ``body``, or ``error`` with ``error``. It repeats ``job``.

    :param atlas_conn_id: id of the connection.
    :param endpoint: path of the resource, filled in; empty to wait until ``moment`` only.
    :param params: query parameters.
    :param until: what must hold, see :mod:`airflow_provider_atlas.conditions`.
    :param fail_if: what means that the job failed.
    :param returns: fields of the response that the event carries; all if ``None``.
    :param show: further fields whose changes are logged.
    :param moment: when to look first, epoch seconds.
    :param started: when the task began, epoch seconds.
    :param deadline: when to stop, epoch seconds.
    :param poll_interval: seconds between two looks.
    :param growth: factor from one interval to the next.
    :param longest: the longest interval, in seconds.
    :param job: what the operator needs to go on.
    :param cancel: path to DELETE if a user clears the task or sets its state; empty if Atlas cannot cancel the job.
    :param stored: the arguments that are neither texts nor numbers, as :meth:`serialize` writes them.
    """

    def __init__(
        self,
        atlas_conn_id: str = "atlas_default",
        endpoint: str = "",
        params: Any = None,
        until: Any = None,
        fail_if: Any = None,
        returns: Any = None,
        show: Any = None,
        moment: float = 0.0,
        started: float = 0.0,
        deadline: float = 0.0,
        poll_interval: float = 30.0,
        growth: float = 1.0,
        longest: float = 0.0,
        job: Any = None,
        cancel: str = "",
        stored: str = "{}",
        **_: Any,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.atlas_conn_id = atlas_conn_id
        self.endpoint = endpoint
        given = {"params": params, "until": until, "fail_if": fail_if, "returns": returns, "show": show, "job": job}
        given |= json.loads(stored)
        self.params, self.until, self.fail_if, self.returns, self.show, self.job = (given[name] for name in _JSON)
        self.moment = moment
        self.started = started
        self.deadline = deadline
        self.poll_interval = poll_interval
        self.growth = growth
        self.longest = longest
        self.cancel = cancel

    @classmethod
    def of(cls, watch: Watch, **arguments: Any) -> AtlasJobTrigger:
        """The trigger that goes on with a watch."""
        return cls(
            endpoint=watch.endpoint,
            params=watch.params,
            until=watch.until,
            fail_if=watch.fail_if,
            returns=watch.returns,
            show=watch.show,
            started=watch.started,
            **arguments,
        )

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """See ``BaseTrigger``: text and numbers only."""
        texts = ("atlas_conn_id", "endpoint", "cancel")
        numbers = ("moment", "started", "deadline", "poll_interval", "growth", "longest")
        plain = {name: getattr(self, name) for name in (*texts, *numbers)}
        return (
            f"{type(self).__module__}.{type(self).__qualname__}",
            {**plain, "stored": json.dumps({name: getattr(self, name) for name in _JSON})},
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield one event on every path."""
        try:
            payload = {"status": "success", "body": await self._wait()}
        except AtlasError as error:
            payload = events.failure(error)
        except Exception as error:  # noqa: BLE001 - its text and traceback would be stored as they are
            payload = events.failure(AtlasError(f"The trigger failed with {type(error).__name__}"))
        except BaseException as error:  # the trigger's cancellation, or the triggerer's end
            clear(error)
            raise
        yield TriggerEvent({**payload, "job": self.job})  # type: ignore[no-untyped-call]

    async def _wait(self) -> Any:
        await sleep_until(self.moment, LONGEST_SECONDS)
        if not self.endpoint:
            return None
        way = shared(self.atlas_conn_id)
        watch = Watch(
            self.endpoint,
            self.until,
            self.fail_if,
            params=self.params,
            returns=self.returns,
            show=self.show or (),
            started=self.started,
        )
        while True:
            done, result = await self._look(way, watch)
            if done:
                return result
            now = time.time()
            if now >= self.deadline:  # looked at once at least, however long nobody ran this trigger
                raise watch.timeout()
            wait = watch.next_look(self.poll_interval, self.growth, self.longest, now - self.moment)
            await sleep_until(min(now + wait, self.deadline), LONGEST_SECONDS)

    async def _look(self, way: Shared, watch: Watch) -> tuple[bool, Any]:
        try:
            async with asyncio.timeout(max(self.deadline - time.time(), 60.0)):
                done, result = await way.call(watch.look)
        except ConnectionNotFound as error:  # a secrets backend may fail once
            watch.missed(error)
            return False, None
        except TimeoutError:  # the account's turn has not come, or a host name is looked up without an end
            return False, None
        limited = watch.trouble
        if isinstance(limited, RateLimited) or (isinstance(limited, AtlasApiError) and limited.status == 429):
            wait = (await way.ready()).close(limited, seconds_to_wait(limited, 1, deferred=True) or 0.0)
            metrics.waiting(limited, wait)
        return done, result

    async def on_kill(self) -> None:
        """Cancel what can be cancelled, when a user clears the deferred task or sets its state (Airflow 3.3)."""
        job = self.job or {}
        if self.endpoint and job.get("made") and job.get("mine", True):
            way = shared(self.atlas_conn_id)
            await way.call(lambda hook: cancel(hook, self.cancel, self.endpoint, self.until or {}))
