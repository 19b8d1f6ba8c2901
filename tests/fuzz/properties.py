"""The property of all code that reads input: it returns a correct result or raises a typed error without a secret."""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from urllib.parse import quote

from hypothesis import strategies as st

from airflow_provider_atlas.exceptions import AtlasError
from airflow_provider_atlas.oauth.account import ServiceAccount
from airflow_provider_atlas.oauth.token import AccessToken
from tests.conftest import CLIENT_ID, CLIENT_SECRET, TOKEN, secrets_in, texts_of

T = TypeVar("T")

ACCOUNT = ServiceAccount(CLIENT_ID, CLIENT_SECRET)
NOW = 1_800_000_000.0


class _Messages(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())


def result_or_typed_error(call: Callable[[], T], *secrets: str, kind: type[AtlasError] = AtlasError) -> T | AtlasError:
    """What a call returns, or the error of type ``kind`` that it raises. Error and logs must hold no secret."""
    log, handler = logging.getLogger("airflow_provider_atlas"), _Messages()
    level = log.level
    log.setLevel(logging.DEBUG)
    log.addHandler(handler)
    result: T | AtlasError
    try:
        result = call()
    except kind as error:
        result = error
    finally:
        log.removeHandler(handler)
        log.setLevel(level)
    assert (
        secrets_in([*handler.messages, *texts_of(result if isinstance(result, AtlasError) else None)], *secrets) == []
    )
    return result


PAIR = f"{CLIENT_ID}:{CLIENT_SECRET}"
#: What a server that echoes a request may send.
echoes = st.sampled_from(
    [
        CLIENT_SECRET,
        quote(CLIENT_SECRET, safe=""),
        PAIR,
        base64.b64encode(PAIR.encode()).decode(),
        f"Bearer {TOKEN}",
        quote(TOKEN, safe=""),
    ]
)
any_text = st.text(st.characters(), max_size=30)  # surrogates and control characters included
words = st.lists(st.one_of(any_text, echoes), max_size=4).map("".join)
numbers = st.one_of(
    st.integers(),
    st.floats(),
    st.booleans(),
    st.sampled_from([0, 1, 10, 60, 3600, 86_400, -1, 1e300, 10**400, float("inf"), float("nan")]),
)
scalars = st.one_of(st.none(), numbers, any_text)


def nested(leaves: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Nested JSON."""
    return st.recursive(
        leaves,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(any_text, inner, max_size=4),
        max_leaves=8,
    )


json_values = nested(scalars)
broken_json = st.one_of(
    st.binary(max_size=60),
    st.sampled_from([b"[" * 100_000, b'{"a":' * 100_000, b"", b" ", b"null", b"\xef\xbb\xbf{}", b"\xff\xfe{\x00}\x00"]),
    st.sampled_from([b"<html>502</html>", b'{"a": ' + b"9" * 5000 + b"}", b'{"access_token": "x"', b'{"a": Infinity}']),
)


def as_json(value: object) -> str:
    """JSON as a server may send it, with ``NaN`` and surrogates."""
    return json.dumps(value)


#: Tokens as Atlas issues them, in this century: then a float of epoch seconds is exact to the microsecond.
moments = st.datetimes(datetime(2001, 1, 1), datetime(2099, 1, 1), timezones=st.just(UTC))
tokens = st.builds(
    lambda value, issued_at, lifetime: AccessToken(value, "Bearer", issued_at, issued_at + lifetime),
    st.text(min_size=1, max_size=40),
    moments,
    st.timedeltas(timedelta(seconds=1), timedelta(days=1)),
)
