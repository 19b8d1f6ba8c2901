"""A task's timeout raises in the main thread, at any line. Wherever it does, no token is lost and nothing is locked.

Each test makes one call again and again, and interrupts it at another line each time. The lines that handle a token are
all interrupted; of the others, which prepare a request or try to get the claim, each tenth. ``ATLAS_SWEEP=all``
interrupts all of them, in one to two minutes.
"""

from __future__ import annotations

import dis
import linecache
import os
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import FrameType, FunctionType

import pytest

import airflow_provider_atlas
from airflow_provider_atlas.cache import task
from airflow_provider_atlas.exceptions import StoreUnavailable
from airflow_provider_atlas.hooks.service_account import AtlasServiceAccountHook
from airflow_provider_atlas.hooks.tokens import Tokens
from airflow_provider_atlas.operators.token import GenerateTokenOperator
from tests.conftest import deployment_token, shared_token

try:
    from airflow.models.baseoperator import ExecutorSafeguard
except ImportError:
    SAFEGUARD = None
else:
    SAFEGUARD = getattr(ExecutorSafeguard, "_sentinel", None)

PACKAGE = Path(airflow_provider_atlas.__file__).parent
SWEPT = {
    str(path)
    for path in [
        PACKAGE / "hooks" / "tokens.py",
        *(path for folder in ("cache", "operators", "oauth") for path in (PACKAGE / folder).glob("*.py")),
    ]
}
#: Of these files each line is interrupted.
HOLD_TOKENS = {"cache/deployment.py", "cache/memory.py", "hooks/tokens.py", "operators/token.py", "oauth/transport.py"}
STRIDE = 1 if os.environ.get("ATLAS_SWEEP") == "all" else 10
#: What ends a request or a claim. One interruption here may leave the claim until it is stale, but no token.
CLEAN_UP = {"_release", "_give_back", "close", "revoke_or_warn"}
CLEAN_UP_LINES = {"if self._nonce is not None:", "self._release()"}


class Timeout(BaseException):
    """As Airflow's own timeout, no Exception."""


class Interruption:
    """
    Raises at the n-th line that this thread executes in the files that are swept.

    :param moment: n, counted from 0; ``None`` only records the lines.
    :param after: a function of ours; lines count once it has returned.
    """

    def __init__(self, moment: int | None, after: FunctionType | None = None) -> None:
        self.moment = moment
        self.after = after
        self.lines: list[tuple[str, int]] = []
        self.in_clean_up = False

    def __enter__(self) -> Interruption:
        sys.settrace(self._call)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> bool:
        sys.settrace(None)
        return kind is Timeout

    def _call(self, frame, event, _):
        code = frame.f_code
        # Between the start of a thread and its first line the request is under way, too.
        starts = code is threading.Thread.start.__code__ and frame.f_back.f_code.co_filename in SWEPT
        return self._line if starts or code.co_filename in SWEPT else None

    def _line(self, frame, event, _):
        if self.after is not None:
            if event == "return" and frame.f_code is self.after.__code__:
                self.after = None
        elif event == "line" and _can_be_interrupted(frame):
            path = Path(frame.f_code.co_filename)
            self.lines.append((f"{path.parent.name}/{path.name}", frame.f_lineno))
            if len(self.lines) - 1 == self.moment:
                self.in_clean_up = any(map(_cleans_up, _with_callers(frame)))
                raise Timeout
        return self._line


def _with_callers(frame) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back


def _cleans_up(frame) -> bool:
    return frame.f_code.co_name in CLEAN_UP or _text(frame) in CLEAN_UP_LINES


def _text(frame) -> str:
    return linecache.getline(frame.f_code.co_filename, frame.f_lineno).strip()


def _can_be_interrupted(frame) -> bool:
    """
    Not at a ``try:``, nor where a ``with`` ends, although Python reports both as lines. No ``finally`` would be run
    there, and Python handles no signal there: it does so after a call, and where a function or a loop's round begins.
    """
    operation = dis.opname[frame.f_code.co_code[frame.f_lasti]]
    starts_with_name = operation.startswith(("LOAD_FAST", "LOAD_GLOBAL", "LOAD_DEREF"))
    return operation != "NOP" and (starts_with_name or not _text(frame).startswith("with "))


@pytest.fixture
def sweep(atlas_sandbox, store):
    """Interrupt a call at each of its lines, and say what each interruption left."""
    atlas_sandbox.rate_limit = atlas_sandbox.token_cap = 10**9

    def run(call, prepare, moment, after):
        task._caches.clear()
        store.texts.clear()
        before = len(atlas_sandbox.issued)
        prepared = prepare()
        interruption = Interruption(moment, after)

        def interrupted() -> None:
            if SAFEGUARD is not None:  # 2.11 has this for the main thread only
                SAFEGUARD.callers = {}
            with interruption, suppress(StoreUnavailable):
                call(*prepared)

        # What a trace function raises in an `except` leaves its error as the one that this thread handles, for ever.
        with ThreadPoolExecutor(1) as own_thread:
            own_thread.submit(interrupted).result()
        known = {token.value for token in shared_token(AtlasServiceAccountHook()).read().tokens}
        active = {value for value in atlas_sandbox.issued[before:] if atlas_sandbox.is_active(value)}
        for value in active:
            atlas_sandbox.revoke(value)
        return interruption, len(active - known)

    def sweep(call, prepare=tuple, *, kept=0, after=None):
        recorded, _ = run(call, prepare, None, after)
        findings = []
        for moment, (name, _) in enumerate(recorded.lines):
            if name not in HOLD_TOKENS and moment % STRIDE:
                continue
            interruption, unknown = run(call, prepare, moment, after)
            if len(interruption.lines) <= moment:  # it ended undisturbed
                break
            left = [f"{unknown} tokens"] if unknown > kept else []
            if not interruption.in_clean_up:
                left += [name for name, text in store.texts.items() if '"nonce": "' in text]
            left += ["a request that other threads wait for" for cache in task._caches.values() if cache._flight]
            if left:
                findings.append((*interruption.lines[-1], *left))
        return findings

    return sweep


def in_deployment():
    return AtlasServiceAccountHook(cache_scope="deployment")


def generate(**kwargs):
    GenerateTokenOperator(task_id="generate", **kwargs).execute({})


def resume(event, **kwargs):
    GenerateTokenOperator(task_id="generate", **kwargs).execute_complete({}, event)


def event_of_a_trigger():
    hook = AtlasServiceAccountHook()
    return ({"status": "success", "token": hook.seal(hook.generate_token()), "deadline": time.time() + 60},)


def own():
    with AtlasServiceAccountHook() as own:
        own.get_token()


def refused_token(**kwargs):
    source = AtlasServiceAccountHook(**kwargs)._find_source()
    return source, source.get()


def replace(source, refused):
    source.replace(refused)


@pytest.mark.parametrize(
    "call",
    [lambda: in_deployment().get_token(), partial(generate, share=True), generate, own],
    ids=["get_token", "generate and share", "generate", "with hook as own"],
)
def test_a_token_that_was_requested_is_stored_or_revoked(sweep, call):
    assert sweep(call) == []


@pytest.mark.parametrize("share", [True, False])
def test_a_token_that_a_trigger_brought_is_stored_or_revoked_once_it_is_opened(sweep, share):
    assert sweep(partial(resume, share=share), event_of_a_trigger, after=Tokens.unseal) == []


def test_a_token_that_replaces_a_refused_one_is_stored_or_revoked(sweep):
    assert sweep(replace, partial(refused_token, cache_scope="deployment")) == []


@pytest.mark.parametrize(
    ("call", "prepare", "most"),
    [(lambda: AtlasServiceAccountHook().get_token(), tuple, 1), (replace, refused_token, 2)],
    ids=["get_token", "replacement"],
)
def test_in_task_scope_a_token_is_the_task_s_and_nothing_is_locked(sweep, call, prepare, most):
    assert sweep(call, prepare, kept=most) == []


def test_a_token_that_cannot_be_published_is_revoked(sweep, store):
    def fail(name, text):
        if "token" in name:
            raise StoreUnavailable

    store.before_write = fail
    assert sweep(lambda: deployment_token(AtlasServiceAccountHook()).publish()) == []


def test_a_token_that_the_store_hides_is_the_task_s(sweep, store):
    read = store.read
    store.read = lambda name: None if "token" in name else read(name)
    assert sweep(lambda: in_deployment().get_token(), kept=1) == []
