"""N who wait for one limit cost about N requests, first come, first served."""

from __future__ import annotations

import asyncio
import gc

import pytest

from airflow_provider_atlas.exceptions import AtlasUnreachable, RateLimited
from airflow_provider_atlas.triggers import gate as module
from airflow_provider_atlas.triggers.gate import Gate, gate_for


class World:
    """A clock that sleeping moves, and an Atlas with a fixed window on it."""

    def __init__(self, limit: int = 10, window: float = 60.0) -> None:
        self.now, self.limit, self.window = 1000.0, limit, window
        self.opened, self.used, self.requests, self.refusals = -1e9, 0, 0, 0

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        await asyncio.sleep(0)

    def ask(self, told: bool = True) -> None:
        self.requests += 1
        if self.now >= self.opened + self.window:
            self.opened, self.used = self.now, 0
        if self.used >= self.limit:
            self.refusals += 1
            left = self.opened + self.window - self.now
            raise RateLimited(retry_after=left if told else None, limit=self.limit, window=self.window)
        self.used += 1
        self.now += 0.1


async def through(gate: Gate, world: World, order: list[int], number: int, told: bool = True) -> None:
    async with gate.turn():
        while True:
            await gate.wait_until_open()
            try:
                world.ask(told)
            except RateLimited as error:
                gate.close(error, (error.retry_after if told else 30.0) + 0.5)
            else:
                gate.count()
                order.append(number)
                return


@pytest.mark.parametrize(("told", "most_refusals"), [(True, 1), (False, 12)])
def test_many_who_wait_cost_about_one_request_each_and_come_in_order(told, most_refusals):
    world, order = World(), []
    gate = Gate(world.clock, world.sleep)

    async def main() -> None:
        await asyncio.gather(*(through(gate, world, order, number, told) for number in range(50)))

    asyncio.run(main())
    assert order == list(range(50))
    assert world.requests == 50 + world.refusals
    assert world.refusals <= most_refusals
    assert world.now - 1000 < 4 * 60 + 35


def test_a_cancelled_one_gives_its_place_up():
    world, order = World(limit=1, window=60), []
    gate = Gate(world.clock, world.sleep)

    async def main() -> None:
        async with gate.turn():
            waiting = [asyncio.create_task(through(gate, world, order, number)) for number in range(3)]
            await asyncio.sleep(0)
            waiting[1].cancel()
        await asyncio.gather(*waiting, return_exceptions=True)

    asyncio.run(main())
    assert order == [0, 2]


@pytest.mark.parametrize(
    ("stated", "longest"),
    [
        ({"limit": 10, "window": 60.0, "retry_after": 5.0}, 60.0),
        ({"limit": 10, "retry_after": 5.0}, 0.0),
        ({"window": 60.0}, 0.0),
        ({"retry_after": 720.0}, 0.0),
    ],
)
@pytest.mark.parametrize("gap", [0.1, 5.0, 12.0, 100.0])
def test_steady_traffic_teaches_no_more_than_what_was_stated(stated, longest, gap):
    world = World()
    gate = Gate(world.clock, world.sleep)
    for _ in range(60):
        gate.close(RateLimited(**stated), stated.get("retry_after", 30.0))
        world.now += gate.closed_for
        for _ in range(9):
            gate.count()
            world.now += gap
        assert gate.closed_for == 0  # nine of ten
        gate.count()
        assert gate.closed_for == pytest.approx(max(longest - 9 * gap, 0))
        world.now += gate.closed_for


def test_a_refusal_that_is_no_limit_closes_the_gate_and_teaches_nothing():
    world = World()
    gate = Gate(world.clock, world.sleep)
    assert gate.close(AtlasUnreachable(), 8.0) == pytest.approx(8.0)
    assert gate.closed_for == pytest.approx(8.0)
    for _ in range(100):
        gate.count()
    world.now += 8
    assert gate.closed_for == 0


def test_a_later_refusal_never_opens_the_gate_earlier():
    world = World()
    gate = Gate(world.clock, world.sleep)
    gate.close(AtlasUnreachable(), 60.0)
    assert gate.close(AtlasUnreachable(), 1.0) == pytest.approx(60.0)


def test_an_account_and_endpoint_has_one_gate_while_anybody_waits_and_none_afterwards():
    async def main() -> None:
        gate = gate_for(("account", "generate"))
        assert gate_for(("account", "generate")) is gate
        assert gate_for(("account", "revoke")) is not gate
        gates = module._gates[asyncio.get_running_loop()]
        del gate
        gc.collect()
        assert len(gates) == 0

    asyncio.run(main())
