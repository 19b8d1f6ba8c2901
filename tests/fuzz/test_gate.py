"""
The gate as a state machine: triggers come, leave or are refused; one makes its request at a time, in order, never while
the gate is closed. The gate learns what a refusal states, both the limit and the window, and nothing else.
"""

from __future__ import annotations

import asyncio
import itertools

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from airflow_provider_atlas.exceptions import AtlasUnreachable, RateLimited
from airflow_provider_atlas.triggers.gate import Gate


class GateMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.now = 1000.0
        self.sleepers: list[tuple[float, asyncio.Future[None]]] = []
        self.gate = Gate(lambda: self.now, self.sleep)
        self.waiting: dict[int, asyncio.Task[None]] = {}
        self.numbers = itertools.count()
        self.requesting: tuple[int, asyncio.Future[Exception | None]] | None = None
        self.served: list[int] = []
        # What the gate was told: until when it is closed, who succeeded since it opened, and the limit and window.
        self.closed_until = 0.0
        self.passed_at: list[float] = []
        self.stated: tuple[int, float] | None = None

    async def sleep(self, seconds: float) -> None:
        future = self.loop.create_future()
        self.sleepers.append((self.now + seconds, future))
        await future

    async def visit(self, number: int) -> None:
        async with self.gate.turn():
            while True:
                await self.gate.wait_until_open()
                assert self.requesting is None, "two make requests at a time"
                assert self.now >= self.closed_until, "a request is made while the gate is closed"
                response = self.loop.create_future()
                self.requesting = number, response
                try:
                    refusal = await response
                finally:
                    self.requesting = None
                if refusal is None:
                    self.gate.count()
                    self.served.append(number)
                    return
                error, wait = refusal
                assert self.gate.close(error, wait) >= wait - 1e-6

    def settle(self) -> None:
        async def turns() -> None:
            for _ in range(8):
                await asyncio.sleep(0)

        self.loop.run_until_complete(turns())
        for number in [number for number, task in self.waiting.items() if task.done()]:
            task = self.waiting.pop(number)
            if not task.cancelled():
                task.result()

    @rule(many=st.integers(1, 3))
    def come(self, many: int) -> None:
        for number in itertools.islice(self.numbers, many):
            self.waiting[number] = self.loop.create_task(self.visit(number))
        self.settle()

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        self.waiting[data.draw(st.sampled_from(sorted(self.waiting)))].cancel()
        self.settle()

    @rule(seconds=st.floats(0.01, 100))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        due = [future for at, future in self.sleepers if at <= self.now and not future.done()]
        self.sleepers = [(at, future) for at, future in self.sleepers if at > self.now and not future.done()]
        for future in due:
            future.set_result(None)
        self.settle()

    @precondition(lambda self: self.requesting)
    @rule()
    def let_in(self) -> None:
        self.passed_at.append(self.now)
        if self.stated is not None and len(self.passed_at) >= self.stated[0]:
            self.close(self.passed_at[0] + self.stated[1])
        self.respond(None)

    @precondition(lambda self: self.requesting)
    @rule(
        wait=st.floats(1, 60),
        limit=st.none() | st.integers(1, 4),
        window=st.none() | st.floats(1, 90),
        told=st.booleans(),
    )
    def refuse(self, wait: float, limit: int | None, window: float | None, told: bool) -> None:
        error = RateLimited(retry_after=wait if told else None, limit=limit, window=window)
        if limit is not None and window is not None:
            self.stated = limit, window
        self.close(self.now + wait)
        self.respond((error, wait))

    @precondition(lambda self: self.requesting)
    @rule(wait=st.floats(1, 60))
    def break_off(self, wait: float) -> None:
        self.close(self.now + wait)
        self.respond((AtlasUnreachable(), wait))

    def close(self, until: float) -> None:
        self.closed_until, self.passed_at = max(self.closed_until, until), []

    def respond(self, refusal: tuple[Exception, float] | None) -> None:
        assert self.requesting is not None
        self.requesting[1].set_result(refusal)
        self.settle()

    @invariant()
    def says_what_it_does(self) -> None:
        assert abs(self.gate.closed_for - max(self.closed_until - self.now, 0.0)) < 1e-6

    @invariant()
    def first_come_first_served(self) -> None:
        assert self.served == sorted(self.served)
        if self.requesting is not None:
            assert self.requesting[0] == min(self.waiting)

    def teardown(self) -> None:
        try:
            for _ in range(1000):  # everybody who stays gets through
                if not self.waiting:
                    break
                if self.requesting is not None:
                    self.let_in()
                else:
                    self.time_passes(max(self.closed_until - self.now, 0.01))
            assert not self.waiting
        finally:
            self.loop.close()


TestGate = GateMachine.TestCase
