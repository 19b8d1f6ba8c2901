"""The hook reads a connection, requests one token per task, and writes no secret into errors or logs."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import copy
import functools
import json
import logging
import os
import pickle
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_atlas import exceptions
from airflow_provider_atlas.cache import task
from airflow_provider_atlas.hooks import service_account, tokens
from airflow_provider_atlas.hooks.service_account import AtlasServiceAccountHook
from airflow_provider_atlas.oauth import retry
from tests.conftest import CLIENT_ID, CLIENT_SECRET, TOKEN


@pytest.fixture
def credentials(atlas_sandbox):
    return {
        "client_id": atlas_sandbox.client_id,
        "client_secret": atlas_sandbox.client_secret,
        "base_url": atlas_sandbox.url,
    }


@pytest.fixture
def masked(mocker):
    mask = mocker.patch.object(service_account, "mask_secret")
    return mocker.patch.object(tokens, "mask_secret", mask)


@pytest.fixture
def in_task(mocker):
    """Call it to run as that try of a task."""

    def enter(task_id: str, try_number: int = 1) -> None:
        ti = SimpleNamespace(dag_id="dag", task_id=task_id, run_id="run", map_index=-1, try_number=try_number)
        mocker.patch("airflow.providers.common.compat.sdk.get_current_context", return_value={"ti": ti}, create=True)

    return enter


def test_a_stored_connection_and_the_same_credentials_give_the_same_account(hook, credentials):
    assert AtlasServiceAccountHook(**credentials).settings.account == hook.settings.account


def test_build_connection_returns_a_complete_connection_and_masks_the_secret(masked):
    conn = AtlasServiceAccountHook.build_connection(client_id=CLIENT_ID, client_secret=CLIENT_SECRET, conn_id="mine")
    assert (conn.conn_id, conn.conn_type, conn.login, conn.password, conn.host) == (
        "mine",
        "mongodbatlas",
        CLIENT_ID,
        CLIENT_SECRET,
        None,
    )
    masked.assert_called_once_with(CLIENT_SECRET)


@pytest.mark.parametrize(
    "given",
    [
        {"client_id": CLIENT_ID},
        {"client_secret": CLIENT_SECRET},
        {"base_url": "https://cloud.mongodb.com"},
        {"client_id": "", "client_secret": CLIENT_SECRET},
        {"client_id": "publickey", "client_secret": "01234567-89ab-cdef-0123-456789abcdef"},
    ],
)
def test_incomplete_credentials_do_not_fall_back_to_a_stored_connection(given, atlas_sandbox, says_nothing):
    with pytest.raises(exceptions.InvalidConnection) as caught:
        AtlasServiceAccountHook(**given).get_token()
    assert isinstance(caught.value, AirflowFailException)
    says_nothing(caught.value, CLIENT_SECRET, "01234567-89ab-cdef-0123-456789abcdef")


def test_64_threads_and_20_hooks_make_one_request(atlas_sandbox):
    hooks = [AtlasServiceAccountHook() for _ in range(20)]
    start = threading.Barrier(64)

    def get(number: int) -> str:
        start.wait()
        return hooks[number % 20].get_token().value

    with ThreadPoolExecutor(64) as pool:
        values = set(pool.map(get, range(64)))
    assert len(values) == 1
    assert atlas_sandbox.counters.token_requests == 1


def test_the_next_task_in_the_same_process_has_its_own_token(atlas_sandbox, in_task):
    module_level_hook = AtlasServiceAccountHook()
    values = []
    for task_id, try_number in [("first", 1), ("second", 1), ("second", 2)]:
        in_task(task_id, try_number)
        values.append(module_level_hook.get_token().value)
        assert AtlasServiceAccountHook().get_token().value == values[-1]
    assert len(set(values)) == 3 == atlas_sandbox.counters.token_requests


def test_get_token_with_a_cached_token_does_no_io_and_waits_for_no_other_thread(atlas_sandbox, in_task, mocker):
    in_task("warm")
    hook = AtlasServiceAccountHook()
    token = hook.get_token()
    atlas_sandbox.fail_next("token", kind="silence")
    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(AtlasServiceAccountHook(max_wait=0).generate_token)  # holds every lock that a request holds
        while atlas_sandbox.counters.token_requests < 2:
            threading.Event().wait(0.001)
        mocker.patch(
            "socket.socket.connect", side_effect=AssertionError("get_token() with a cached token opened a connection")
        )
        with hook._source._cache._lock:
            assert hook.get_token() is token
        atlas_sandbox.stop()
        with pytest.raises(exceptions.AtlasUnreachable):
            other.result()


def test_a_hook_with_a_new_secret_does_not_use_the_token_of_the_old_secret(atlas_sandbox, credentials):
    old = AtlasServiceAccountHook(**credentials).get_token()
    new_secret = atlas_sandbox.add_secret(atlas_sandbox.client_id)
    new = AtlasServiceAccountHook(**{**credentials, "client_secret": new_secret}).get_token()
    assert new.value != old.value


def test_generate_token_always_requests_a_new_token_and_does_not_change_the_cache(hook, atlas_sandbox):
    cached = hook.get_token()
    assert hook.generate_token().value != cached.value
    assert hook.get_token() is cached


@pytest.mark.parametrize("form", ["token", "sealed", "plain"])
def test_revoke_token_accepts_each_form_of_a_token_and_drops_it_from_the_cache(hook, atlas_sandbox, form):
    token = hook.get_token()
    hook.revoke_token({"token": token, "sealed": hook.seal(token), "plain": token.value}[form])
    assert not atlas_sandbox.is_active(token.value)
    assert hook.get_token().value != token.value


@pytest.mark.parametrize(
    "form",
    [
        "",
        "  ",
        "{plain}\n",
        " {sealed}",
        "\n{sealed}",
        "'{sealed}'",
        "{{'token': '{sealed}'}}",
        "Bearer {plain}",
        "None",
        None,
        7,
    ],
)
def test_revoke_token_refuses_what_is_not_a_token_because_atlas_would_respond_200(
    hook, atlas_sandbox, form, says_nothing
):
    token = hook.generate_token()
    text = form.format(plain=token.value, sealed=hook.seal(token)) if isinstance(form, str) else form
    with pytest.raises(exceptions.InvalidSealedToken, match="must be an AccessToken") as caught:
        hook.revoke_token(text)
    assert atlas_sandbox.counters.revoke_requests == 0
    says_nothing(caught.value, token.value)


def test_a_child_process_does_not_wait_for_a_request_of_its_parent(hook, atlas_sandbox):
    atlas_sandbox.fail_next("token", kind="silence", seconds=2)
    with ThreadPoolExecutor(1) as pool:
        parent = pool.submit(hook.get_token)
        while atlas_sandbox.counters.token_requests == 0:
            threading.Event().wait(0.001)
        child = os.fork()
        if child == 0:
            os._exit(0 if hook.get_token().value else 1)
        while (ended := os.waitpid(child, os.WNOHANG)) == (0, 0):
            threading.Event().wait(0.01)
        assert ended == (child, 0)
        assert parent.result().value
    assert atlas_sandbox.counters.token_requests == 2


def test_get_token_does_not_wait_for_a_renewal_while_the_old_token_is_valid(hook, atlas_sandbox, mocker):
    token = hook.get_token()
    atlas_sandbox.fail_next("token", status=429, headers={"Retry-After": "60"})
    slept = mocker.patch("tenacity.nap.time.sleep")
    mocker.patch("airflow_provider_atlas.cache.memory.time.time", return_value=time.time() + 56 * 60)
    for cache in task._caches.values():
        cache._clock = time.time
    assert hook.get_token() is token
    slept.assert_not_called()


def test_a_response_that_arrives_in_small_parts_does_not_block_the_test_button(mocker):
    mocker.patch.object(service_account, "TEST_TIMEOUT", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def send_slowly() -> None:
            connection, _ = listener.accept()
            with connection, contextlib.suppress(OSError):
                connection.sendall(b"HTTP/1.1 200 OK\r\n")
                for _ in range(20):
                    connection.sendall(b"X: y\r\n")
                    threading.Event().wait(0.1)

        thread = threading.Thread(target=send_slowly)
        thread.start()
        hook = AtlasServiceAccountHook(
            client_id=CLIENT_ID, client_secret=CLIENT_SECRET, base_url=f"http://127.0.0.1:{listener.getsockname()[1]}"
        )
        worked, text = hook.test_connection()
        thread.join()
    assert not worked
    assert "did not respond completely within 0.3 s" in text


def test_a_token_from_another_task_is_used_and_none_is_requested(hook, atlas_sandbox):
    token = hook.generate_token()
    before = atlas_sandbox.counters.token_requests
    other = AtlasServiceAccountHook(token=hook.seal(token))
    assert other.get_token() == token
    assert AtlasServiceAccountHook(token=hook.seal(token)).get_token() == token
    assert atlas_sandbox.counters.token_requests == before


def test_an_expired_token_from_another_task_raises_token_expired(hook, atlas_sandbox, mocker):
    atlas_sandbox.token_life = 1
    sealed = hook.seal(hook.generate_token())
    mocker.patch.object(tokens.time, "time", return_value=time.time() + 1)
    with pytest.raises(exceptions.TokenExpired) as caught:
        AtlasServiceAccountHook(token=sealed).get_token()
    assert isinstance(caught.value, AirflowFailException)
    assert atlas_sandbox.counters.token_requests == 1


def test_a_token_sealed_by_another_account_is_refused(hook, atlas_sandbox, says_nothing):
    client_id, secret = atlas_sandbox.add_account()
    other = AtlasServiceAccountHook(client_id=client_id, client_secret=secret, base_url=atlas_sandbox.url)
    token = other.generate_token()
    with pytest.raises(exceptions.InvalidSealedToken) as caught:
        AtlasServiceAccountHook(token=other.seal(token)).get_token()
    assert isinstance(caught.value, AirflowFailException)
    says_nothing(caught.value, secret, token.value, atlas_sandbox.client_secret)


def test_with_uses_its_own_token_and_revokes_it_at_the_end(hook, atlas_sandbox):
    shared = hook.get_token()
    with hook as own:
        inside = own.get_token()
        assert own.get_token() is inside
        assert hook.get_token() is shared
        assert inside.value != shared.value
    assert not atlas_sandbox.is_active(inside.value)
    assert atlas_sandbox.is_active(shared.value)


def test_nested_with_blocks_use_their_own_tokens_and_revoke_them_after_an_error(hook, atlas_sandbox):
    with pytest.raises(ZeroDivisionError), hook as outer, hook as inner:
        outside, inside = outer.get_token(), inner.get_token()
        raise ZeroDivisionError
    assert outside.value != inside.value
    assert atlas_sandbox.counters.active == 0


def test_two_coroutines_with_one_hook_leave_each_other_s_token_alone(hook, atlas_sandbox):
    async def work(inside, leave):
        with hook as own:
            token = own.get_token()
            inside.set()
            await leave.wait()
            assert atlas_sandbox.is_active(token.value)

    async def main():
        began, both_inside, first_left = asyncio.Event(), asyncio.Event(), asyncio.Event()

        async def first():
            await work(began, both_inside)
            first_left.set()

        async def second():
            await began.wait()
            await work(both_inside, first_left)

        await asyncio.gather(first(), second())

    asyncio.run(main())
    assert (atlas_sandbox.counters.issued, atlas_sandbox.counters.active) == (2, 0)


def test_after_its_block_a_hook_of_with_requests_no_token(hook, atlas_sandbox):
    with hook as own:
        pages = own.paginate("/api/atlas/v2/groups", params={"itemsPerPage": 1})
        next(pages)
    for call in (own.get_token, lambda: own.run("/api/atlas/v2/groups"), lambda: next(pages)):
        with pytest.raises(exceptions.InvalidCall, match="use the hook inside it"):
            call()
    assert (atlas_sandbox.counters.issued, atlas_sandbox.counters.active) == (1, 0)


def test_with_makes_no_request_if_no_token_is_used(hook, atlas_sandbox):
    with hook:
        pass
    assert (atlas_sandbox.counters.token_requests, atlas_sandbox.counters.revoke_requests) == (0, 0)


def test_a_failed_revocation_at_the_end_of_with_is_a_warning(hook, atlas_sandbox, caplog):
    atlas_sandbox.fail_next("revoke", status=400, body=b"")
    with hook as own:
        own.get_token()
    assert "was not revoked and will expire by itself" in caplog.text


class Ended(BaseException):
    """The task's timeout, or its end."""


@pytest.mark.parametrize(("error", "waits", "active"), [(None, 1, 0), (ValueError, 1, 0), (Ended, 0, 1)])
def test_with_waits_on_the_way_out_unless_the_task_was_interrupted(
    hook, atlas_sandbox, mocker, clock, error, waits, active
):
    patched = functools.partial(retry.call_with_retry, clock=clock, sleep=clock.sleep)
    mocker.patch.object(tokens, "call_with_retry", patched)
    atlas_sandbox.fail_next("revoke", status=429, headers={"Retry-After": "40"})
    with contextlib.suppress(ValueError, Ended), hook as own:
        own.get_token()
        if error is not None:
            raise error
    assert (len(clock.slept), atlas_sandbox.counters.active) == (waits, active)


def test_with_waits_on_the_way_out_for_all_its_tokens_no_longer_than_max_wait(atlas_sandbox, mocker, clock, caplog):
    patched = functools.partial(retry.call_with_retry, clock=clock, sleep=clock.sleep)
    mocker.patch.object(tokens, "call_with_retry", patched)
    mocker.patch.object(tokens, "time", mocker.Mock(time=time.time, monotonic=clock))
    for _ in range(9):
        atlas_sandbox.fail_next("revoke", status=429, headers={"Retry-After": "40"})
    with AtlasServiceAccountHook(max_wait=100) as own:
        for _ in range(3):
            token = own.get_token()
            own._source._cache.drop(token.value)
    assert sum(clock.slept) <= 100
    assert caplog.text.count("was not revoked and will expire by itself") == 3


def test_with_revokes_a_token_whose_request_the_task_s_end_interrupted(hook, atlas_sandbox, mocker):
    def end_after(call):
        call()
        raise Ended

    mocker.patch.object(tokens, "uninterrupted", end_after)
    with pytest.raises(Ended), hook as own:
        own.get_token()
    assert (atlas_sandbox.counters.issued, atlas_sandbox.counters.active) == (1, 0)


def test_with_does_not_revoke_an_expired_token(hook, atlas_sandbox, mocker):
    with hook as own:
        own.get_token()
        mocker.patch.object(tokens.time, "time", return_value=time.time() + 3601 + 900)
    assert atlas_sandbox.counters.revoke_requests == 0


def test_with_on_a_hook_with_a_token_from_another_task_raises_value_error(hook):
    with pytest.raises(ValueError, match="without `with`"), AtlasServiceAccountHook(token="x"):
        pass


def test_generated_and_unsealed_tokens_are_masked_in_logs(hook, masked):
    token = hook.generate_token()
    masked.assert_called_with(token.value)
    sealed = hook.seal(token)
    masked.reset_mock()
    hook.unseal(sealed)
    masked.assert_called_once_with(token.value)


def test_the_secret_and_the_basic_pair_are_masked_once_for_a_connection(hook, masked, atlas_sandbox):
    pair = base64.b64encode(f"{atlas_sandbox.client_id}:{atlas_sandbox.client_secret}".encode()).decode()
    for _ in range(2):
        hook.get_token()
    assert [call.args[0] for call in masked.call_args_list][:1] == [[atlas_sandbox.client_secret, pair]]
    assert masked.call_count == 2  # and the token


def test_a_token_from_the_store_and_a_replacement_are_masked(masked, atlas_sandbox, store):
    token = AtlasServiceAccountHook(cache_scope="deployment").get_token()
    task._caches.clear()
    masked.reset_mock()
    hook = AtlasServiceAccountHook(cache_scope="deployment")
    assert hook.get_token() == token
    masked.assert_called_with(token.value)
    atlas_sandbox.fail_next("api", status=401)
    hook.run("/api/atlas/v2/groups")
    masked.assert_called_with(hook.get_token().value)
    assert hook.get_token() != token


@pytest.mark.parametrize("how", [copy.copy, copy.deepcopy, lambda hook: pickle.loads(pickle.dumps(hook))])
def test_a_copy_of_a_hook_has_its_arguments_and_no_token(how, hook, atlas_sandbox):
    hook.get_token()
    again = how(hook)
    assert again._source is None
    assert again.current._settings is None
    assert again.get_token()


def test_a_session_cannot_be_pickled(hook):
    with pytest.raises(TypeError, match="must not leave its task"):
        pickle.dumps(hook.get_conn())


def test_get_token_waits_for_a_rate_limit_within_max_wait(atlas_sandbox, mocker, clock):
    mocker.patch.object(
        tokens,
        "call_with_retry",
        functools.partial(retry.call_with_retry, clock=clock, sleep=clock.sleep),
    )
    for _ in range(3):
        atlas_sandbox.fail_next("token", status=429, headers={"Retry-After": "40"})
    with pytest.raises(exceptions.RateLimited):
        AtlasServiceAccountHook(max_wait=100).get_token()
    assert len(clock.slept) == 2
    AtlasServiceAccountHook(max_wait=100).get_token()


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, {"error": "invalid_request"}, exceptions.InvalidRequest),
        (400, {"error": "unsupported_grant_type"}, exceptions.UnsupportedGrantType),
        (400, {"error": "invalid_grant"}, exceptions.InvalidGrant),
        (401, {"error": "invalid_client"}, exceptions.InvalidClient),
        (403, {"error": "access_denied", "error_description": "IP access list"}, exceptions.AccessDenied),
    ],
)
@pytest.mark.parametrize("method", ["get_token", "generate_token", "revoke_token"])
def test_an_error_that_no_retry_can_fix_fails_the_task_at_once_and_quotes_atlas(
    hook, atlas_sandbox, status, body, kind, method
):
    atlas_sandbox.fail_next("revoke" if method == "revoke_token" else "token", status=status, body=json.dumps(body))
    with pytest.raises(kind) as caught:
        getattr(hook, method)(*([TOKEN] if method == "revoke_token" else []))
    assert isinstance(caught.value, AirflowFailException)
    assert (caught.value.status, caught.value.error) == (status, body["error"])
    assert caught.value.description == body.get("error_description")


def test_the_403_for_the_cap_does_not_fail_the_task_at_once_and_names_a_remedy(hook, atlas_sandbox):
    atlas_sandbox.token_cap = 0
    with pytest.raises(exceptions.TokenLimitReached, match="cache_scope=deployment") as caught:
        hook.get_token()
    assert not isinstance(caught.value, AirflowFailException)


def test_the_test_button_generates_and_revokes_a_token_and_reports_it(hook, atlas_sandbox, says_nothing):
    worked, message = hook.test_connection()
    assert worked
    assert atlas_sandbox.client_id in message
    assert (atlas_sandbox.counters.issued, atlas_sandbox.counters.active) == (1, 0)
    says_nothing(ValueError(message), atlas_sandbox.client_secret, *atlas_sandbox.issued)


@pytest.mark.parametrize(
    ("endpoint", "fault", "message"),
    [
        ("token", {"status": 401}, "Generating a token failed. Atlas does not accept this client id and secret"),
        ("token", {"status": 429}, "Generating a token failed. Atlas limits the rate"),
        ("token", {"kind": "drop"}, "Generating a token failed. The connection to Atlas failed"),
        ("token", {"kind": "silence"}, "Generating a token failed. Atlas did not respond completely within 0.1 s"),
        ("revoke", {"status": 500}, "A token was generated, but revoking it failed. Atlas reported an error"),
    ],
)
def test_the_test_button_names_the_step_that_failed(
    hook, atlas_sandbox, endpoint, fault, message, mocker, says_nothing
):
    mocker.patch.object(service_account, "TEST_TIMEOUT", 0.1)
    atlas_sandbox.fail_next(endpoint, **fault)
    worked, text = hook.test_connection()
    assert not worked
    assert text.startswith(message)
    says_nothing(ValueError(text), atlas_sandbox.client_secret, *atlas_sandbox.issued)


def test_the_test_button_says_which_field_is_wrong(says_nothing):
    worked, text = AtlasServiceAccountHook(client_id="publickey", client_secret=CLIENT_SECRET).test_connection()
    assert not worked
    assert text.startswith("Reading the connection failed. Client ID must start with mdb_sa_id_")
    says_nothing(ValueError(text))


def test_logs_identify_a_token_only_by_its_fingerprint(hook, atlas_sandbox, caplog, says_nothing):
    caplog.set_level(logging.DEBUG)
    token = hook.get_token()
    hook.revoke_token(token)
    assert f"Generated Atlas token {token.fingerprint}, valid for 60 min." in caplog.text
    assert f"Revoked Atlas token {token.fingerprint}." in caplog.text
    says_nothing(None, atlas_sandbox.client_secret, token.value)
    assert atlas_sandbox.client_secret not in repr(hook)


def test_importing_hook_and_operators_loads_neither_requests_nor_cryptography():
    code = """
import sys
from airflow.providers.common.compat.sdk import BaseHook, BaseOperator
before = set(sys.modules)
import airflow_provider_atlas.hooks.service_account, airflow_provider_atlas.operators.token
import airflow_provider_atlas.triggers.token
print({name.partition(".")[0] for name in set(sys.modules) - before} & {"requests", "cryptography", "starlette"})
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "set()"
