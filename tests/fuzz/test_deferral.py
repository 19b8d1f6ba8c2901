"""What Airflow's database holds during a deferral: a trigger's arguments, its event, and rendered templates."""

from __future__ import annotations

import asyncio
import json
import math
import selectors
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from unittest import mock

from airflow.providers.common.compat.sdk import AirflowNotFoundException
from hypothesis import example, given
from hypothesis import strategies as st

from airflow_provider_atlas import exceptions
from airflow_provider_atlas.cache import sealing
from airflow_provider_atlas.exceptions import AtlasApiError, AtlasError, InvalidSealedToken
from airflow_provider_atlas.oauth.client import TokenClient
from airflow_provider_atlas.oauth.retry_after import LONGEST_WAIT, seconds_to_wait
from airflow_provider_atlas.operators.token import _items
from airflow_provider_atlas.triggers import token as module
from airflow_provider_atlas.triggers.events import failure, load
from airflow_provider_atlas.triggers.events import result as result_of
from airflow_provider_atlas.triggers.gate import Gate
from airflow_provider_atlas.triggers.token import AtlasTokenTrigger
from tests.conftest import CLIENT_ID, CLIENT_SECRET, TOKEN, secrets_in
from tests.fuzz.properties import ACCOUNT, NOW, any_text, json_values, numbers, result_or_typed_error, scalars, words
from tests.fuzz.test_texts import PLAIN, SEALED
from tests.test_exceptions import ERRORS

KINDS = sorted(ERRORS)


class InstantLoop(asyncio.SelectorEventLoop):
    """An event loop with its own clock, in which sleeping takes no time."""

    def __init__(self) -> None:
        self.now = NOW
        loop = self

        class Selector(selectors.SelectSelector):
            def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
                loop.now += max(timeout or 0.0, 1e-3)  # smaller steps are lost in floats of this size
                assert loop.now < NOW + 1e6, "the trigger waits for ever"
                return super().select(0)

        super().__init__(Selector())

    def time(self) -> float:
        return self.now


@contextmanager
def environment(atlas: Callable[[], object], connection: object) -> Iterator[InstantLoop]:
    loop, gates = InstantLoop(), {}

    async def connect(conn_id: str) -> object:
        if connection is None:
            raise AirflowNotFoundException
        return connection

    async def inline(call: Callable[[], object]) -> object:
        await asyncio.sleep(0)
        return call()

    with (
        mock.patch.object(module, "time", SimpleNamespace(time=loop.time, monotonic=loop.time)),
        mock.patch.object(module, "gate_for", lambda key: gates.setdefault(key, Gate(loop.time))),
        mock.patch.object(module, "get_async_connection", connect),
        mock.patch.object(module, "_in_thread", inline),
        mock.patch.object(TokenClient, "generate", lambda self: atlas() or PLAIN),
        mock.patch.object(TokenClient, "revoke", lambda self, value: atlas()),
    ):
        try:
            yield loop
        finally:
            loop.close()


waits = st.floats(0, LONGEST_WAIT)
refusals = st.one_of(
    st.builds(
        lambda after, limit: exceptions.RateLimited(retry_after=after, limit=limit), st.none() | waits, st.integers(1)
    ),
    st.builds(lambda after: exceptions.ServiceUnavailable(retry_after=after), st.none() | waits),
    st.sampled_from(
        [
            getattr(exceptions, name)
            for name in ("TokenLimitReached", "InvalidClient", "ServerError", "AtlasUnreachable")
        ]
    ).map(lambda kind: kind()),
    st.just(ValueError(f"Basic {CLIENT_SECRET}")),
)
connections = st.sampled_from([None, CLIENT_SECRET, CLIENT_SECRET, CLIENT_SECRET, "no secret"]).map(
    lambda secret: (
        secret
        and SimpleNamespace(
            conn_type="mongodbatlas", login=CLIENT_ID, password=secret, host=None, port=None, schema=None, extra=None
        )
    )
)
times = st.floats(NOW - 100, NOW + 10_000)
sealed_texts = st.lists(st.just(SEALED) | words, max_size=3).map(" ".join)
arguments = st.fixed_dictionaries(
    {},
    optional={
        "atlas_conn_id": st.just("atlas_default") | scalars,
        "action": st.sampled_from(["generate", "revoke"]) | scalars,
        "moment": times | scalars,
        "started": times | scalars,
        "deadline": times | scalars,
        "tokens": sealed_texts | scalars,
        "later": scalars,
    },
)


@given(arguments, connections, st.lists(st.none() | refusals, max_size=5))
@example({"moment": "soon"}, None, [])
@example({"moment": None, "deadline": None}, None, [])
@example({"moment": 10**400}, None, [])
@example({"deadline": float("nan")}, None, [])
def test_a_trigger_with_any_arguments_ends_with_one_event_in_time(arguments, connection, outcomes):
    remaining = list(outcomes)

    def atlas() -> None:
        if remaining and (outcome := remaining.pop(0)) is not None:
            raise outcome

    async def run() -> list[object]:
        return [event.payload async for event in AtlasTokenTrigger(**arguments).run()]

    with environment(atlas, connection) as loop:
        (payload,) = loop.run_until_complete(run())
        written = json.dumps(payload)
        deadline, moment = arguments.get("deadline"), arguments.get("moment")
        if type(deadline) is float and type(moment) is float and NOW < deadline < NOW + 1e6:
            assert loop.now <= max(deadline, min(moment, NOW + LONGEST_WAIT)) + 1
    assert secrets_in([written]) == []
    assert payload["status"] in ("success", "error")
    if payload["status"] == "error":
        assert isinstance(load(json.loads(written)["error"]), AtlasError)
    key = "revoked" if arguments.get("action") == "revoke" else "token"
    result = result_or_typed_error(lambda: result_of(json.loads(written), key))
    assert isinstance(result, AtlasError) is (payload["status"] == "error")
    if key == "token" and isinstance(result, str):
        assert sealing.unseal(ACCOUNT, result) == PLAIN


def built(name: str, data: dict[str, object]) -> AtlasError:
    error = getattr(exceptions, name)(data.pop("summary"))
    vars(error).update({key: value for key, value in data.items() if key in vars(error)})
    return error


fields = {
    "summary": st.text(min_size=1, max_size=20),
    "status": st.none() | st.integers(0, 999),
    "error": st.none() | any_text,
    "description": st.none() | any_text,
    "waited": st.none() | st.floats(0, 1e6),
    "retry_after": st.none() | waits,
    "limit": st.none() | st.integers(1),
    "window": st.none() | st.floats(1, 3600),
    "error_code": st.none() | any_text,
    "detail": st.none() | any_text,
    "reason": st.none() | any_text,
    "parameters": st.lists(any_text | st.integers(), max_size=3),
    "fields": st.lists(st.lists(any_text, min_size=2, max_size=2), max_size=3),
}


@given(st.builds(built, st.sampled_from(KINDS), st.fixed_dictionaries(fields)))
def test_every_error_is_loaded_from_its_event_unchanged(error):
    again = load(json.loads(json.dumps(failure(error)))["error"])
    assert (type(again), vars(again), str(again)) == (type(error), vars(error), str(error))


written = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from([*KINDS, "RetryableResponse", "Sequence", "later"]) | json_values,
        "summary": words | json_values,
        "data": st.fixed_dictionaries({}, optional=dict.fromkeys(fields, numbers | json_values)) | json_values,
    },
)
events = json_values | st.fixed_dictionaries(
    {"status": st.sampled_from(["error", "success", "later"]) | json_values},
    optional={"error": written | json_values, "token": words | json_values, "revoked": words | json_values},
)


@given(events, st.sampled_from(["token", "revoked"]))
@example({"status": "error", "error": {"type": "AtlasApiError", "data": {"fields": [1]}}}, "token")
@example({"status": "error", "error": {"type": "RateLimited", "data": {"retry_after": 1e300}}}, "token")
@example({"status": "error", "error": {"type": "RateLimited", "data": {"retry_after": "soon"}}}, "token")
@example({"status": "error", "error": {"type": "AtlasError", "data": {"waited": "long"}}}, "token")
def test_any_event_becomes_its_result_or_an_error_that_can_be_printed_and_retried(event, key):
    # Events that a trigger wrote hold no secret. Other events are quoted as they are.
    try:
        assert result_of(event, key) == event[key]
        return
    except AtlasError as error:
        result = error
    assert str(result)
    assert json.dumps(failure(result))
    assert not isinstance(result, AtlasApiError) or isinstance(result.remedy, str)
    for deferred in (False, True):
        seconds = seconds_to_wait(result, 1, deferred=deferred)
        assert seconds is None or (1 <= seconds <= LONGEST_WAIT * 1.1 and not math.isnan(seconds))


plain = st.just(TOKEN)
leaves = st.one_of(
    st.just(SEALED), plain, scalars, st.binary(max_size=5), st.sampled_from(["{[]: 1}", "{['a']}", "{{1: 2}}", "b'x'"])
)
given_to_revoke = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.fixed_dictionaries({"token": inner}, optional={"token_type": any_text}),
        st.dictionaries(any_text, inner, max_size=3),
    ),
    max_leaves=8,
)


@given(given_to_revoke, st.booleans(), st.booleans())
@example("{[]: 1}", False, False)
def test_any_value_to_revoke_becomes_sealed_tokens_or_typed_errors(value, literals, as_text):
    value = str(value) if as_text else value
    for item in result_or_typed_error(lambda: list(_items(value, literals=literals))):
        assert isinstance(item, InvalidSealedToken) or item.startswith(sealing.PREFIX)
        assert secrets_in([str(item)]) == []


sealed_only = st.recursive(
    st.just(SEALED) | st.integers(0, 9).map(lambda number: f"{sealing.PREFIX}1:{number}"),
    lambda inner: st.lists(inner, max_size=4) | st.lists(inner).map(tuple) | st.fixed_dictionaries({"token": inner}),
    max_leaves=8,
)


def flat(value: object) -> list[str]:
    if isinstance(value, dict):
        return flat(value["token"]) if isinstance(value["token"], str) else [InvalidSealedToken.__name__]
    if isinstance(value, list | tuple):
        return [text for item in value for text in flat(item)]
    return [str(value)]


@given(sealed_only)
def test_every_sealed_token_is_found_in_order_whatever_contains_it(value):
    def found(value: object) -> list[str]:
        return [type(item).__name__ if isinstance(item, InvalidSealedToken) else item for item in _items(value)]

    assert found(value) == found(str(value)) == flat(value)


@given(given_to_revoke, plain | st.just(TOKEN.encode()) | st.just({TOKEN}) | st.just([{TOKEN}]))
def test_a_plain_token_in_a_dag_file_is_refused_wherever_it_is(others, token):
    items = list(_items([others, token], literals=True))
    assert any(isinstance(item, InvalidSealedToken) for item in list(_items(token, literals=True)))
    assert any(isinstance(item, InvalidSealedToken) for item in items)
