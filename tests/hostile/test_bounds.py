"""Whatever a server does, each call ends in time, in a typed error, in little memory, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterable
from typing import Any

import pytest
import requests

from airflow_provider_atlas import exceptions
from airflow_provider_atlas.hooks.service_account import AtlasServiceAccountHook
from airflow_provider_atlas.triggers import events
from airflow_provider_atlas.triggers.token import AtlasTokenTrigger
from tests.hostile.conftest import SLACK, TIMEOUT
from tests.hostile.server import BEHAVIOURS, TOKEN

#: The most that a call may take over what the process had before it, as tracemalloc counts it: exact for what Python
#: and zlib allocate, without what the C library and OpenSSL hold.
MOST_MEMORY = 64 << 20


#: Airflow reads a trigger's connection in a thread that stays, one in a process.
AIRFLOWS_THREAD = "ThreadPoolExecutor"


def by_trigger(hook: AtlasServiceAccountHook) -> object:
    now = time.time()  # and a deadline before which no second request is made: a wait is a second at least
    trigger = AtlasTokenTrigger(hook.atlas_conn_id, moment=now, started=now, deadline=now + 0.95)

    async def event() -> Any:
        return [each.payload async for each in trigger.run()]  # type: ignore[attr-defined]

    (payload,) = asyncio.run(event())
    if payload["status"] == "error":
        raise events.load(payload["error"])
    return payload["token"]


def by_test_button(hook: AtlasServiceAccountHook) -> object:
    worked, text = hook.test_connection()
    if not worked:
        assert len(text) < 2_000
        assert text.isprintable()
        raise exceptions.AtlasError(text)
    return text


CALLS: dict[str, tuple[bool, Callable[[AtlasServiceAccountHook], object]]] = {
    "generate_token": (False, lambda hook: hook.generate_token()),
    "revoke_token": (False, lambda hook: hook.revoke_token(TOKEN)),
    "test_connection": (False, by_test_button),
    "trigger": (False, by_trigger),
    "run": (True, lambda hook: hook.run("/x")),
    "paginate": (True, lambda hook: list(hook.paginate("/x"))),
    "get": (True, lambda hook: hook.get_conn().get("/x")),
}


def sockets() -> set[str]:
    found = set()
    for descriptor in os.listdir("/proc/self/fd"):
        try:
            link = os.readlink(f"/proc/self/fd/{descriptor}")
        except FileNotFoundError:
            continue
        if link.startswith("socket:"):
            found.add(link)
    return found


def left_open(before: set[str]) -> set[str]:
    """Which of the sockets are still open; an error's frames may be in a circle that is about to be collected."""
    for _ in range(20):
        if not before & sockets():
            break
        gc.collect()
        time.sleep(0.1)
    return before & sockets()


def _ended(thread: threading.Thread) -> bool:
    """A thread of the trigger reports its result as the last thing it does."""
    thread.join(1)
    return not thread.is_alive()


class Measured:
    """What a call took, and what it left behind."""

    def __enter__(self) -> Measured:
        self.threads, self.sockets = set(threading.enumerate()), sockets()
        tracemalloc.start()
        self.started = time.monotonic()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = time.monotonic() - self.started
        self.memory = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        left = set(threading.enumerate()) - self.threads
        self.threads = {thread for thread in left if not thread.name.startswith(AIRFLOWS_THREAD) and not _ended(thread)}
        self.sockets = sockets() - self.sockets


class Outcome:
    """How a call ended, and after how many seconds."""

    def __init__(self, name: str, call: str, hook: AtlasServiceAccountHook) -> None:
        self.call, self.hook, self.error = call, hook, None
        self.expected = BEHAVIOURS[name].expected(api=CALLS[call][0])

    def run(self) -> None:
        started = time.monotonic()
        try:
            CALLS[self.call][1](self.hook)
        except Exception as raised:  # noqa: BLE001 - `check` tells
            self.error = raised
        self.seconds = time.monotonic() - started

    def check(self, timeout: float) -> None:
        assert self.seconds < 2 * timeout + SLACK, self.call
        if self.error is not None:
            assert isinstance(self.error, exceptions.AtlasError | requests.RequestException), self.call
        if isinstance(self.error, exceptions.AtlasError):
            assert len(str(self.error)) < 2_000
            assert str(self.error).isprintable()
        if self.call in ("get", "test_connection"):  # they return what the others raise, or raise it as `requests` does
            assert self.expected or self.error is None
        else:
            assert (self.call, type(self.error).__name__ if self.error else "") == (self.call, self.expected)


def check_all(name: str, calls: Iterable[str], ports: Any, connect: Any, timeout: float) -> list[BaseException | None]:
    outcomes = []
    for number, call in enumerate(calls):
        url = f"http://127.0.0.1:{ports[name][CALLS[call][0]]}"
        outcomes.append(Outcome(name, call, connect(url, f"hostile_{number}", timeout=timeout)))
    with Measured() as measured:
        threads = [threading.Thread(target=outcome.run) for outcome in outcomes]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    for outcome in outcomes:
        if outcome.hook._session is not None:  # it keeps a connection whose response was complete
            outcome.hook._session.close()
        outcome.check(timeout)
    assert measured.memory < MOST_MEMORY
    assert (measured.threads, left_open(measured.sockets)) == (set(), set())
    return [outcome.error for outcome in outcomes]


@pytest.mark.parametrize("name", [name for name, each in BEHAVIOURS.items() if each.lasts])
def test_a_response_that_does_not_end_ends_at_the_deadline_and_leaves_nothing(name, ports, connect, says_nothing):
    for error in check_all(name, CALLS, ports, connect, TIMEOUT):
        says_nothing(error)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("name", [name for name, each in BEHAVIOURS.items() if not each.lasts])
def test_a_bad_response_is_a_typed_error_in_little_memory_and_leaves_nothing(name, call, ports, connect, says_nothing):
    (error,) = check_all(name, [call], ports, connect, 10 * TIMEOUT)
    says_nothing(error)
