"""A change that is made once, and the wait for what it starts: on the worker, or deferred.

The worker makes the change, since two triggerers may run one trigger for a while; the trigger only looks. A change that
Atlas refuses for now is sent again later. What is not idempotent is looked up first wherever an earlier request may
have had its effect: the response was lost, or the task is retried.
"""

from __future__ import annotations

import hashlib
import logging
import random
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import quote, urlsplit

from airflow_provider_atlas.api.codes import ALREADY_SO, BUSY, PASSES
from airflow_provider_atlas.api.obstacles import READS
from airflow_provider_atlas.conditions import Condition, get, holds, pick
from airflow_provider_atlas.exceptions import (
    AtlasApiError,
    AtlasChangeRefused,
    AtlasError,
    InvalidCall,
    TokenLimitReached,
)
from airflow_provider_atlas.frames import cleared
from airflow_provider_atlas.hooks.service_account import AtlasServiceAccountHook
from airflow_provider_atlas.hooks.watch import GROWTH, MOST_INTERVALS, SPREAD, Watch, cancel, is_hiccup
from airflow_provider_atlas.oauth.retry_after import LONGEST_SECONDS, seconds_to_wait
from airflow_provider_atlas.operators.base import (
    DEFERRAL_TIMEOUT_MARGIN,
    LONGEST_WAIT_ON_WORKER,
    SHORTEST_DEFERRAL,
    AtlasBaseOperator,
)
from airflow_provider_atlas.operators.link import AtlasLink
from airflow_provider_atlas.triggers import events

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

log = logging.getLogger(__name__)

#: A job may take so many seconds, unless ``max_wait`` says otherwise.
DEFAULT_MAX_WAIT = 4 * 3600.0
#: A change that Atlas refuses for now is sent again after the poll interval, which doubles up to this; seconds.
LONGEST_PAUSE = 600.0
#: A change whose response was lost may still be on its way; it is looked for after so many seconds.
ON_ITS_WAY = 10.0
#: Where a response has the id of what it made.
ID_FIELDS = ("id", "_id", "indexID")
OBJECT_ID = re.compile(r"[0-9a-f]{24}")
#: The clocks of Atlas and of a worker may differ by so many seconds.
SKEW = 60.0


@dataclass(frozen=True)
class Plan:
    """
    What a task wants of Atlas. Paths are filled in.

    :param endpoint: where the change is sent, with ``method``, ``json`` and ``params``. A GET changes nothing.
    :param watched: what to look at; what the response of a POST made if empty.
    :param until: what holds there once the job is done; ``None`` to wait for nothing.
    :param fail_if: what means that the job failed.
    :param wish: what the change brings about, as a condition on ``watched``.
    :param looks: whether to look for ``wish`` before the first request, too.
    :param ready: resource and condition that must hold before the request.
    :param same: fields by which a job in the list at ``endpoint`` is this task's.
    :param kinds: where below ``endpoint`` a job of this ``type`` is, and the list of these.
    :param marked: field whose text has the task instance's mark, and that mark. It decides, if Atlas shows the field.
    :param then: resource and condition that must hold after the job.
    :param settles: seconds after a change in which what ``watched`` states may be older than the change.
    :param cancels: whether a DELETE of ``watched`` cancels the job.
    """

    endpoint: str
    method: str = "GET"
    json: Any = None
    params: Mapping[str, Any] | None = None
    watched: str = ""
    until: Condition | None = None
    fail_if: Condition = ()
    returns: str | Sequence[str] | None = None
    show: Sequence[str] = ()
    wish: Condition | None = None
    looks: bool = False
    ready: tuple[str, Condition] | None = None
    same: Mapping[str, Any] | None = None
    kinds: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    marked: tuple[str, str] = ("", "")
    then: tuple[str, Condition] | None = None
    settles: float = 0.0
    cancels: bool = False

    def made_at(self, job: Any) -> str:
        """Path of a job, as a response or a list describes it."""
        below, _ = self.kinds.get(str(get(job, "type")), ("", ""))
        return made_at(self.endpoint + below, job)

    def is_own(self, item: Any, since: float) -> bool:
        """Whether a job in a list is this task's, and was made at that time or later, epoch seconds."""
        name, mark = self.marked
        if isinstance(shown := get(item, name), str):
            return mark in shown
        return _is_same(self.same or {}, item) and created(item) >= since


@dataclass
class Progress:
    """How far a task is: all that a deferral keeps, beside the trigger's own arguments."""

    started: float = 0.0
    tries: int = 0
    asked: bool = False  # the change may have been made by an earlier request
    since: float = 0.0  # not before this time, epoch seconds
    made: bool = False
    mine: bool = True  # whether the task made it, so that it may cancel it
    watched: str = ""
    body: Any = None  # the job's last one, once it is done and something else is waited for
    pausing: bool = False  # the wait that ends next brings nothing

    @classmethod
    def load(cls, written: Any) -> Progress:
        """Read what a deferral kept, also of another release."""
        names = {each.name for each in fields(cls)}
        found = {key: value for key, value in written.items() if key in names} if isinstance(written, Mapping) else {}
        if not found:
            raise AtlasError("The task was resumed without an event that this release of the provider can read")
        return cls(**found)


@dataclass(frozen=True)
class Done:
    """What the task returns."""

    value: Any


@dataclass(frozen=True)
class Wait:
    """What to wait for next, and the seconds until the first look; without an endpoint the seconds are all."""

    watch: Watch
    seconds: float


class AtlasJobOperator(AtlasBaseOperator):
    """
    Base of the operators that wait for Atlas's work.

    :param atlas_conn_id: id of the connection.
    :param poll_interval: seconds between two looks; it grows slowly, up to four times itself.
    :param max_wait: seconds for the whole job, refusals that pass by themselves included. The task's
        ``execution_timeout`` limits it.
    :param deferrable: wait in the triggerer; default from ``[operators] default_deferrable``.
    """

    operator_extra_links = (AtlasLink(),)

    def __init__(self, *, poll_interval: float = 30.0, max_wait: float = DEFAULT_MAX_WAIT, **kwargs: Any) -> None:
        super().__init__(max_wait=max_wait, **kwargs)
        if poll_interval <= 0:
            raise ValueError("poll_interval must be more than 0 seconds")
        if not isinstance(max_wait, int | float) or not 0 <= max_wait <= LONGEST_SECONDS:
            raise ValueError(f"max_wait must be a number of seconds, at most {LONGEST_SECONDS}, which is a week")
        self.poll_interval = poll_interval
        self._waits_for: tuple[AtlasServiceAccountHook, str, str, Condition] | None = None

    def _plan(self, context: Context) -> Plan:
        """What to do; called once templates are rendered."""
        raise NotImplementedError

    def _check_existing(self, hook: AtlasServiceAccountHook, path: str) -> None:
        """Raise if what Atlas says to be there already is not what was asked for."""

    def _result(self, body: Any) -> Any:
        """What to return of the job's last state."""
        return body

    @cleared
    def execute(self, context: Context) -> Any:
        since = asked_before(context)
        return self._go(context, Progress(started=time.time(), asked=since is not None, since=since or 0.0))

    @cleared
    def execute_complete(self, context: Context, event: Any = None) -> Any:
        """Go on after a wait: send the change, or take the job's result."""
        progress = Progress.load(event.get("job") if isinstance(event, Mapping) else None)
        try:
            body = events.body(event)
        except AtlasError as error:
            AtlasLink().show(context, self, AtlasServiceAccountHook(self.atlas_conn_id), progress.watched)
            raise _typed(error) from None
        if progress.pausing:
            return self._go(context, progress, None if progress.body is None else (progress.body,))
        return self._go(context, progress, (body,) if progress.made else None)

    def on_kill(self) -> None:
        """Cancel what can be cancelled. While the task is deferred, the trigger does it (Airflow 3.3)."""
        if self._waits_for is not None:
            cancel(*self._waits_for)

    def _go(self, context: Context, progress: Progress, ended: tuple[Any] | None = None) -> Any:
        """
        Ask for the job and wait for it.

        :param ended: what the wait for the job brought, if that is over.
        """
        plan = self._plan(context)
        deadline = min(progress.started + float(self.max_wait or 0), self._execution_ends(progress.started))
        hook = self._hook(deadline)
        AtlasLink().show(context, self, hook, progress.watched or plan.endpoint)
        while True:
            try:
                if ended is None:
                    step = self._ask(hook, plan, progress, context)
                    if progress.made and plan.method not in READS and "ti" in context:
                        context["ti"].xcom_push(key="job", value=progress.watched)
                else:
                    step = self._after(hook, plan, progress, ended[0])
            except AtlasError as error:
                step = self._pause(error, plan, progress, deadline)
            if isinstance(step, Done):
                return self._result(step.value)
            try:
                body = self._sleep(plan, progress, step, deadline)
            except AtlasError as error:
                raise _typed(error) from None
            ended = (body,) if progress.made and step.watch.endpoint else ended
            hook = self._hook(deadline)  # less is left to wait

    def _hook(self, deadline: float) -> AtlasServiceAccountHook:
        return AtlasServiceAccountHook(self.atlas_conn_id, max_wait=self._wait_on_worker(deadline))

    def _ask(self, hook: AtlasServiceAccountHook, plan: Plan, progress: Progress, context: Context) -> Done | Wait:
        """Make the change, unless it is made already or cannot be made yet."""
        if plan.method in READS:
            return self._begin(hook, plan, progress)
        seen: Watch | None = None
        if plan.wish is not None and (plan.looks or progress.asked):
            try:
                seen = self._see(hook, plan.watched, plan.wish, plan, progress)
            except AtlasApiError as error:
                if error.status != 405:  # Atlas has no GET for some of what can be deleted
                    raise
        if seen is not None and plan.wish is not None and holds(plan.wish, seen.body):
            if plan.until is None:
                return Done(None)
            if not progress.asked and holds(plan.until, seen.body):
                log.info("Nothing to change: %s.", seen.state)
                return Done(pick(seen.body, plan.returns))
            return self._made(plan, progress, plan.watched)
        if plan.ready is not None:
            endpoint, condition = plan.ready
            if seen is None or endpoint != plan.watched:
                seen = self._see(hook, endpoint, condition, plan, progress)
            if not holds(condition, seen.body):
                log.info("Waiting for another change to end: %s.", seen.state)
                fail_if = plan.fail_if if endpoint == plan.watched else None
                return Wait(Watch(endpoint, condition, fail_if, started=progress.started), self.poll_interval)
        if progress.asked and not plan.watched and (own := self._own(hook, plan, progress)):
            log.info("This task's job exists already: %s.", own)
            return self._made(plan, progress, own)
        if not progress.asked:
            progress.since = note_request(context)
        response, progress.mine = None, True
        try:
            response = hook.run(plan.endpoint, plan.method, json=plan.json, params=plan.params)
        except AtlasApiError as error:
            if error.meaning != ALREADY_SO or not plan.watched:
                raise
            log.info("Atlas says that it is so already: %s", error)
            progress.mine = False
            self._check_existing(hook, plan.watched)
        if plan.until is None:
            return Done(pick(response, plan.returns))
        return self._made(plan, progress, plan.watched or plan.made_at(response))

    def _begin(self, hook: AtlasServiceAccountHook, plan: Plan, progress: Progress) -> Done | Wait:
        """Look once on the worker: what is there already needs no deferral."""
        progress.made, progress.mine, progress.watched = True, False, plan.endpoint
        if plan.until is None:
            return Done(pick(hook.run(plan.endpoint, params=plan.params), plan.returns))
        done, result = (watch := self._watch(plan, progress)).look(hook)
        return Done(result) if done else Wait(watch, self.poll_interval)

    def _made(self, plan: Plan, progress: Progress, watched: str) -> Wait:
        progress.made, progress.watched = True, watched
        return Wait(self._watch(plan, progress), max(self.poll_interval, plan.settles))

    def _after(self, hook: AtlasServiceAccountHook, plan: Plan, progress: Progress, body: Any) -> Done | Wait:
        """The job is done: go on to what must hold after it."""
        if plan.then is None:
            return Done(body)
        if progress.body is None:
            progress.body = body
        endpoint, condition = plan.then
        if holds(condition, self._see(hook, endpoint, condition, plan, progress).body):
            return Done(progress.body)
        return Wait(Watch(endpoint, condition, started=progress.started), self.poll_interval)

    def _own(self, hook: AtlasServiceAccountHook, plan: Plan, progress: Progress) -> str:
        """Path of the job that an earlier request of this task made, empty if there is none."""
        if plan.same is not None:
            try:
                found = [item for item in self._listed(hook, plan) if plan.is_own(item, progress.since)]
                return plan.made_at(max(found, key=created)) if found else ""
            except AtlasApiError as error:
                if error.method is not None:  # else it responded, and not with a list
                    raise
        raise InvalidCall("An earlier try may have made this change, and Atlas has no list to look for it in")

    @staticmethod
    def _listed(hook: AtlasServiceAccountHook, plan: Plan) -> Iterator[Any]:
        yield from hook.paginate(plan.endpoint)
        for _, below in plan.kinds.values():
            try:
                yield from hook.paginate(plan.endpoint + below)
            except AtlasApiError as error:
                if error.meaning == PASSES or (error.status or 0) < 400:  # else the cluster is not of this kind
                    raise

    @staticmethod
    def _see(
        hook: AtlasServiceAccountHook, endpoint: str, condition: Condition, plan: Plan, progress: Progress
    ) -> Watch:
        """Look on the worker. What keeps Atlas from telling is raised."""
        watch = Watch(endpoint, condition, plan.fail_if if endpoint == plan.watched else None, started=progress.started)
        watch.look(hook)
        if watch.trouble is not None:
            raise watch.trouble
        return watch

    def _watch(self, plan: Plan, progress: Progress) -> Watch:
        return Watch(
            progress.watched,
            plan.until,
            plan.fail_if,
            params=plan.params if plan.method in READS else None,
            returns=plan.returns,
            show=plan.show,
            started=progress.started,
        )

    def _pause(self, error: AtlasError, plan: Plan, progress: Progress, deadline: float) -> Wait:
        """Wait and send the change again, or raise what does not pass by itself."""
        lost = error.unknown_effect
        stated = seconds_to_wait(error, progress.tries + 1, deferred=self.deferrable)
        if not (lost or is_hiccup(error)) or (stated is None and isinstance(error, TokenLimitReached)):
            raise _typed(error) from None
        if lost and not plan.watched and plan.same is None:
            raise error
        progress.asked = progress.asked or lost
        progress.tries += 1
        pause = max(ON_ITS_WAY if lost or stated is None else 0.0, stated or 0.0)
        if getattr(error, "error_code", None) in BUSY:
            pause = max(pause, min(self.poll_interval * 2.0 ** min(progress.tries - 1, 10), LONGEST_PAUSE))
        left = deadline - time.time()
        if left < SHORTEST_DEFERRAL:
            error.waited = time.time() - progress.started
            raise _typed(error) from None
        pause = min(pause, left)
        log.info("Asking again in %.0f s: %s", pause, error)
        return Wait(Watch("", started=progress.started), pause)

    def _sleep(self, plan: Plan, progress: Progress, step: Wait, deadline: float) -> Any:
        """Defer until the wait is over, or wait here and return what it brings."""
        watch, now = step.watch, time.time()
        progress.pausing = not watch.endpoint
        path = progress.watched if plan.cancels and progress.made and progress.mine else ""
        if self.deferrable and (watch.endpoint or step.seconds > LONGEST_WAIT_ON_WORKER):
            self._defer(watch, path, progress, max(step.seconds, SHORTEST_DEFERRAL), deadline)
        # As in the triggerer, a look does not wait for Atlas: there is another one. Neither does `on_kill`, which may
        # interrupt a request for a token.
        hook = AtlasServiceAccountHook(self.atlas_conn_id, max_wait=0)
        asked = progress.made and progress.mine
        self._waits_for = (hook, path, progress.watched, plan.until or {}) if asked else None
        time.sleep(max(min(step.seconds, deadline - now), 0.0))
        try:
            found = self._watched(hook, watch, deadline) if watch.endpoint else None
        except AtlasError:  # it failed, or goes on: not so if the task was interrupted
            self._waits_for = None
            raise
        self._waits_for = None
        return found

    def _watched(self, hook: AtlasServiceAccountHook, watch: Watch, deadline: float) -> Any:
        """Look until the wait is over."""
        moment = time.time()
        while True:
            done, result = watch.look(hook)
            if done:
                return result
            now = time.time()
            if now >= deadline:
                raise watch.timeout()
            wait = watch.next_look(self.poll_interval, GROWTH, self.poll_interval * MOST_INTERVALS, now - moment)
            time.sleep(max(min(wait, deadline - now), 0.0))

    def _defer(self, watch: Watch, path: str, progress: Progress, seconds: float, deadline: float) -> NoReturn:
        from airflow_provider_atlas.triggers.job import AtlasJobTrigger

        now = time.time()
        self.defer(
            trigger=AtlasJobTrigger.of(
                watch,
                atlas_conn_id=self.atlas_conn_id,
                moment=now + seconds * random.uniform(1, 1 + SPREAD),  # noqa: S311 - a spread, no secret
                deadline=deadline,
                poll_interval=self.poll_interval,
                growth=GROWTH,
                longest=self.poll_interval * MOST_INTERVALS,
                job=asdict(progress),
                cancel=path,
            ),
            method_name="execute_complete",
            timeout=timedelta(
                seconds=max(min(deadline + DEFERRAL_TIMEOUT_MARGIN, self._execution_ends(progress.started)) - now, 1.0)
            ),
        )


def is_retry(context: Context) -> bool:
    """Whether an earlier try since the task was last cleared may have made the change."""
    ti = context.get("ti")
    return ti is not None and ti.try_number > first_try(context)


def asked_before(context: Context) -> float | None:
    """Since when an earlier try may have made the change, epoch seconds; ``None`` if none has."""
    if not is_retry(context):
        return None
    if _was_cleared(context) and (notes := context.get("task_state_store")) is not None:
        noted = notes.get(_note(context))
        return noted if isinstance(noted, int | float) else None
    # A retry cannot tell when the first try was. Clearing a task of a run that is over starts the run anew.
    run_started = getattr(context.get("dag_run"), "start_date", None)
    return (run_started.timestamp() if run_started else 0.0) - SKEW


def note_request(context: Context) -> float:
    """
    Write down that the change is about to be requested, and return since when its job may exist.

    Only a task that was cleared needs the note: what the run made before may be what it made before it was cleared.
    Airflow keeps such notes from 3.3 on. If the note cannot be written, the task fails before the request.
    """
    since = time.time() - SKEW
    if _was_cleared(context) and (notes := context.get("task_state_store")) is not None:
        notes.set(_note(context), since)
    return since


def _was_cleared(context: Context) -> bool:
    return "ti" in context and first_try(context) > 1


def _note(context: Context) -> str:
    return f"atlas_requested_in_{first_try(context)}"


def first_try(context: Context) -> int:
    """The number of the first try since the task was last cleared, as Airflow computes it."""
    ti = context["ti"]
    return int((ti.max_tries or 0) - (ti.task.retries or 0) + 1)


def mark(context: Context) -> str:
    """A text that is the same in all tries of a task instance, and another once it is cleared."""
    ti = context["ti"]
    name = "\n".join(map(str, (ti.dag_id, ti.run_id, ti.task_id, ti.map_index, first_try(context))))
    return f"airflow-{hashlib.sha256(name.encode()).hexdigest()[:16]}"


def made_at(endpoint: str, response: Any) -> str:
    """Path of what a POST made: Atlas's link to it, or the id in its response."""
    endpoint = "/" + urlsplit(endpoint).path.lstrip("/")  # it may be a URL, or have a query
    links = get(response, "links")
    for link in links if isinstance(links, list) else ():
        if get(link, "rel") == "self" and isinstance(get(link, "href"), str):
            path = urlsplit(link["href"]).path
            if path.startswith(f"{endpoint}/"):
                return str(path)
    made = next((value for name in ID_FIELDS if isinstance(value := get(response, name), str)), None)
    if made is None:
        unnamed = AtlasApiError(f"The response to POST {endpoint} names nothing that can be waited for", status=200)
        unnamed.unknown_effect = True
        raise unnamed
    return f"{endpoint}/{quote(made, safe='')}"


def created(item: Any) -> float:
    """When Atlas made something, epoch seconds: its ids begin with the time. Infinite where they do not."""
    made = get(item, "id")
    return float(int(made[:8], 16)) if isinstance(made, str) and OBJECT_ID.fullmatch(made) else float("inf")


def _is_same(wanted: Mapping[str, Any], item: Any) -> bool:
    """Whether an item of a list has the wanted fields. Atlas does not repeat every field of a request."""
    shown = {name: value for name, value in wanted.items() if get(item, name) is not None}
    return bool(shown) and holds(shown, item)


def _typed(error: AtlasError) -> AtlasError:
    """A final refusal as a type that fails the task at once. A 401 may be about a role that is about to be given."""
    if type(error) is AtlasApiError and error.meaning != PASSES and 400 <= (error.status or 0) != 401:
        refused = AtlasChangeRefused(error.args[0])
        vars(refused).update(vars(error))
        return refused
    return error
