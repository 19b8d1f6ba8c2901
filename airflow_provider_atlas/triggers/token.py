"""Waits for Atlas in the triggerer, where waiting costs no worker slot, and makes the request there.

What Airflow stores of a trigger is in plain text: its arguments, its event, and the traceback of a failure. So the
arguments hold a connection id, times and sealed tokens, the event a sealed token or a scrubbed error, and every path
ends in an event.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from contextvars import copy_context
from functools import partial
from typing import Any, Generic, TypeVar, cast

from airflow.providers.common.compat.connection import get_async_connection
from airflow.providers.common.compat.sdk import AirflowNotFoundException
from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_atlas import metrics
from airflow_provider_atlas.exceptions import AtlasError, AtlasUnreachable, ConnectionNotFound, InvalidCall, RateLimited
from airflow_provider_atlas.frames import clear, cleared
from airflow_provider_atlas.oauth.retry_after import LONGEST_WAIT, Backoff
from airflow_provider_atlas.triggers import events
from airflow_provider_atlas.triggers.gate import Gate, gate_for

T = TypeVar("T")

#: A sleep is cut into pieces of so many seconds, so that a step of the clock is noticed.
TICK = 5.0
#: A request's thread that takes this much longer than the request may is left behind; seconds.
THREAD_MARGIN = 5.0


class AtlasTokenTrigger(BaseTrigger):
    """
    Wait until a moment, then generate or revoke.

    A triggerer that replaces a dead one starts the trigger again with its original arguments, so all times are
    absolute. Arguments of other releases are ignored where unknown and have a default where missing.

    The event has ``status``: ``success`` with ``token``, sealed, or ``revoked``, the sealed tokens that were revoked;
    or ``error`` with ``error``, see ``airflow_provider_atlas.triggers.events``. It repeats ``deadline``.

    :param atlas_conn_id: id of the connection.
    :param action: ``generate`` or ``revoke``.
    :param moment: when to make the first request, epoch seconds.
    :param started: when the task began to wait, epoch seconds.
    :param deadline: when to stop, epoch seconds.
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
        self._tokens: Any = None

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """See ``BaseTrigger``: text and numbers only."""
        names = ("atlas_conn_id", "action", "moment", "started", "deadline", "tokens")
        return f"{type(self).__module__}.{type(self).__qualname__}", {name: getattr(self, name) for name in names}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield one event on every path."""
        revoked: list[str] = []
        try:  # arguments of another release that are not numbers must end in an event, too
            self.started, self.deadline = self.started or self.moment, self.deadline or self.moment + 300
            await sleep_until(self.moment)
            payload = {"status": "success", **await self._act(revoked)}
        except AtlasError as error:
            payload = events.failure(error)
        except Exception as error:  # noqa: BLE001 - its text and traceback would be stored as they are
            payload = events.failure(AtlasError(f"The trigger failed with {type(error).__name__}"))
        except BaseException as error:  # the trigger's cancellation, or the triggerer's end
            clear(error)
            raise
        if self.action == "revoke":
            payload["revoked"] = " ".join(revoked)
        yield TriggerEvent({**payload, "deadline": self.deadline})  # type: ignore[no-untyped-call]

    async def _act(self, revoked: list[str]) -> dict[str, Any]:
        if self.action not in ("generate", "revoke"):
            raise InvalidCall(f"The trigger's action must be generate or revoke, not {self.action}")
        try:
            # The first in this queue reads the connection: hundreds that wake at one moment and read it block the loop.
            async with self._turn(queue := gate_for((self.atlas_conn_id, self.action))):
                self._tokens = tokens = await self._read_tokens()
                gate = queue.leads_to = gate_for((tokens.account.fingerprint, self.action))
                if self.action == "generate":
                    return {"token": await self._following(partial(self._generate, gate))}
                await self._revoke(gate, revoked)
                return {}
        except AtlasError as error:
            error.waited = time.time() - self.started
            raise

    async def _following(self, step: Callable[[Any], Awaitable[T]]) -> T:
        """Take a step, and again if its client secret was replaced, see :mod:`airflow_provider_atlas.hooks.current`."""
        from airflow_provider_atlas.hooks.current import REFUSALS, may_have_changed, successor

        while True:
            tokens = self._tokens
            try:
                return await step(tokens)
            except REFUSALS as error:
                if not may_have_changed(self.atlas_conn_id, tokens.settings, error):
                    raise
                read = (await self._read_tokens()).settings
                settings = successor(self.atlas_conn_id, tokens.settings, read, error)
                if settings is None:
                    raise
                self._tokens = type(tokens)(settings, mask=False)

    async def _revoke(self, gate: Gate, revoked: list[str]) -> None:
        """Revoke every token that can be revoked, and raise the first error after that."""

        async def revoke(tokens: Any) -> None:
            token = await _in_thread(partial(tokens.unseal, text))
            await self._request(gate, Handover(partial(tokens.revoke, token.value)), tokens.request_time)

        failure = None
        for text in self.tokens.split():
            try:
                await self._following(revoke)
                revoked.append(text)
            except AtlasError as error:
                failure = failure or error
        if failure is not None:
            raise failure

    async def _generate(self, gate: Gate, tokens: Any) -> str:
        def generate() -> tuple[Any, str]:
            token = tokens.generate()
            return token, tokens.seal(token)

        handover = Handover(generate, lambda pair: tokens.revoke_or_warn(pair[0]))
        return (await self._request(gate, handover, tokens.request_time))[1]

    @asynccontextmanager
    async def _turn(self, gate: Gate) -> AsyncIterator[None]:
        """Queue until it is this trigger's turn, or until the deadline."""
        try:
            async with asyncio.timeout(max(self.deadline - time.time(), 0.0)) as queueing, gate.turn():
                queueing.reschedule(None)
                yield
        except TimeoutError:
            if queueing.expired():
                raise _too_late() from None
            raise

    async def _read_tokens(self) -> Any:
        """What requests and revokes, loaded and made in a thread: it imports ``requests`` and ``cryptography``."""
        backoff = Backoff(deferred=True)
        while (connection := await self._connection()) is None:
            error = ConnectionNotFound(f"The connection {self.atlas_conn_id} was not found")
            wait = backoff.seconds(error)
            if wait is None or time.time() + wait > self.deadline:
                raise error
            await asyncio.sleep(wait)

        def make() -> Any:
            from airflow_provider_atlas.hooks.settings import Settings
            from airflow_provider_atlas.hooks.tokens import Tokens

            return Tokens(Settings.from_connection(connection), mask=False)

        return await _in_thread(make)

    async def _connection(self) -> Any:
        with suppress(AirflowNotFoundException):
            return await get_async_connection(self.atlas_conn_id)
        return None

    async def _request(self, gate: Gate, handover: Handover[T], longest: float) -> T:
        """
        Make a request in turn, as often as it takes until the deadline.

        :param longest: seconds that one request may take. The lookup of a host name has no bound of its own.
        """
        async with self._turn(gate):
            backoff = Backoff(deferred=True)
            while True:
                if time.time() + gate.closed_for > self.deadline:
                    break
                await gate.wait_until_open()
                try:
                    async with asyncio.timeout(longest + THREAD_MARGIN):
                        result = await _in_thread(handover.run)
                except asyncio.CancelledError:
                    handover.abandon()
                    raise
                except TimeoutError:
                    handover.abandon()
                    raise AtlasUnreachable(f"The request to Atlas has not ended within {longest:g} s") from None
                except AtlasError as error:
                    wait = backoff.seconds(error)
                    if wait is None or time.time() + gate.close(error, wait) > self.deadline:
                        raise
                    metrics.waiting(error, gate.closed_for)
                else:
                    gate.count()
                    return result
        raise _too_late()


class Handover(Generic[T]):
    """
    Passes a result from a thread to the event loop, so that it is never lost between them.

    :param call: what runs in the thread.
    :param give_back: is called in a thread with a result that nobody takes.
    """

    def __init__(self, call: Callable[[], T], give_back: Callable[[T], object] = lambda result: None) -> None:
        self._call = call
        self._give_back = give_back
        self._lock = threading.Lock()
        self._abandoned = False
        self._results: list[T] = []

    def run(self) -> T:
        """Call; to be run in the thread."""
        result = self._call()
        with self._lock:
            abandoned = self._abandoned
            self._results.append(result)
        if abandoned:
            self._give_back(result)
        return result

    def abandon(self) -> None:
        """Give back what has come already and what is still to come. Called on the event loop, and does not block."""
        with self._lock:
            self._abandoned = True
            results = tuple(self._results)
        for result in results:
            threading.Thread(target=cleared(self._give_back), args=(result,)).start()


def _too_late() -> RateLimited:
    return RateLimited("Other triggers with the same service account come first, and max_wait ends before this one")


async def _in_thread(call: Callable[[], T]) -> T:
    """
    Run blocking code in a thread of its own. The event loop's threads are few, and other triggers need them.

    Its errors come without their variables: the event loop logs some by itself.

    Airflow's own functions would need ``sync_to_async`` (on 3.0 and 3.1); none is called in these threads.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def finish(result: T | None, error: BaseException | None) -> None:
        if done.done():
            return
        if error is None:
            done.set_result(cast(T, result))
        else:
            done.set_exception(error)

    def run() -> None:
        result: T | None = None
        failure: BaseException | None = None
        try:
            result = call()
        except StopIteration as error:  # a future cannot carry it
            failure = RuntimeError(f"{type(error).__name__} in a thread")
        except BaseException as error:  # noqa: BLE001 - raised on the event loop
            clear(error)
            failure = error
        try:  # noqa: SIM105 - what fails in `suppress` would leave the loop waiting
            loop.call_soon_threadsafe(finish, result, failure)
        except RuntimeError:  # the loop is closed: `Handover` knows
            pass

    # In the trigger's context: Airflow writes what is logged there into the task's log.
    threading.Thread(target=copy_context().run, args=(run,), name="atlas-request").start()
    return await done


async def sleep_until(moment: float, longest: float = LONGEST_WAIT) -> None:
    """Sleep until a wall-clock time. A clock that steps back does not prolong it; one that steps forward ends it."""
    left = min(moment - time.time(), longest)
    end = time.monotonic() + left
    while (left := min(moment - time.time(), end - time.monotonic())) > 0:
        await asyncio.sleep(min(left, TICK))
