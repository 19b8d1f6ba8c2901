"""Six triggers of six accounts wait for a server that drips: the event loop stays on time, and each deadline holds."""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from airflow_provider_atlas import exceptions
from airflow_provider_atlas.triggers import events
from airflow_provider_atlas.triggers import token as module
from airflow_provider_atlas.triggers.token import AtlasTokenTrigger
from tests.conftest import CLIENT_ID
from tests.hostile.conftest import SLACK, STATED, TIMEOUT

SIX = range(6)
#: How long the triggers may try, in seconds: a machine that stands still for shorter fails no test.
LONG = 20 * TIMEOUT
#: Steps that another task takes while all triggers wait. If requests block the event loop, it takes at most one.
STEPS = 5


async def event_of(trigger: AtlasTokenTrigger):
    (payload,) = [event.payload async for event in trigger.run()]
    return payload, time.time()


async def run_beside_others(triggers):
    """The events, and whether other code went on while all triggers waited. A machine may be busy: nothing is timed."""
    # What other code does in the executor of the event loop, which has few threads.
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(2))
    waiting = [asyncio.create_task(event_of(trigger)) for trigger in triggers]
    for _ in range(STEPS):
        await asyncio.sleep(0.01)
    await asyncio.to_thread(int)
    went_on = not any(task.done() for task in waiting)
    return await asyncio.gather(*waiting), went_on


def triggers_of(connect, port, seconds):
    for number in SIX:
        hook = connect(f"http://127.0.0.1:{port}", f"hostile_{number}", f"{CLIENT_ID}{number}")
        hook._tokens  # noqa: B018 - what a thread would import first
    now = time.time()
    return [AtlasTokenTrigger(f"hostile_{n}", moment=now, started=now, deadline=now + seconds) for n in SIX]


@pytest.mark.parametrize("name", ["drip of the status line", "drip of headers", "drip of the body", "silence"])
def test_the_loop_goes_on_and_each_trigger_ends_after_its_deadline(name, ports, connect):
    before = set(threading.enumerate())
    triggers = triggers_of(connect, ports[name][0], LONG)
    found, went_on = asyncio.run(run_beside_others(triggers))
    assert went_on
    for payload, ended in found:
        assert type(events.load(payload["error"])) is exceptions.AtlasUnreachable
        assert ended < triggers[0].deadline + STATED + SLACK
    for thread in set(threading.enumerate()) - before:
        thread.join(0 if thread.name.startswith("ThreadPoolExecutor") else 1)
        assert thread.name.startswith("ThreadPoolExecutor") or not thread.is_alive()


def test_a_thread_that_hangs_does_not_keep_the_trigger(ports, connect, mocker):
    """As in the lookup of a host name, which nothing can end."""
    release = threading.Event()
    mocker.patch("airflow_provider_atlas.oauth.client.TokenClient.generate", lambda self: release.wait(20))
    mocker.patch.object(module, "THREAD_MARGIN", 0.2)
    triggers = triggers_of(connect, 1, LONG)
    try:
        found, went_on = asyncio.run(run_beside_others(triggers))
    finally:
        release.set()
    for payload, ended in found:
        error = events.load(payload["error"])
        assert type(error) is exceptions.AtlasUnreachable
        assert "has not ended within 0.6 s" in str(error)
        assert ended < triggers[0].deadline + STATED + 0.2 + SLACK
    assert went_on
