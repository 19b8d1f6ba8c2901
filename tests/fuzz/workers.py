"""
Workers for the state machine in :mod:`.test_store`: threads that stop before each step that others could see.

One runs at a time, and who goes on is drawn. A worker is also the store as its task sees it: how each call of the store
goes is drawn as well, and so is each response of Atlas.
"""

from __future__ import annotations

import contextlib
import json
import math
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from hypothesis import note

from airflow_provider_atlas.cache.deployment import SharedToken
from airflow_provider_atlas.cache.refusals import REFUSAL_PAUSE, may_request
from airflow_provider_atlas.cache.variables import names_for
from airflow_provider_atlas.exceptions import AtlasError, AtlasUnreachable, RateLimited, StoreUnavailable
from airflow_provider_atlas.oauth.account import ServiceAccount
from airflow_provider_atlas.oauth.token import AccessToken
from tests.conftest import CLIENT_SECRET, secrets_in
from tests.fuzz.properties import ACCOUNT, NOW

if TYPE_CHECKING:
    from tests.fuzz.test_store import StoreMachine

T = TypeVar("T")
NAMES = names_for(ACCOUNT)
PLAIN = "eyJ.in.plain.text."
#: As of a connection with the default timeout.
REQUEST_TIME = 60.0
#: Beyond max_wait, another task's request and its own, a call takes this for pauses, and the other for the store.
OVERHEAD = 15.0
#: Sleeps are rounded up to this, in which floats of epoch seconds are exact: who sleeps until a moment is there then.
TICK = 1 / 1024
#: What a call of the store may wait for.
STALLS = "wait for the store", "wait for the store's response"


class Killed(BaseException):
    """A kill -9 as it looks from inside: whatever handlers still try has no effect."""


class Interrupted(BaseException):
    """The task's timeout, raised at some line: handlers run."""


@dataclass(frozen=True)
class Call:
    """How a call of the store goes: what comes of it, and seconds until it has its effect, and until it returns."""

    outcome: str = "works"  # fails; turns (reads begin or cease to be hidden); works unseen (and raises)
    before: float = 0.0
    after: float = 0.0


class Worker:
    """A task's process. From ``read`` on, all runs in the worker's thread."""

    def __init__(self, world: StoreMachine, number: int, max_wait: float, account: ServiceAccount) -> None:
        self.world, self.number, self.max_wait, self.account = world, number, max_wait, account
        self.thread: threading.Thread | None = None
        self.at = ""  # the step before which it stands; none while it is idle
        self.wakes = -math.inf
        self.cause: BaseException | None = None  # what is to be raised at the next step
        self.end: BaseException | None = None
        self.going, self.standing = threading.Lock(), threading.Lock()  # taken until the other side says so
        self.going.acquire()
        self.standing.acquire()
        # Of its process:
        self.held: AccessToken | None = None
        self.refused_at = -math.inf
        # Of its job:
        self.refused: AccessToken | None = None  # what it asks to be replaced
        self.hidden = "not yet"  # whether its reads are: "not yet", "now", "no more"
        self.interrupted = False
        self.faults: set[str] = set()  # Variables of which a call failed or was hidden
        # Of its call of the package:
        self.carried: list[AccessToken] = []  # requested, and not stored yet
        self.nonces: set[str] = set()
        self.alone = False  # warned that the store does not work, so that it goes on with a token of its own
        self.stalled = self.responding = 0.0  # seconds
        # Of its next step, as drawn:
        self.call = Call()
        self.refusal: AtlasError | None = None
        self.delay = 0.0
        self.brought: AccessToken | None = None  # to be published
        self.calling = ""  # the Variable of the call of the store that is under way
        self.writing: tuple[str, str | None] | None = None  # begun, and not in effect yet

    def __repr__(self) -> str:
        return f"worker {self.number}"

    def go_on(self, job: Callable[[Worker], None] | None = None) -> None:
        """Start a job, or take its next step; what the job raises comes out here."""
        self.world.running = self
        if job is not None:
            self.job, self.refused, self.hidden, self.faults, self.interrupted = job, None, "not yet", set(), False
            self.thread = threading.Thread(target=self._run, daemon=True)
            self.thread.start()
        else:
            self.going.release()
        assert self.standing.acquire(timeout=8), f"{self} neither stops nor ends"
        note(f"{self.world.now - NOW:.3f} {self} is about to {self.at}" if self.at else f"{self} ends")
        if not self.at:
            assert self.thread is not None
            self.thread.join()
            self.carried, self.brought = [], None
            if self.end is not None and not isinstance(self.end, Killed | Interrupted):
                raise self.end

    def die(self) -> None:
        """Where it stands. Another with an empty memory takes its place."""
        self.cause = Killed()
        self.go_on()
        self.cause, self.writing, self.brought, self.held, self.refused_at = None, None, None, None, -math.inf

    def _run(self) -> None:
        self.end = None
        try:
            self.job(self)
        except BaseException as error:  # noqa: BLE001 - go_on raises it
            self.end = error
        self.at, self.wakes = "", -math.inf
        self.standing.release()

    def stop(self, step: str, *, uninterrupted: bool = False) -> None:
        if not isinstance(self.cause, Killed):
            self.at = step
            if step.startswith(("read", "write", "remove")):
                self.calling = step.split()[1]
            elif step not in STALLS:
                self.calling = ""
            self.standing.release()
            self.going.acquire()
        if isinstance(self.cause, Killed) or not uninterrupted:
            self.raise_cause()

    def raise_cause(self) -> None:
        if isinstance(self.cause, Killed):
            raise self.cause
        if self.cause is not None:
            self.cause, self.interrupted, cause = None, True, self.cause
            raise cause

    def sleep(self, seconds: float, step: str = "sleep", *, uninterrupted: bool = False) -> None:
        self.wakes = seconds if math.isinf(seconds) else self.world.now + math.ceil(seconds / TICK) * TICK
        self.stop(step, uninterrupted=uninterrupted)
        self.wakes = -math.inf

    def stall(self, seconds: float, step: str) -> None:
        if seconds:
            self.stalled += seconds + TICK
            self.sleep(seconds, step)

    def fail(self, name: str) -> None:
        """Note that a call of the store does not do what it is to do."""
        self.faults.add(name)
        if name != NAMES.token:
            self.world.claim_is_kept()

    # What SharedToken is given: a store, and Atlas.

    def read(self, name: str) -> str | None:
        self.stop(f"read {name}")
        call = self.call
        self.stall(call.before, STALLS[0])
        if call.outcome == "fails":
            self.fail(name)
            raise StoreUnavailable
        if call.outcome == "turns":
            self.hidden = "now" if self.hidden == "not yet" else "no more"
        text = self.world.store.texts.get(name)
        if self.hidden == "now" and text is not None:
            self.fail(name)
            text = None
        self.stall(call.after, STALLS[1])
        return text

    def write(self, name: str, text: str) -> None:
        assert secrets_in([text], PLAIN, CLIENT_SECRET) == []
        if name != NAMES.token:
            self.nonces |= {json.loads(text)["nonce"]} - {None}
        self.change(f"write {name}", name, text)

    def remove(self, name: str) -> None:
        self.change(f"remove {name}", name, None)

    def change(self, step: str, name: str, text: str | None) -> None:
        self.stop(step)
        call, world = self.call, self.world
        self.writing, landed = (name, text), world.landed[name]
        self.stall(call.before, STALLS[0])
        self.writing = None
        if call.outcome == "fails":
            self.fail(name)
        if call.outcome == "fails" or (world.weather.collides and world.landed[name] > landed):
            raise StoreUnavailable
        if name in world.weather.hides:
            self.fail(name)
        else:
            world.land(name, text, self)
        self.stall(call.after, STALLS[1])
        if call.outcome == "works unseen":
            self.fail(name)
            raise StoreUnavailable

    def generate(self, generated: list[AccessToken]) -> AccessToken:
        self.stop("request")
        began = self.world.now
        self.sleep(self.delay, "wait for Atlas", uninterrupted=True)
        self.responding += self.world.now - began
        if self.refusal is not None:
            self.raise_cause()
            raise self.refusal
        token = self.world.issue(self.account)
        generated.append(token)
        self.carried.append(token)
        self.raise_cause()
        return token

    def revoke(self, token: AccessToken) -> None:
        self.stop("revoke")
        if self.refusal is not None:
            raise self.refusal
        self.world.revoked[token.value] = self.world.now

    def give_back(self, token: AccessToken) -> None:
        """As :meth:`revoke`, of a token that nobody is to find."""
        self.stop("revoke")
        if not (self.faults or self.interrupted):
            assert self.brought or not self.world.weather.orderly, "a token that came in time is given back"
            assert self.world.current(self.account) != token, "the deployment's token is given back"
        self.world.revoked[token.value] = self.world.now

    # Its jobs, and what is promised of each.

    def ask(self, question: Callable[[SharedToken], T], max_wait: float) -> T | AtlasError:
        """What is promised of every call: it ends in time, gives its claim back, and fails only for a reason."""
        world, began = self.world, self.world.now
        # What a dead holder left is in the way until somebody has watched it for as long as it stated.
        left = world.nonces(NAMES.holder) - {nonce for worker in world.busy() for nonce in worker.nonces}
        self.carried, self.nonces, self.alone = [], set(), False
        self.stalled = self.responding = 0.0
        time = {"clock": lambda: world.now, "monotonic": lambda: world.now - NOW * self.number, "sleep": self.sleep}
        shared = SharedToken(
            self.account, self, self.generate, self.give_back, max_wait, request_time=REQUEST_TIME, **time
        )
        try:
            result = question(shared)
            self.world.own |= {token.value for token in self.carried if self.alone}
            return result
        except StoreUnavailable as error:
            assert self.faults or not world.weather.orderly, "the store is said to fail, though nothing is wrong"
            return error
        except (RateLimited, AtlasUnreachable) as error:
            troubled = left or world.troubled_until >= began or not world.weather.brisk
            assert troubled, "a call fails, though nothing is wrong"
            return error
        finally:
            if not isinstance(self.cause, Killed):
                self._ended(began, max_wait)

    def _ended(self, began: float, max_wait: float) -> None:
        world = self.world
        if not self.faults & {NAMES.claim, NAMES.holder}:
            assert self.nonces.isdisjoint(world.nonces()), "a claim is kept"
        longest = max_wait + REQUEST_TIME + OVERHEAD + self.responding + self.stalled
        assert world.now - began <= longest, "a call takes too long"

    def use(self) -> None:
        """Find a token, or another in place of the one that Atlas refuses."""
        world, held, began, found = self.world, self.held, self.world.now, self.world.current(self.account)
        if found is not None and not world.lasts(found):
            found = None
        refused = held is not None and world.lasts(held) and held.value in world.refused | set(world.revoked)
        if held is not None and refused:
            self.refused = held
            allowed = may_request(self.refused_at, began)
            self.refused_at = began if allowed else self.refused_at
            result = self.ask(lambda shared: shared.replace(held, allowed), self.max_wait)
            assert result != held
            if result is None and allowed and not self.faults:
                assert began < world.refusal_at + REFUSAL_PAUSE, "a refusal is not made good"
            assert allowed or not self.carried, "refusals cause two tokens of one process within a minute"
        else:
            result = self.ask(SharedToken.get, self.max_wait)
            if found is not None and not self.faults and world.weather.orderly:
                assert isinstance(result, AccessToken), "a living token is taken away"
                assert world.now <= began + 1 + self.responding + self.stalled, "a living token is kept back"
        if isinstance(result, AccessToken):
            self.held = result
            assert result == found or result.expires_at.timestamp() > began

    def rotate(self) -> None:
        """Publish a new token, revoke what was replaced, and take that out of the store."""
        self._publish(None)

    def bring(self) -> None:
        """Publish a token that a trigger requested."""
        self._publish(self.world.issue(self.account))

    def _publish(self, brought: AccessToken | None) -> None:
        world = self.world
        self.brought = brought
        published = self.ask(lambda shared: shared.publish(brought), self.max_wait)
        self.brought = None  # stored, or given back
        if isinstance(published, AtlasError):
            return
        token, replaced = published
        self.held = token
        values = set()
        for old in replaced:
            with contextlib.suppress(AtlasUnreachable):
                self.revoke(old)
                values.add(old.value)
        if not isinstance(self.ask(lambda shared: shared.forget(values), 0.0), AtlasError) and not self.faults:
            assert world.known().isdisjoint(values) or not world.weather.orderly, "revoked tokens stay in the store"

    def dissolve(self) -> None:
        """Revoke all tokens of the store, and remove them."""
        self.ask(lambda shared: shared.dissolve(self.revoke), self.max_wait)
