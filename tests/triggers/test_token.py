"""The trigger: every path ends in an event. Neither its arguments nor its event contain a secret."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
import time
from contextvars import ContextVar
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, AirflowNotFoundException

from airflow_provider_atlas import exceptions
from airflow_provider_atlas.hooks.service_account import AtlasServiceAccountHook
from airflow_provider_atlas.oauth.retry_after import SERVER_ERROR_TRIES
from airflow_provider_atlas.oauth.token import AccessToken
from airflow_provider_atlas.triggers import token as module
from airflow_provider_atlas.triggers.events import failure, load
from airflow_provider_atlas.triggers.token import AtlasTokenTrigger
from tests.test_exceptions import TYPES


def trigger(**kwargs) -> AtlasTokenTrigger:
    return AtlasTokenTrigger(**{"moment": time.time(), "deadline": time.time() + 60, **kwargs})


def event_of(*triggers: AtlasTokenTrigger):
    async def one(trigger):
        return [event.payload async for event in trigger.run()]

    async def main():
        return await asyncio.gather(*map(one, triggers))

    events = asyncio.run(main())
    assert [len(each) for each in events] == [1] * len(triggers)
    assert json.dumps(events)
    return [each[0] for each in events] if len(triggers) > 1 else events[0][0]


def test_generate_ends_in_an_event_with_a_sealed_token(hook, atlas_sandbox, says_nothing):
    event = event_of(trigger())
    assert event["status"] == "success"
    assert atlas_sandbox.is_active(hook.unseal(event["token"]).value)
    says_nothing(ValueError(json.dumps(event)), *atlas_sandbox.issued, atlas_sandbox.client_secret)


def test_revoke_revokes_each_sealed_token(hook, atlas_sandbox):
    tokens = " ".join(hook.seal(hook.generate_token()) for _ in range(3))
    event = event_of(trigger(action="revoke", tokens=tokens, deadline=(deadline := time.time() + 60)))
    assert event == {"status": "success", "revoked": tokens, "deadline": deadline}
    assert atlas_sandbox.counters.active == 0


def test_a_deferred_generate_and_a_deferred_revoke_log_the_fingerprint(hook, atlas_sandbox, caplog):
    caplog.set_level("INFO")
    sealed = event_of(trigger())["token"]
    fingerprint = hook.unseal(sealed).fingerprint
    assert f"Generated Atlas token {fingerprint}, valid for 60 min." in caplog.text
    event_of(trigger(action="revoke", tokens=sealed))
    assert f"Revoked Atlas token {fingerprint}." in caplog.text


@pytest.mark.parametrize("moment", ["soon", None, 10**400])
def test_a_moment_that_is_not_a_time_ends_in_an_event(atlas_sandbox, moment):
    event = event_of(AtlasTokenTrigger(moment=moment))
    assert event["error"]["summary"].startswith("The trigger failed with")


def test_its_arguments_are_json_scalars_that_make_the_same_trigger(atlas_sandbox, says_nothing):
    original = trigger(action="revoke", tokens="atlas-sealed:1:x", started=17.0)
    path, kwargs = original.serialize()
    assert path == "airflow_provider_atlas.triggers.token.AtlasTokenTrigger"
    assert all(isinstance(value, str | float | int) for value in kwargs.values())
    assert AtlasTokenTrigger(**json.loads(json.dumps(kwargs))).serialize() == original.serialize()
    says_nothing(ValueError(json.dumps(kwargs)), atlas_sandbox.client_secret)


def test_unknown_arguments_are_ignored_and_missing_ones_have_defaults(atlas_sandbox):
    assert event_of(AtlasTokenTrigger(moment=time.time(), some_later_argument=[1]))["status"] == "success"
    assert (
        event_of(AtlasTokenTrigger(moment=time.time() - 301))["error"]["type"] == "RateLimited"
    )  # 300 s is the default


@pytest.mark.parametrize(
    ("kwargs", "kind", "message"),
    [
        ({"atlas_conn_id": "gone", "deadline": 1.0}, exceptions.ConnectionNotFound, "gone was not found"),
        ({"action": "dance"}, exceptions.InvalidCall, "dance"),
        ({"action": "revoke", "tokens": "atlas-sealed:1:x"}, exceptions.InvalidSealedToken, "damaged"),
    ],
)
def test_an_error_is_in_the_event_as_its_own_type(atlas_sandbox, kwargs, kind, message):
    event = event_of(trigger(**kwargs))
    assert event["status"] == "error"
    error = load(event["error"])
    assert type(error) is kind
    assert message in str(error)


@pytest.fixture
def looks(mocker):
    """How often the connection was read, and how many of the first reads do not find it."""
    read, looks = module.get_async_connection, SimpleNamespace(made=0, fail=0)

    async def flaky(conn_id):
        looks.made += 1
        if looks.made <= looks.fail:
            raise AirflowNotFoundException(conn_id)
        return await read(conn_id)

    mocker.patch.object(module, "get_async_connection", flaky)
    return looks


@pytest.mark.usefixtures("waits_are_short")
@pytest.mark.parametrize("fail", [1, SERVER_ERROR_TRIES - 1])
def test_a_connection_that_is_not_found_is_looked_for_again(atlas_sandbox, looks, fail):
    looks.fail = fail
    assert event_of(trigger())["status"] == "success"
    assert looks.made == fail + 1


@pytest.mark.usefixtures("waits_are_short")
def test_a_connection_that_stays_away_is_an_error_that_retries_may_cure(atlas_sandbox, looks):
    looks.fail = 1000
    error = load(event_of(trigger())["error"])
    assert type(error) is exceptions.ConnectionNotFound
    assert not isinstance(error, AirflowFailException)
    assert looks.made == SERVER_ERROR_TRIES


@pytest.mark.usefixtures("waits_are_short")
def test_an_error_at_one_token_leaves_no_other_unrevoked_and_the_event_names_the_revoked(hook, atlas_sandbox):
    sealed = [hook.seal(hook.generate_token()) for _ in range(3)]
    atlas_sandbox.fail_next("revoke", times=SERVER_ERROR_TRIES)
    event = event_of(trigger(action="revoke", tokens=" ".join(sealed)))
    assert type(load(event["error"])) is exceptions.ServerError
    assert event["revoked"].split() == sealed[1:]
    assert [atlas_sandbox.is_active(hook.unseal(text).value) for text in sealed] == [True, False, False]


@pytest.fixture
def rotated_after_the_first_read(atlas_sandbox, monkeypatch, mocker):
    """Replace the client secret in Atlas and in the connection between a trigger's read and its request."""
    read, looks = module.get_async_connection, SimpleNamespace(made=0)
    mocker.patch("airflow_provider_atlas.hooks.current._unchanged", {})

    async def reading(conn_id):
        looks.made += 1
        found = await read(conn_id)
        if looks.made == 1:
            new = atlas_sandbox.add_secret(atlas_sandbox.client_id)
            old = atlas_sandbox.client_secret
            connection = atlas_sandbox.connection | {"password": new, "extra": {"previous_secret": old}}
            monkeypatch.setenv("AIRFLOW_CONN_ATLAS_DEFAULT", json.dumps(connection))
            atlas_sandbox.delete_secret(old)
        return found

    mocker.patch.object(module, "get_async_connection", reading)
    return looks


def test_generate_goes_over_to_the_new_secret_and_seals_with_it(rotated_after_the_first_read, says_nothing, caplog):
    caplog.set_level("INFO")
    event = event_of(trigger())
    assert event["status"] == "success"
    assert AtlasServiceAccountHook().unseal(event["token"])
    assert rotated_after_the_first_read.made == 2
    assert caplog.text.count("has another client secret now") == 1


def test_revoke_goes_over_to_the_new_secret_and_opens_what_the_old_one_sealed(
    hook, atlas_sandbox, rotated_after_the_first_read
):
    tokens = " ".join(hook.seal(hook.generate_token()) for _ in range(3))
    event = event_of(trigger(action="revoke", tokens=tokens))
    assert (event["status"], event["revoked"]) == ("success", tokens)
    assert rotated_after_the_first_read.made == 2


@pytest.mark.parametrize("action", ["generate", "revoke"])
def test_a_wrong_secret_costs_a_trigger_one_more_read_and_no_further_request(
    hook, atlas_sandbox, monkeypatch, mocker, looks, action
):
    mocker.patch("airflow_provider_atlas.hooks.current._unchanged", {})
    wrong = atlas_sandbox.connection | {"password": "mdb_sa_sk_Some-Other_Secret"}
    monkeypatch.setenv("AIRFLOW_CONN_ATLAS_DEFAULT", json.dumps(wrong))
    sealed = hook.seal(AccessToken("eyJ.a.token", "Bearer", datetime.now(UTC), datetime.now(UTC)))
    error = load(event_of(trigger(action=action, tokens=sealed))["error"])
    assert type(error) is exceptions.InvalidClient
    assert looks.made == 2
    assert atlas_sandbox.counters.token_requests + atlas_sandbox.counters.revoke_requests == 1


def test_an_unexpected_error_is_in_the_event_without_its_text(atlas_sandbox, mocker, says_nothing):
    mocker.patch.object(module, "gate_for", side_effect=RuntimeError(f"with {atlas_sandbox.client_secret}"))
    event = event_of(trigger())
    assert load(event["error"]).args == ("The trigger failed with RuntimeError",)
    says_nothing(ValueError(json.dumps(event)), atlas_sandbox.client_secret)


def test_a_final_refusal_is_not_retried(atlas_sandbox):
    atlas_sandbox.fail_next("token", status=401, body='{"error": "invalid_client"}')
    error = load(event_of(trigger())["error"])
    assert (type(error), error.status, error.error) == (exceptions.InvalidClient, 401, "invalid_client")


def test_no_request_is_made_before_the_moment(atlas_sandbox):
    begun = time.time()
    event_of(trigger(moment=begun + 0.5))
    assert time.time() - begun >= 0.5


@pytest.mark.parametrize(("step", "wait", "longest"), [(-3600, 0.6, 30), (+3600, 30, 20)])
def test_a_clock_that_steps_prolongs_no_wait(mocker, step, wait, longest):
    mocker.patch.object(module, "TICK", 0.05)
    real = time.time

    async def main():
        waiting = asyncio.create_task(module.sleep_until(real() + wait))
        await asyncio.sleep(0.1)
        mocker.patch.object(module.time, "time", lambda: real() + step)
        await waiting

    begun = time.monotonic()
    asyncio.run(main())
    assert time.monotonic() - begun < longest


def test_a_rate_limit_is_waited_for_and_the_next_in_the_queue_waits_too(atlas_sandbox):
    atlas_sandbox.fail_next("token", status=429, headers={"Retry-After": "1"})
    begun = time.monotonic()
    events = event_of(*(trigger() for _ in range(5)))
    assert {event["status"] for event in events} == {"success"}
    assert atlas_sandbox.counters.token_requests == 6
    assert time.monotonic() - begun >= 1


def test_a_wait_beyond_the_deadline_ends_in_the_refusal_with_the_seconds_waited(atlas_sandbox, mocker):
    mocker.patch.object(module.time, "time", return_value=time.time())
    atlas_sandbox.fail_next("token", status=429, headers={"Retry-After": "300"})
    error = load(event_of(trigger(started=time.time() - 42))["error"])
    assert type(error) is exceptions.RateLimited
    assert error.retry_after == 300
    assert "Waited 42 s in all" in str(error)


def test_an_outage_until_the_deadline_ends_in_its_error(atlas_sandbox):
    atlas_sandbox.stop()
    error = load(event_of(trigger(deadline=time.time() + 2.5, started=time.time() - 100))["error"])
    assert type(error) is exceptions.AtlasUnreachable
    assert "Nothing listens at the Atlas URL. Waited 10" in str(error)


def test_a_trigger_that_queues_until_its_deadline_ends_in_an_error_that_says_so(atlas_sandbox):
    atlas_sandbox.fail_next("token", status=429, headers={"Retry-After": "2"})
    first, late = event_of(trigger(), trigger(deadline=time.time() + 0.5))
    assert first["status"] == "success"
    assert "come first" in str(load(late["error"]))
    assert atlas_sandbox.counters.token_requests == 2


def test_no_request_is_made_if_the_gate_opens_after_the_deadline(atlas_sandbox):
    async def main():
        atlas_sandbox.fail_next("token", status=429, headers={"Retry-After": "30"})
        first = asyncio.create_task(anext(aiter(trigger().run())))
        while atlas_sandbox.counters.faults == 0:
            await asyncio.sleep(0.01)
        second = asyncio.create_task(anext(aiter(trigger(deadline=time.time() + 5).run())))
        await asyncio.sleep(0.5)
        first.cancel()
        return (await second).payload

    error = load(asyncio.run(main())["error"])
    assert "max_wait ends before" in str(error)
    assert atlas_sandbox.counters.token_requests == 1


def test_a_token_whose_trigger_was_cancelled_meanwhile_is_revoked(atlas_sandbox):
    atlas_sandbox.fail_next("token", kind="silence", seconds=0.5)

    async def main():
        waiting = asyncio.create_task(anext(aiter(trigger().run())))
        while atlas_sandbox.counters.token_requests == 0:
            await asyncio.sleep(0.01)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)

    asyncio.run(main())
    for thread in threading.enumerate():
        if thread.name == "atlas-request" and thread.ident is not None:  # tests that interrupt leave unstarted ones
            thread.join()
    assert (atlas_sandbox.counters.issued, atlas_sandbox.counters.active) == (1, 0)


def test_a_request_does_not_block_the_event_loop(atlas_sandbox):
    atlas_sandbox.fail_next("token", kind="silence", seconds=1.0)
    steps = 0

    async def main():
        nonlocal steps
        waiting = asyncio.create_task(anext(aiter(trigger().run())))
        while not waiting.done():
            await asyncio.sleep(0.01)
            steps += atlas_sandbox.counters.token_requests > atlas_sandbox.counters.issued

    asyncio.run(main())
    assert steps > 10


def test_a_request_logs_in_the_context_of_its_trigger(atlas_sandbox, caplog):
    """By it Airflow writes the line into the task's log."""
    trigger_id, seen = ContextVar("trigger_id", default=None), {}

    class Noting(logging.Handler):
        def emit(self, record):
            seen[record.getMessage().split()[0]] = trigger_id.get()

    async def main():
        trigger_id.set(7)
        return [event async for event in trigger().run()]

    caplog.set_level("INFO")
    logger, handler = logging.getLogger("airflow_provider_atlas.hooks.tokens"), Noting()
    logger.addHandler(handler)
    try:
        asyncio.run(main())
    finally:
        logger.removeHandler(handler)
    assert seen == {"Generated": 7}


def test_triggers_that_wake_at_one_moment_read_the_connection_one_after_another(atlas_sandbox, mocker):
    read, reading, most = module.get_async_connection, 0, 0

    async def watched(conn_id):
        nonlocal reading, most
        reading += 1
        most = max(most, reading)
        await asyncio.sleep(0)
        connection = await read(conn_id)
        reading -= 1
        return connection

    mocker.patch.object(module, "get_async_connection", watched)
    atlas_sandbox.rate_limit = 100
    assert {event["status"] for event in event_of(*(trigger() for _ in range(20)))} == {"success"}
    assert most == 1


def test_the_limit_that_a_refusal_stated_holds_for_the_triggers_behind(atlas_sandbox):
    atlas_sandbox.rate_limit, atlas_sandbox.window = 5, 2.0
    assert {event["status"] for event in event_of(*(trigger() for _ in range(14)))} == {"success"}
    # The sixth is refused; the eleventh, which would be, waits without asking.
    assert (atlas_sandbox.counters.token_requests, atlas_sandbox.counters.rate_limited) == (15, 1)


def test_a_triggerer_s_masker_gets_no_token(atlas_sandbox, mocker):
    masked = mocker.patch("airflow_provider_atlas.hooks.tokens.mask_secret")
    event_of(trigger())
    masked.assert_not_called()


@pytest.mark.parametrize("name", TYPES)
def test_every_type_of_error_is_read_from_an_event_as_it_was(name):
    error = getattr(exceptions, name)("Something happened", status=400, error="code", description="words")
    error.waited = 3.0
    again = load(json.loads(json.dumps(failure(error)))["error"])
    assert (type(again), vars(again), str(again)) == (type(error), vars(error), str(error))


@pytest.mark.parametrize(
    "written",
    [{}, {"type": None}, {"type": "os.system"}, {"type": "Sequence"}, {"type": "X", "data": 7, "summary": 7}],
)
def test_an_error_of_an_unknown_type_is_read_as_an_atlas_error(written):
    assert type(load(written)) is exceptions.AtlasError
