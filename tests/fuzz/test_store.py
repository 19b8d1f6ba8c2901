"""
The deployment's store as a state machine: workers use, replace and rotate one token in every order of their steps.

A worker is a thread that stops before each step that others could see: one runs at a time, and who goes on is drawn.
Steps take no time, as Fischer's algorithm asks of those between look and write, so nothing is forgiven here: two never
ask Atlas at once. Workers that stall, for which one extra token is promised, are not among these.
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
from airflow_provider_atlas.cache.deployment import DeploymentToken
from airflow_provider_atlas.cache.memory import REFUSAL_PAUSE, Renewal, renewal
from airflow_provider_atlas.oauth.errors import AtlasError, AtlasUnreachable, RateLimited
from airflow_provider_atlas.oauth.token import AccessToken
from tests.cache.fakes import MemoryStore
from tests.conftest import CLIENT_SECRET, secrets_in
from tests.fuzz.properties import ACCOUNT, NOW

T = TypeVar("T")
#: No sleep ends early, and floats of epoch seconds are exact in this: who waits until a moment finds that it has come.
TICK = 1 / 1024
PLAIN = "eyJ.in.plain.text."
refusals = (
    st.none() | st.builds(AtlasUnreachable) | st.builds(RateLimited, retry_after=st.sampled_from([1.0, 5.0, 30.0]))
)


class Killed(BaseException):
    """What a kill -9 looks like from inside: no handler's store operation has an effect any more."""


class Worker:
    """A task's process, and the store as it sees it. Its methods but the first two run in its own thread."""

    def __init__(self, world: StoreMachine, number: int, max_wait: float) -> None:
        self.world, self.number, self.max_wait = world, number, max_wait
        self.thread: threading.Thread | None = None
        self.at = ""  # the step before which it stands; none while it is idle
        self.wakes = -math.inf
        self.dying = False
        self.refusal: AtlasError | None = None
        self.end: BaseException | None = None
        self.going, self.standing = threading.Semaphore(0), threading.Semaphore(0)
        self.held: AccessToken | None = None  # as in the cache of its process
        self.refused: AccessToken | None = None
        self.minted = ""  # the token on its way from Atlas to the store

    def __repr__(self) -> str:
        return f"worker {self.number}"

    def go_on(self, job: Callable[[Worker], None] | None = None) -> None:
        """Start a job, or take one step of it. What the job ends in other than well is raised here."""
        if job is not None:
            self.job, self.thread = job, threading.Thread(target=self._run, args=[job], daemon=True)
            self.thread.start()
        else:
            self.going.release()
        assert self.standing.acquire(timeout=30), f"{self} neither stops nor ends"
        note(f"{self} ends" if not self.at else f"{self} is about to {self.at}")
        if not self.at:
            self.thread.join()
            self.minted, self.refused = "", None
            if self.end is not None:
                raise self.end

    def kill(self) -> None:
        """Let it die where it stands; another with an empty memory takes its place."""
        self.dying = True
        with pytest.raises(Killed):
            self.go_on()
        self.dying, self.held = False, None

    def _run(self, job: Callable[[Worker], None]) -> None:
        self.end = None
        try:
            job(self)
        except BaseException as error:  # noqa: BLE001 - the machine's thread raises it
            self.end = error
        self.at = ""
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
        if name == self.world.reader.name and self.minted:
            self.minted = ""
            if self.refused is not None:
                self.world.refusal_at = self.world.now

    def remove(self, name: str) -> None:
        raise AssertionError(f"{name} is removed, though nobody decommissions it")

    def sleep(self, seconds: float) -> None:
        self.wakes = self.world.now + math.ceil(seconds / TICK) * TICK
        self.stop("sleep")
        self.wakes = -math.inf

    def mint(self) -> AccessToken:
        self.stop("mint")
        if self.refusal is not None:
            raise self.refusal
        token = self.world.issue()
        self.minted = token.value
        return token

    def ask(self, question: Callable[[DeploymentToken], T], max_wait: float) -> T | AtlasError:
        """What is promised of every call: it ends in time, and well unless somebody was refused or killed."""
        world, began = self.world, self.world.now
        time = {"clock": lambda: world.now, "monotonic": lambda: world.now - NOW * self.number, "sleep": self.sleep}
        try:
            return question(DeploymentToken(ACCOUNT, self, self.mint, max_wait, **time))
        except (RateLimited, AtlasUnreachable) as error:
            assert world.troubled, "a call fails, though nothing went wrong"
            return error
        finally:
            assert world.now - began <= max_wait + 2 * STALE + PAUSE + POLL + 1e-3, "a call takes too long"

    def use(self) -> None:
        """Find a token, or another in place of the one that Atlas refuses."""
        world, refused = self.world, self.held
        if refused is not None and not world.accepts(refused.value) and refused.expires_at.timestamp() > world.now:
            self.refused = refused
            result = self.ask(lambda shared: shared.replace(refused, may_mint=True), self.max_wait)
            assert result is not None or world.now < world.refusal_at + REFUSAL_PAUSE
            assert not isinstance(result, AccessToken) or result.value != refused.value
            found_alive = None
        else:
            began, token = world.now, world.reader.read().token
            found_alive = token if renewal(token, began) is not Renewal.MANDATORY else None
            result = self.ask(DeploymentToken.get, self.max_wait)
            if found_alive is not None:
                assert isinstance(result, AccessToken), "a living token is taken away"
                assert world.now - began <= PAUSE, "a living token is kept from others"
        if isinstance(result, AccessToken):
            self.held = result
            assert result.value not in world.dead() or result == found_alive  # which may die on its way

    def rotate(self) -> None:
        """Publish, revoke what was replaced, and take that out of the store."""
        world = self.world
        published = self.ask(DeploymentToken.publish, self.max_wait)
        if isinstance(published, AtlasError):
            return
        token, replaced = published
        content = world.reader.read()
        assert (content.token, list(content.superseded)) == (token, replaced)
        assert token.value not in world.dead()
        values = [old.value for old in replaced]
        for value in values:
            self.stop("revoke")
            world.revoked.add(value)
        if not isinstance(self.ask(lambda shared: shared.forget(values), 0.0), AtlasError):
            assert world.known().isdisjoint(values)


class StoreMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.now = NOW
        self.store = MemoryStore()
        self.reader = DeploymentToken(ACCOUNT, self.store, pytest.fail, 0.0, clock=lambda: self.now)
        self.workers: list[Worker] = []
        self.issued: dict[str, AccessToken] = {}
        self.revoked: set[str] = set()  # by rotations, so that the deployment has to know
        self.refused: set[str] = set()  # by others
        self.orphans: set[str] = set()
        self.refusal_at = -math.inf
        self.troubled = False

    def issue(self) -> AccessToken:
        now = datetime.fromtimestamp(self.now, UTC)
        token = AccessToken(f"{PLAIN}{len(self.issued)}", "Bearer", now, now + timedelta(hours=1))
        self.issued[token.value] = token
        return token

    def dead(self) -> set[str]:
        expired = {value for value, token in self.issued.items() if self.now >= token.expires_at.timestamp()}
        return expired | self.revoked

    def accepts(self, value: str) -> bool:
        return value not in self.dead() | self.refused

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

    def step(self, worker: Worker, refusal: AtlasError | None = None) -> None:
        if worker.at == "mint":
            self.needs_to_ask(worker)
            self.troubled |= refusal is not None
            worker.refusal = refusal
        worker.go_on()
        self.check()

    @initialize(max_waits=st.lists(st.sampled_from([0.0, 10.0, 40.0]), min_size=2, max_size=4))
    def hire(self, max_waits: list[float]) -> None:
        self.workers = [Worker(self, number, max_wait) for number, max_wait in enumerate(max_waits)]

    @precondition(lambda self: len(self.busy()) < len(self.workers))
    @rule(data=st.data(), job=st.sampled_from([Worker.use, Worker.use, Worker.rotate]))
    def start(self, data: st.DataObject, job: Callable[[Worker], None]) -> None:
        data.draw(st.sampled_from([worker for worker in self.workers if not worker.at])).go_on(job)

    @precondition(busy)
    @rule(data=st.data(), turns=st.integers(1, 8), killed=st.sampled_from([False, False, True]))
    def go_on(self, data: st.DataObject, turns: int, killed: bool) -> None:
        while self.busy() and turns:
            worker, turns = data.draw(st.sampled_from(self.next())), turns - 1
            for _ in range(data.draw(st.integers(1, 12))):
                self.step(worker, data.draw(refusals) if worker.at == "mint" else None)
                if worker not in self.awake():
                    break
        if killed and worker.at:
            self.troubled = True
            self.orphans |= {worker.minted} - {""}
            worker.kill()

    @rule(minutes=st.sampled_from([0, 1, 56, 61]))
    def come_to_rest(self, minutes: int) -> None:
        self.finish()
        self.now += minutes * 60

    @precondition(lambda self: self.reader.read().token)
    @rule()
    def somebody_else_revokes(self) -> None:
        token = self.reader.read().token
        assert token is not None
        self.refused.add(token.value)

    def needs_to_ask(self, worker: Worker) -> None:
        """Whoever asks Atlas for a token has seen that nobody else just did."""
        token = self.reader.read().token
        if worker.refused is not None:
            assert self.now >= self.refusal_at + REFUSAL_PAUSE, "refusals cause two tokens within a minute"
            assert renewal(token, self.now) is Renewal.MANDATORY or token == worker.refused
        elif worker.job == Worker.use:
            assert renewal(token, self.now) is not Renewal.NOT_YET, "somebody asks for what is there"

    def check(self) -> None:
        assert sum(worker.at == "mint" or worker.minted != "" for worker in self.workers) <= 1, "two ask at once"
        unknown = {value for value in self.issued if self.accepts(value)} - self.known()
        assert unknown <= self.orphans | {worker.minted for worker in self.workers}, "a living token is lost"

    def finish(self) -> None:
        """All come to an end, Atlas willing: the claims of the dead go stale, and nobody waits for ever."""
        for _ in range(3000):
            if not self.busy():
                return
            self.step(self.next()[0])
        raise AssertionError("somebody never comes to an end")

    def teardown(self) -> None:
        try:
            if sys.exc_info()[0] is None:  # else the first failure would hide behind what follows from it
                self.finish()
        finally:
            for worker in self.busy():
                worker.kill()
            assert not [worker for worker in self.workers if worker.thread is not None and worker.thread.is_alive()]


TestStore = StoreMachine.TestCase
TestStore.settings = settings(TestStore.settings, stateful_step_count=50)
