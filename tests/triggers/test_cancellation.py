"""A trigger is cancelled at each place where it waits: no token is lost, no thread stays, and the queue is free."""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
import types

import pytest

from airflow_provider_atlas.triggers.token import AtlasTokenTrigger


@types.coroutine
def stepping(coroutine, on_wait):
    """Await a coroutine, and tell ``on_wait`` of the number and the future of each wait just before it begins."""
    iterator, number = coroutine.__await__(), 0
    go_on, argument = iterator.send, None
    while True:
        try:
            future = go_on(argument)
        except StopIteration as end:
            return end.value
        number += 1
        on_wait(number, future)
        try:
            go_on, argument = iterator.send, (yield future)
        except BaseException as error:  # noqa: BLE001 - passed on, as `await` does
            go_on, argument = iterator.throw, error


def while_it_waits(task, future, end):
    asyncio.get_running_loop().call_soon(task.cancel)


def before_it_wakes(task, future, end):
    """What it waits for is done. Its task wakes with the next callback, which comes too late."""
    if future is None:
        task.cancel()
    else:
        future.add_done_callback(lambda _: task.cancel())


def as_the_loop_ends(task, future, end):
    end.set()


def trigger(action, tokens):
    now = time.time()
    return AtlasTokenTrigger(action=action, tokens=tokens, moment=now + 0.001, started=now, deadline=now + 60)


async def event_of(trigger):
    (event,) = [event.payload async for event in trigger.run()]
    return event


async def cancelled(make, moment, cancel, *, queued):
    """Cancel a trigger at its n-th wait. Return how often it waited, whether it was cancelled, and all events."""
    waits, end = 0, asyncio.Event()

    def on_wait(number, future):
        nonlocal waits
        waits = number
        if number == moment:
            cancel(task, future, end)

    async def run():
        return await stepping(event_of(make()), on_wait)

    others = [asyncio.create_task(event_of(make()))] if queued else []
    task = asyncio.create_task(run())
    task.add_done_callback(lambda _: end.set())
    await end.wait()
    if task.done():
        others.append(asyncio.create_task(event_of(make())))
        async with asyncio.timeout(10):
            await asyncio.gather(*others)
    return waits, task, others


@pytest.mark.usefixtures("waits_are_short")
@pytest.mark.parametrize("cancel", [while_it_waits, before_it_wakes, as_the_loop_ends])
@pytest.mark.parametrize("world", ["free", "after a refusal", "behind another"])
@pytest.mark.parametrize(("action", "endpoint"), [("generate", "token"), ("revoke", "revoke")])
def test_a_trigger_that_is_cancelled_at_any_of_its_waits_leaves_nothing(
    hook, atlas_sandbox, action, endpoint, world, cancel
):
    atlas_sandbox.rate_limit = 10**9

    def make():
        tokens = " ".join(hook.seal(hook.generate_token()) for _ in range(2)) if action == "revoke" else ""
        return trigger(action, tokens)

    asyncio.run(event_of(make()))  # Airflow starts a thread for connections, and keeps it
    atlas_sandbox.revoke(atlas_sandbox.issued[-1])
    threads, cancellations = set(threading.enumerate()), 0
    for moment in itertools.count(1):
        if world == "after a refusal":
            atlas_sandbox.fail_next(endpoint, status=429, headers={"Retry-After": "0"})
        waits, task, others = asyncio.run(cancelled(make, moment, cancel, queued=world == "behind another"))
        atlas_sandbox.faults[endpoint].clear()
        end = time.monotonic() + 10
        while set(threading.enumerate()) - threads and time.monotonic() < end:
            time.sleep(0.001)
        assert set(threading.enumerate()) <= threads
        events = [each.result() for each in (task, *others) if each.done() and not each.cancelled()]
        assert {event["status"] for event in events} <= {"success"}
        active = {value for value in atlas_sandbox.issued if atlas_sandbox.is_active(value)}
        if action == "generate":  # what a revocation has not revoked yet is as known as before
            assert active == {hook.unseal(event["token"]).value for event in events}, f"cancelled at wait {moment}"
        for value in active:
            atlas_sandbox.revoke(value)
        cancellations += task.cancelled()
        if waits < moment:
            break
    assert cancellations >= 4
