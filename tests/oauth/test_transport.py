"""A request runs to its end whatever interrupts the task meanwhile."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import pytest

from airflow_provider_atlas.exceptions import RateLimited
from airflow_provider_atlas.oauth import transport
from airflow_provider_atlas.oauth.transport import uninterrupted


class Ended(BaseException):
    """The task's timeout, or its end."""


@pytest.fixture
def interrupt(mocker):
    """Interrupt the task around its thread's start, or while it waits; returns what waits for that thread's end."""

    def interrupt(when, begun):
        ended = threading.Event()

        class Thread(threading.Thread):
            waits = 0

            def run(self):
                super().run()
                ended.set()

            def start(self):
                if when == "before the start":
                    ended.set()
                    raise Ended
                if when == "before the call has begun":
                    threading.Timer(0.05, super().start).start()
                    raise Ended
                super().start()
                if when == "after the start":
                    assert begun.wait(10)
                    raise Ended

            def join(self, timeout=None):
                self.waits += 1
                if when == "during the wait" and self.waits == 1:
                    assert begun.wait(10)
                    raise Ended
                super().join(timeout)

        mocker.patch.object(transport, "threading", SimpleNamespace(Thread=Thread))
        return lambda: ended.wait(10)

    return interrupt


def test_a_call_s_result_is_returned():
    assert uninterrupted(lambda: "token") == "token"


@pytest.mark.parametrize("error", [RateLimited(retry_after=1), SystemExit()])
def test_a_call_s_error_is_raised(error):
    def fail():
        raise error

    with pytest.raises(type(error)) as caught:
        uninterrupted(fail)
    assert caught.value is error


@pytest.mark.parametrize(
    ("when", "calls"),
    [("before the start", 0), ("before the call has begun", 0), ("after the start", 1), ("during the wait", 1)],
)
def test_an_interruption_is_raised_after_a_call_that_has_begun_and_prevents_any_other(when, calls, interrupt):
    done, begun = [], threading.Event()

    def call():
        begun.set()
        threading.Event().wait(0.05)  # the interruption comes now
        done.append("token")

    thread_has_ended = interrupt(when, begun)
    with pytest.raises(Ended):
        uninterrupted(call)
    assert len(done) == calls
    assert thread_has_ended()
    assert len(done) == calls
