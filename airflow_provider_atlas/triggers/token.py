"""Waits for Atlas in the triggerer, where waiting costs no worker slot, and asks it there.

What Airflow stores of a trigger is in plain text: its arguments, its event, and the traceback of one that fails. So the
arguments hold a connection id, times and sealed text, the event a sealed token or a scrubbed error, and every path ends
in an event.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from itertools import count
from typing import Any, TypeVar

from airflow.providers.common.compat.connection import get_async_connection
from airflow.providers.common.compat.sdk import AirflowNotFoundException
from airflow.triggers.base import BaseTrigger, TriggerEvent
from asgiref.sync import sync_to_async

from airflow_provider_atlas import metrics
from airflow_provider_atlas.cache import sealing
from airflow_provider_atlas.exceptions import dump
from airflow_provider_atlas.oauth.errors import AtlasError, InvalidCall, InvalidConnection, RateLimited
from airflow_provider_atlas.oauth.limits import LONGEST_WAIT, seconds_to_wait
from airflow_provider_atlas.triggers.gate import Gate, gate_for

T = TypeVar("T")

#: A sleep is cut into pieces of so many seconds, so that a clock that steps is noticed.
TICK = 5.0


class AtlasTokenTrigger(BaseTrigger):
    """
    Wait until a moment, then generate or revoke.

    A triggerer that takes over from a dead one starts the trigger anew with the arguments that it had, so all times are
    absolute. Arguments of other releases are ignored where unknown and have a default where missing.

    The event has ``status``: ``success`` with ``token``, sealed, or ``revoked``, which is ``tokens`` again; or
    ``error`` with ``error``, as ``airflow_provider_atlas.exceptions.dump`` writes it.

    :param atlas_conn_id: id of the connection.
    :param action: ``generate`` or ``revoke``.
    :param moment: when to ask first, epoch seconds.
    :param started: when the task began to wait, epoch seconds.
    :param deadline: when to give up, epoch seconds.
    :param tokens: sealed tokens to revoke, separated by spaces.
    """

    def __init__(
        self,
        atlas_conn_id: str = "atlas_default",
        action: str = "generate",
        moment: float = 0.0,
        started: float = 0.0,
        deadline: float = 0.0,
        tokens: str = "",
        **_: Any,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.atlas_conn_id = atlas_conn_id
        self.action = action
        self.moment = moment
        self.started = started
        self.deadline = deadline
        self.tokens = tokens

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """See ``BaseTrigger``: text and numbers only."""
        names = ("atlas_conn_id", "action", "moment", "started", "deadline", "tokens")
        return f"{type(self).__module__}.{type(self).__qualname__}", {name: getattr(self, name) for name in names}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield one event, whatever happens."""
        try:  # here and not above: arguments of another release that cannot be reckoned with are an event, too
            self.started, self.deadline = self.started or self.moment, self.deadline or self.moment + 300
            await _until(self.moment)
            payload = await self._act()
        except AtlasError as error:
            payload = {"status": "error", "error": dump(error)}
        except Exception as error:  # noqa: BLE001 - its text and traceback would be stored as they are
            unknown = AtlasError(f"The trigger failed with {type(error).__name__}")
            payload = {"status": "error", "error": dump(unknown)}
        yield TriggerEvent(payload)  # type: ignore[no-untyped-call]

    async def _act(self) -> dict[str, Any]:
        if self.action not in ("generate", "revoke"):
            raise InvalidCall(f"The trigger does not know the action {self.action}")
        try:
            # Whoever is first here reads the connection: hundreds that wake in one moment and read it block the loop.
            async with self._turn(queue := gate_for((self.atlas_conn_id, self.action))):
                tools = await self._connect()
                gate = queue.leads_to = gate_for((tools.account.fingerprint, self.action))
                if self.action == "generate":
                    return {"status": "success", "token": await self._ask(gate, tools, tools.generate)}
                for text in self.tokens.split():
                    await self._ask(gate, tools, partial(tools.revoke, text))
                return {"status": "success", "revoked": self.tokens}
        except AtlasError as error:
            error.waited = time.time() - self.started
            raise

    @asynccontextmanager
    async def _turn(self, gate: Gate) -> AsyncIterator[None]:
        """Queue up until it is this trigger's turn, or too late."""
        try:
            async with asyncio.timeout(max(self.deadline - time.time(), 0.0)) as queueing, gate.place():
                queueing.reschedule(None)
                yield
        except TimeoutError:
            if queueing.expired():
                raise _too_late() from None
            raise

    async def _connect(self) -> _Tools:
        try:
            connection = await get_async_connection(self.atlas_conn_id)
        except AirflowNotFoundException:
            connection = None
        if connection is None:
            raise InvalidConnection(f"The connection {self.atlas_conn_id} does not exist any more")
        return await _in_thread(partial(_Tools, connection))

    async def _ask(self, gate: Gate, tools: _Tools, call: Callable[[], T]) -> T:
        """Ask in turn, as often as it takes until the deadline."""
        async with self._turn(gate):
            for attempt in count(1):
                if time.time() + gate.closed_for > self.deadline:
                    break
                await gate.opened()
                try:
                    answer = await _in_thread(call)
                except asyncio.CancelledError:
                    tools.abandoned = True
                    raise
                except AtlasError as error:
                    wait = seconds_to_wait(error, attempt, deferred=True)
                    if wait is None or time.time() + gate.refused(error, wait) > self.deadline:
                        raise
                    metrics.waiting(error, gate.closed_for)
                else:
                    gate.passed()
                    return answer
        raise _too_late()


class _Tools:
    """
    Generate and revoke for a connection, for a thread: blocking, and loads ``requests`` and ``cryptography``.

    No token is registered with the log masker, which only grows: a triggerer lives for weeks.
    """

    def __init__(self, connection: Any) -> None:
        from airflow_provider_atlas.hooks.settings import Settings
        from airflow_provider_atlas.oauth.client import TokenClient

        settings = Settings.from_connection(connection)
        self.account = settings.account
        self.abandoned = False  # nobody will get what the request that is under way brings
        self._client = TokenClient(settings.account, settings.transport)

    def generate(self) -> str:
        """A new token, sealed."""
        token = self._client.generate()
        if self.abandoned:
            self._client.revoke(token.value)
        metrics.count("generated")
        return sealing.seal(self.account, token)

    def revoke(self, text: str) -> None:
        """Revoke a sealed token."""
        self._client.revoke(sealing.unseal(self.account, text).value)
        metrics.count("revoked")


def _too_late() -> RateLimited:
    return RateLimited("Others that wait for the same service account come first, and max_wait is over before")


async def _in_thread(call: Callable[[], T]) -> T:
    return await sync_to_async(call, thread_sensitive=False)()


async def _until(moment: float) -> None:
    """Sleep until a wall-clock time; a clock that steps back prolongs nothing, one that steps forward shortens."""
    left = min(moment - time.time(), LONGEST_WAIT)
    end = time.monotonic() + left
    while (left := min(moment - time.time(), end - time.monotonic())) > 0:
        await asyncio.sleep(min(left, TICK))
