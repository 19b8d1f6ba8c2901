"""A request runs to its end whatever interrupts the task meanwhile."""

from __future__ import annotations

import pytest

from airflow_provider_atlas.exceptions import RateLimited
from airflow_provider_atlas.oauth import transport
from airflow_provider_atlas.oauth.transport import uninterrupted


class Ended(BaseException):
    """The task's timeout, or its end."""


@pytest.fixture
def interrupt(mocker):
    """Interrupt the task before or after its request starts, or while it waits; a second wait lets the request end."""

    def interrupt(when):
        class Thread:
            def __init__(self, *, target, **_):
                self.target, self.ident, self.waits = target, None, 0

            def start(self):
                if when == "before the start":
                    raise Ended
                self.ident = 1
                if when == "after the start":
                    raise Ended

            def join(self):
                self.waits += 1
                if when == "during the wait" and self.waits == 1:
                    raise Ended
                self.target()

        mocker.patch.object(transport.threading, "Thread", Thread)

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


@pytest.mark.parametrize(("when", "calls"), [("before the start", 0), ("after the start", 1), ("during the wait", 1)])
def test_an_interruption_is_raised_after_the_call_has_ended(when, calls, interrupt):
    done = []
    interrupt(when)
    with pytest.raises(Ended):
        uninterrupted(lambda: done.append("token"))
    assert len(done) == calls
