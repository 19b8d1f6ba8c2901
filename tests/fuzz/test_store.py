"""
The deployment's store as a state machine: workers use, replace and rotate one token in every order of their steps.

A worker is a thread that stops before each step that others could see: one runs at a time, and who goes on is drawn.
Steps but Atlas's answer take no time, so that nobody stalls between look and write, and nothing is forgiven: two never
ask Atlas at once. The one extra token that is promised of those who stall would make an allowance of every rule here.
"""

from __future__ import annotations

import math
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import pytest
from hypothesis import note, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from airflow_provider_atlas.cache.claim import PAUSE, POLL, STALE
from airflow_provider_atlas.cache.deployment import SharedToken
from airflow_provider_atlas.cache.memory import Renewal, renewal
from airflow_provider_atlas.cache.refusals import REFUSAL_PAUSE
from airflow_provider_atlas.exceptions import AtlasError, AtlasUnreachable, RateLimited
from airflow_provider_atlas.oauth.token import AccessToken
from tests.cache.fakes import MemoryStore
from tests.conftest import CLIENT_SECRET, secrets_in
from tests.fuzz.properties import ACCOUNT, NOW

T = TypeVar("T")
PLAIN = "eyJ.in.plain.text."
#: For so many seconds after a refusal a call may fail because of it: the longest below, its spread, and a dead claim.
LONGEST_TROUBLE = 45.0
#: Sleeps are rounded up to this, in which floats of epoch seconds are exact: who sleeps until a moment is there then.
TICK = 1 / 1024
stops = st.sampled_from(["read", "write", "mint", "sleep"])
delays = st.sampled_from([0.0, 0.0, 3.0])  # shorter than the claim of somebody who is not heard of is believed
refusals = (
    st.none() | st.builds(AtlasUnreachable) | st.builds(RateLimited, retry_after=st.sampled_from([1.0, 5.0, 30.0]))
)
answers = st.tuples(refusals, delays)


class Killed(BaseException):
    """A kill -9 as it looks from inside: whatever handlers still try has no effect."""


class Worker:
    """A task's process, and the store as it sees it. From ``read`` on, all runs in the worker's thread."""

    def __init__(self, world: StoreMachine, number: int, max_wait: float) -> None:
        self.world, self.number, self.max_wait = world, number, max_wait
        self.thread: threading.Thread | None = None
        self.at = ""  # the step before which it stands; none while it is idle
        self.wakes = -math.inf
        self.dying = False
        self.end: BaseException | None = None
        self.going, self.standing = threading.Lock(), threading.Lock()  # taken until the other side says so
        self.going.acquire()
        self.standing.acquire()
        self.held: AccessToken | None = None  # as in the cache of its process
        self.refused: AccessToken | None = None  # what it asks to be replaced
        self.refusal: AtlasError | None = None  # Atlas's next answer
        self.delay = self.delayed = 0.0  # until it comes, and all of them within one call
        self.minted = ""  # on its way from Atlas to the store
        self.claimed = ""  # what it last wrote there

    def __repr__(self) -> str:
        return f"worker {self.number}"

    def go_on(self, job: Callable[[Worker], None] | None = None) -> None:
        """Start a job, or take its next step; what the job raises comes out here."""
        if job is not None:
            self.job, self.thread = job, threading.Thread(target=self._run, daemon=True)
            self.thread.start()
        else:
            self.going.release()
        assert self.standing.acquire(timeout=30), f"{self} neither stops nor ends"
        note(f"{self} is about to {self.at}" if self.at else f"{self} ends")
        if not self.at:
            self.thread.join()
            self.minted, self.refused = "", None
            if self.end is not None:
                raise self.end

    def die(self) -> None:
        """Where it stands. Another with an empty memory takes its place."""
        self.dying = True
        with pytest.raises(Killed):
            self.go_on()
        self.dying, self.held = False, None

    def _run(self) -> None:
        self.end = None
        try:
            self.job(self)
        except BaseException as error:  # noqa: BLE001 - go_on raises it
            self.end = error
        self.at, self.wakes = "", -math.inf
        self.standing.release()

    def stop(self, step: str) -> None:
        if not self.dying:
            self.at = step
            self.standing.release()
            self.going.acquire()
        if self.dying:
            raise Killed

    def read(self, name: str) -> str | None:
        self.stop(f"read {name}")
        return self.world.store.read(name)

    def write(self, name: str, text: str) -> None:
        self.stop(f"write {name}")
        assert secrets_in([text], PLAIN, CLIENT_SECRET) == []
        self.world.store.write(name, text)
        if name == self.world.reader.claim_name:
            self.claimed = text
        elif self.minted:
            self.minted = ""
            if self.refused is not None:
                self.world.refusal_at = self.world.now

    def sleep(self, seconds: float, step: str = "sleep") -> None:
        self.wakes = self.world.now + math.ceil(seconds / TICK) * TICK
        self.stop(step)
        self.wakes = -math.inf

    def mint(self) -> AccessToken:
        self.stop("mint")
        if self.delay:
            self.delayed += self.delay
            self.sleep(self.delay, "answer")
        if self.refusal is not None:
            raise self.refusal
        token = self.world.issue()
        self.minted = token.value
        return token

    def ask(self, question: Callable[[SharedToken], T], max_wait: float) -> T | AtlasError:
        """What is promised of every call: it ends in time, gives its claim back, and fails only for a reason."""
        world, began, self.claimed, self.delayed = self.world, self.world.now, "", 0.0
        time = {"clock": lambda: world.now, "monotonic": lambda: world.now - NOW * self.number, "sleep": self.sleep}
        result: T | AtlasError
        try:
            result = question(SharedToken(ACCOUNT, self, self.mint, max_wait, **time))
        except (RateLimited, AtlasUnreachable) as error:
            assert world.troubled_until >= began, "a call fails, though nothing is wrong"
            result = error
        assert "nonce" not in self.claimed or self.claimed not in world.store.texts.values(), "a claim is kept"
        assert world.now - began <= max_wait + 2 * STALE + PAUSE + POLL + 1 + self.delayed, "a call takes too long"
        return result

    def use(self) -> None:
        """Find a token, or another in place of the one that Atlas refuses."""
        world, held, began, found = self.world, self.held, self.world.now, self.world.reader.read().token
        if found is not None and not world.lasts(found):
            found = None
        if held is not None and held.value in world.revoked | world.refused and world.lasts(held):
            self.refused, found = held, None
            result = self.ask(lambda shared: shared.replace(held, may_request=True), self.max_wait)
            assert result != held
            assert result is not None or world.now < world.refusal_at + REFUSAL_PAUSE, "a refusal is not made good"
        else:
            result = self.ask(SharedToken.get, self.max_wait)
            if found is not None:
                assert isinstance(result, AccessToken), "a living token is taken away"
                assert world.now <= began + PAUSE + self.delayed, "a living token is kept back"
        if isinstance(result, AccessToken):
            self.held = result
            assert result == found or (result.value not in world.revoked and world.lasts(result))

    def rotate(self) -> None:
        """Publish, revoke what was replaced, and take that out of the store."""
        world = self.world
        published = self.ask(SharedToken.publish, self.max_wait)
        if isinstance(published, AtlasError):
            return
        token, replaced = published
        content = world.reader.read()
        assert (content.token, list(content.superseded)) == (token, replaced)
        assert token.value not in world.revoked
        assert world.lasts(token)
        for old in replaced:
            self.stop("revoke")
            world.revoked.add(old.value)
        values = [old.value for old in replaced]
        if not isinstance(self.ask(lambda shared: shared.forget(values), 0.0), AtlasError):
            assert world.known().isdisjoint(values)


class StoreMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.now = NOW
        self.store = MemoryStore()
        self.reader = SharedToken(ACCOUNT, self.store, pytest.fail, 0.0, clock=lambda: self.now)
        self.workers: list[Worker] = []
        self.issued: list[AccessToken] = []
        self.revoked: set[str] = set()  # by rotations
        self.refused: set[str] = set()  # because of others, of whom the store does not know
        self.orphans: set[str] = set()
        self.refusal_at = -math.inf
        self.closed_until = -math.inf
        self.troubled_until = -math.inf

    def issue(self) -> AccessToken:
        now = datetime.fromtimestamp(self.now, UTC)
        self.issued.append(AccessToken(f"{PLAIN}{len(self.issued)}", "Bearer", now, now + timedelta(hours=1)))
        return self.issued[-1]

    def lasts(self, token: AccessToken) -> bool:
        return token.expires_at.timestamp() > self.now

    def known(self) -> set[str]:
        content = self.reader.read()
        return {token.value for token in (content.token, *content.superseded) if token is not None}

    def busy(self) -> list[Worker]:
        return [worker for worker in self.workers if worker.at]

    def awake(self) -> list[Worker]:
        return [worker for worker in self.busy() if worker.wakes <= self.now]

    def next(self) -> list[Worker]:
        """Who can take a step. Only when nobody can, time passes until somebody wakes."""
        if not self.awake():
            self.now = min(worker.wakes for worker in self.busy())
        return self.awake()

    def step(self, worker: Worker, refusal: AtlasError | None = None, delay: float = 0.0) -> None:
        """One step of a worker, and what is promised of the store at any time."""
        if worker.at == "mint":
            token = self.reader.read().token
            assert self.now >= self.closed_until, "Atlas is asked before the time that it gave"
            if worker.refused is not None:
                assert self.now >= self.refusal_at + REFUSAL_PAUSE, "refusals cause two tokens within a minute"
                assert token == worker.refused or renewal(token, self.now) is Renewal.MANDATORY, "there is another"
            elif worker.job == Worker.use:
                assert renewal(token, self.now) is not Renewal.NOT_YET, "there is one"
            worker.refusal, worker.delay = refusal, delay
            if refusal is not None:
                self.closed_until = self.now + delay + (refusal.retry_after or 0.0)
                self.troubled_until = self.now + delay + LONGEST_TROUBLE
        worker.go_on()
        carried = {worker.minted for worker in self.workers if worker.minted}
        asking = sum(worker.at in ("mint", "answer") for worker in self.workers)
        assert len(carried) + asking <= 1, "two ask at once"
        living = {token.value for token in self.issued if self.lasts(token)} - self.revoked - self.refused
        assert living <= self.known() | carried | self.orphans, "a living token is lost"

    def finish(self) -> None:
        """All come to an end, Atlas willing: the claims of the dead go stale, and nobody waits for ever."""
        for _ in range(1500):
            if not self.busy():
                return
            self.step(self.next()[0])
        raise AssertionError("somebody never comes to an end")

    @initialize(max_waits=st.lists(st.sampled_from([0.0, 10.0, 40.0]), min_size=2, max_size=4))
    def hire(self, max_waits: list[float]) -> None:
        self.workers = [Worker(self, number, max_wait) for number, max_wait in enumerate(max_waits)]

    @precondition(lambda self: len(self.busy()) < len(self.workers))
    @rule(jobs=st.lists(st.sampled_from([Worker.use, Worker.use, Worker.rotate]), min_size=1, max_size=4))
    def start(self, jobs: list[Callable[[Worker], None]]) -> None:
        for worker, job in zip([worker for worker in self.workers if not worker.at], jobs, strict=False):
            worker.go_on(job)

    @precondition(busy)
    @rule(data=st.data(), turns=st.integers(1, 12), killed=st.sampled_from([False, False, False, True]))
    def go_on(self, data: st.DataObject, turns: int, killed: bool) -> None:
        while self.busy() and turns:
            worker, until, turns = data.draw(st.sampled_from(self.next())), data.draw(stops), turns - 1
            while worker in self.awake():
                self.step(worker, *(data.draw(answers) if worker.at == "mint" else ()))
                if worker.at.startswith(until):
                    break
        if killed and worker.at:
            self.orphans |= {worker.minted} - {""}
            self.troubled_until = max(self.troubled_until, self.now)
            self.closed_until = -math.inf  # nobody but the dead may know
            worker.die()

    @precondition(lambda self: len(self.busy()) < 2)
    @rule(minutes=st.sampled_from([0, 1, 56, 61]))
    def come_to_rest(self, minutes: int) -> None:
        self.finish()
        self.now += minutes * 60

    @precondition(lambda self: self.reader.read().token)
    @rule()
    def somebody_else_revokes(self) -> None:
        self.refused.add(self.reader.read().token.value)

    def teardown(self) -> None:
        try:
            if sys.exc_info()[0] is None:  # else the first failure would hide behind what follows from it
                self.finish()
        finally:
            for worker in self.busy():
                worker.die()
            assert not any(worker.thread and worker.thread.is_alive() for worker in self.workers)


TestStore = StoreMachine.TestCase
TestStore.settings = settings(TestStore.settings, stateful_step_count=50)
