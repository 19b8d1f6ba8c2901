"""The trigger that waits for Atlas's work: every path ends in one event, and nothing that it does blocks the loop."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from itertools import pairwise

import pytest
from airflow.providers.common.compat.sdk import AirflowNotFoundException

from airflow_provider_atlas.exceptions import AtlasError, AtlasJobFailed, AtlasJobTimeout
from airflow_provider_atlas.hooks import watch as watching
from airflow_provider_atlas.hooks.service_account import AtlasServiceAccountHook
from airflow_provider_atlas.triggers import events, pool
from airflow_provider_atlas.triggers import job as module
from airflow_provider_atlas.triggers.job import AtlasJobTrigger
from tests.conftest import secrets_in
from tests.triggers.test_token import event_of

PROJECT = "6b0000000000000000000000"
CLUSTER = f"/api/atlas/v2/groups/{PROJECT}/clusters/cluster-0"
PAUSED = {"stateName": "IDLE", "paused": True}


def trigger(**kwargs) -> AtlasJobTrigger:
    now = time.time()
    defaults = {"endpoint": CLUSTER, "until": PAUSED, "moment": now, "started": now, "deadline": now + 20}
    return AtlasJobTrigger(**{**defaults, "poll_interval": 0.05, "job": {"made": True}, **kwargs})


@pytest.fixture
def sandbox(atlas_sandbox):
    atlas_sandbox.change_seconds, atlas_sandbox.stale_seconds = 0.3, 0.0
    return atlas_sandbox


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    """What Atlas does not say when to retry is retried at once."""
    real = watching.seconds_to_wait
    monkeypatch.setattr(
        watching, "seconds_to_wait", lambda *a, **k: None if (wait := real(*a, **k)) is None else min(wait, 0.05)
    )
    monkeypatch.setattr(module, "seconds_to_wait", watching.seconds_to_wait)


def error_of(event) -> AtlasError:
    assert event["status"] == "error"
    return events.load(event["error"])


def test_it_fires_once_the_condition_holds_with_the_fields_that_are_to_be_returned(hook, sandbox, caplog):
    caplog.set_level("INFO")
    hook.run(CLUSTER, "PATCH", json={"paused": True})
    event = event_of(trigger(returns=["name", "paused"]))
    assert event == {"status": "success", "body": {"name": "cluster-0", "paused": True}, "job": {"made": True}}
    assert "stateName UPDATING, paused True (0 s so far)." in caplog.text
    assert "stateName IDLE, paused True (0 s so far)." in caplog.text
    assert caplog.text.count("so far") == 2


def test_it_fails_first_if_both_conditions_hold(hook, sandbox):
    event = event_of(trigger(until={"name": "cluster-0"}, fail_if={"stateName": ["IDLE", "DELETING"]}))
    error = error_of(event)
    assert (type(error), error.state) == (AtlasJobFailed, "name cluster-0, stateName IDLE")
    assert error.seconds is not None


def test_it_ends_at_its_deadline_with_the_last_state(hook, sandbox):
    error = error_of(event_of(trigger(deadline=time.time() + 0.4)))
    assert (type(error), error.state) == (AtlasJobTimeout, "stateName IDLE, paused False")
    assert 0.3 <= error.seconds <= 3


def test_a_trigger_that_nobody_ran_until_its_deadline_looks_once(hook, sandbox):
    past = time.time() - 100
    fulfilled = event_of(trigger(until={"name": "cluster-0"}, moment=past, started=past, deadline=past + 10))
    assert fulfilled["status"] == "success"
    error = error_of(event_of(trigger(moment=past, started=past, deadline=past + 10)))
    assert isinstance(error, AtlasJobTimeout)
    assert error.seconds >= 100


def test_it_does_not_look_before_its_moment(hook, sandbox):
    event_of(trigger(until={"name": "cluster-0"}, moment=(moment := time.time() + 0.3)))
    assert time.time() >= moment
    assert sandbox.counters.api_requests == 1


FAULTS = [
    {"status": 500},
    {"status": 502},
    {"status": 503, "headers": {"Retry-After": "0"}},
    {"status": 504},
    {"status": 429, "headers": {"Retry-After": "0"}},
    {"error_code": "UNEXPECTED_ERROR"},
    {"status": 200, "body": b"<html>"},
    {"kind": "drop"},
]


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_a_hiccup_of_atlas_is_not_yet(hook, sandbox, fault):
    sandbox.fail_next("api", times=5, **fault)
    assert event_of(trigger(until={"name": "cluster-0"}))["status"] == "success"
    assert sandbox.counters.token_requests == 1


def test_a_silent_atlas_is_not_yet(hook, sandbox, monkeypatch):
    monkeypatch.setenv("AIRFLOW__ATLAS__TIMEOUT", "1")
    sandbox.fail_next("api", kind="silence")
    assert event_of(trigger(until={"name": "cluster-0"}))["status"] == "success"


def test_a_rate_limit_and_an_outage_of_the_token_endpoint_are_not_yet(hook, sandbox):
    sandbox.fail_next("token", status=429, headers={"Retry-After": "0"})
    sandbox.fail_next("token", status=503)
    sandbox.fail_next("token", kind="drop")
    assert event_of(trigger(until={"name": "cluster-0"}))["status"] == "success"


@pytest.mark.parametrize(
    ("code", "status"),
    [("USER_CANNOT_ACCESS_GROUP", 401), ("USER_UNAUTHORIZED", 403), ("CLUSTER_NOT_FOUND", 404), ("X", 400)],
)
def test_a_refusal_ends_it_at_once_with_its_code(hook, sandbox, code, status):
    sandbox.fail_next("api", error_code=code, status=status)
    error = error_of(event_of(trigger()))
    assert (error.status, error.error_code) == (status, code)
    assert sandbox.counters.api_requests == 1


def test_a_refused_token_is_replaced_once(hook, sandbox):
    event_of(trigger(until={"name": "cluster-0"}))
    sandbox.fail_next("api", status=401, body=b"")
    assert event_of(trigger(until={"name": "cluster-0"}))["status"] == "success"
    assert sandbox.counters.token_requests == 2


def test_a_404_is_the_wish_if_the_condition_names_found(hook, sandbox):
    hook.run(CLUSTER, "DELETE")
    event = event_of(trigger(until={"$found": False}))
    assert (event["status"], event["body"]) == ("success", {"$found": False})
    hook.run(f"{CLUSTER[:-1]}1", "DELETE")
    failed = event_of(trigger(endpoint=f"{CLUSTER[:-1]}1", until={"stateName": "NO"}, fail_if={"$found": False}))
    assert isinstance(error_of(failed), AtlasJobFailed)


def test_without_an_endpoint_it_waits_until_its_moment_and_asks_nothing(sandbox):
    assert event_of(trigger(endpoint="", moment=time.time() + 0.2))["body"] is None
    assert sandbox.counters.api_requests == sandbox.counters.token_requests == 0


def test_a_connection_that_is_missing_ends_it_after_some_tries(sandbox):
    error = error_of(event_of(trigger(atlas_conn_id="nobody")))
    assert type(error).__name__ == "ConnectionNotFound"


def test_hundreds_of_waits_take_one_token_few_threads_and_do_not_block_the_loop(hook, sandbox, mocker):
    sandbox.page_total = 300
    reads, peak, threads = mocker.spy(pool._Hook, "_read_settings"), 0, set()
    look = watching.Watch.look

    def watched(*args):
        threads.add(threading.current_thread().name.split("_")[0])
        return look(*args)

    mocker.patch.object(watching.Watch, "look", watched)

    async def watchdog():
        nonlocal peak
        while True:
            await asyncio.sleep(0.02)
            peak = max(peak, sum(thread.name.startswith("atlas-look") for thread in threading.enumerate()))

    async def one(number):
        waiting = trigger(endpoint=f"{CLUSTER[:-1]}{number}", until={"stateName": "IDLE"}, deadline=time.time() + 60)
        return [event.payload["status"] async for event in waiting.run()]

    async def main():
        dog = asyncio.create_task(watchdog())
        results = await asyncio.gather(*map(one, range(300)))
        dog.cancel()
        return results

    assert asyncio.run(main()) == [["success"]] * 300
    assert (sandbox.counters.token_requests, sandbox.counters.api_requests, reads.call_count) == (1, 300, 1)
    assert 1 <= peak <= pool.THREADS
    assert threads == {"atlas-look"}


def test_the_first_429_closes_the_gate_for_all(hook, sandbox):
    sandbox.fail_next("api", times=1, status=429, headers={"Retry-After": "1"})
    results = event_of(*[trigger(until={"name": "cluster-0"}) for _ in range(40)])
    assert {event["status"] for event in results} == {"success"}
    assert sandbox.counters.api_requests == 41


def test_its_arguments_survive_the_database_and_hold_texts_and_numbers_only(hook, sandbox):
    one = trigger(fail_if={"a.b": [1, None]}, returns=["name"], show=["x"], params={"a": True}, cancel="/x")
    path, kwargs = one.serialize()
    assert path == "airflow_provider_atlas.triggers.job.AtlasJobTrigger"
    assert {type(value) for value in kwargs.values()} <= {str, float, int}
    again = AtlasJobTrigger(**json.loads(json.dumps(kwargs)), added_by_a_later_release=1)
    assert again.serialize() == one.serialize()
    assert again.until == PAUSED
    AtlasJobTrigger()


def test_neither_arguments_nor_events_nor_logs_hold_a_secret(hook, sandbox, caplog):
    caplog.set_level("DEBUG")
    sandbox.fail_next("api", times=2, status=500)
    texts = []
    for kwargs in ({"until": {"name": "cluster-0"}}, {"fail_if": {"name": "cluster-0"}}, {"endpoint": "/api/x"}):
        one = trigger(**kwargs)
        texts += [repr(one.serialize()), json.dumps(event_of(one))]
    assert secrets_in([caplog.text, *texts], *sandbox.issued, sandbox.client_secret) == []


def test_on_kill_cancels_what_can_be_cancelled_and_says_what_cannot(hook, sandbox, caplog):
    asyncio.run(trigger(cancel=f"{CLUSTER[:-1]}1").on_kill())
    assert sandbox.clusters[0]["cluster-1"].change == "DELETING"
    asyncio.run(trigger().on_kill())
    assert "Atlas cannot cancel this job: it goes on at" in caplog.text
    asyncio.run(trigger(cancel="/api/atlas/v2/nothing").on_kill())
    assert "The job was not cancelled and goes on at" in caplog.text
    before = sandbox.counters.api_requests
    asyncio.run(trigger(job={"made": False}, cancel=CLUSTER).on_kill())
    assert sandbox.counters.api_requests == before


def test_a_trigger_that_runs_in_two_triggerers_changes_nothing(hook, sandbox, mocker):
    run = mocker.spy(pool._Hook, "run")
    hook.run(CLUSTER, "PATCH", json={"paused": True})
    first, second = event_of(trigger(), trigger())
    assert first == second
    assert {len(call.args) for call in run.call_args_list} == {2}  # itself and the endpoint: a GET
    assert sandbox.counters.cluster_changes == 1


def test_triggers_share_the_deployment_s_token(hook, sandbox, store, monkeypatch):
    monkeypatch.setenv("AIRFLOW__ATLAS__CACHE_SCOPE", "deployment")
    results = event_of(*[trigger(until={"name": "cluster-0"}) for _ in range(5)])
    assert {event["status"] for event in results} == {"success"}
    assert sandbox.counters.token_requests == 1
    assert store.texts


def test_triggers_follow_a_client_secret_that_is_replaced(hook, sandbox, monkeypatch):
    async def main():
        waiting = trigger(until=PAUSED, deadline=time.time() + 30)
        task = asyncio.create_task(waiting.run().__anext__())
        await asyncio.sleep(0.3)
        old = sandbox.client_secret
        secret = sandbox.add_secret(sandbox.client_id)
        monkeypatch.setenv("AIRFLOW_CONN_ATLAS_DEFAULT", json.dumps({**sandbox.connection, "password": secret}))
        sandbox.expire_secret(old)
        await asyncio.sleep(0.3)
        sandbox.clusters[0]["cluster-0"].paused_since = time.time()
        return (await task).payload

    assert asyncio.run(main())["status"] == "success"


def test_a_cancelled_trigger_ends_at_once(hook, sandbox):
    sandbox.fail_next("api", kind="silence", seconds=2)

    async def main():
        task = asyncio.create_task(trigger(until={"stateName": "NO"}).run().__anext__())
        while sandbox.counters.faults == 0:
            await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.wait([task], timeout=1.5)
        return task.cancelled()

    assert asyncio.run(main())


@pytest.mark.parametrize(("watched", "least"), [(0, 30), (300, 60), (600, 90), (900, 120), (10_000, 120), (-5, 30)])
def test_the_interval_grows_slowly_up_to_a_multiple(watched, least):
    wait = watching.Watch("/x").next_look(30, watching.GROWTH, 30 * watching.MOST_INTERVALS, watched)
    assert least <= wait <= least * (1 + watching.SPREAD) + 1e-6


def test_a_secrets_backend_that_fails_once_is_not_yet(hook, sandbox, monkeypatch):
    hook.run(CLUSTER, "PATCH", json={"paused": True})
    read, failures = AtlasServiceAccountHook.get_connection, [AirflowNotFoundException("no such connection")] * 3

    def failing(cls, *args):
        if failures:
            raise failures.pop()
        return read(*args)

    monkeypatch.setattr(AtlasServiceAccountHook, "get_connection", classmethod(failing))
    assert event_of(trigger())["status"] == "success"


def test_an_interval_of_hours_is_slept_in_full(hook, sandbox, monkeypatch):
    """``sleep_until`` ends after an hour, unless told otherwise."""
    now, looks = [time.time()], []

    async def sleep_until(moment, longest=3600.0):
        now[0] = min(moment, now[0] + longest)

    def look(watch, hook):
        looks.append(now[0])
        return len(looks) == 3, None

    monkeypatch.setattr(module, "sleep_until", sleep_until)
    monkeypatch.setattr(module.time, "time", lambda: now[0])
    monkeypatch.setattr(watching.Watch, "look", look)
    event_of(trigger(moment=now[0], deadline=now[0] + 10**6, poll_interval=6 * 3600.0, longest=6 * 3600.0))
    assert all(after - before >= 6 * 3600 for before, after in pairwise(looks))


@pytest.mark.parametrize("job", [{"made": True, "mine": False}, {"made": False}])
def test_a_kill_leaves_alone_what_the_task_did_not_make(sandbox, caplog, job):
    caplog.set_level("INFO")
    asyncio.run(trigger(job=job).on_kill())
    assert (sandbox.counters.api_requests, "cancel" in caplog.text) == (0, False)
