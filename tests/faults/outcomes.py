"""What became of a task, by what Airflow says of it: a task that was disturbed has to end in a way that can be told."""

from __future__ import annotations

import re
from collections.abc import Iterable

from airflow_provider_atlas import exceptions
from harness.runs import errors_in

#: What the log says when a process died beneath its task, by SIGKILL or by the end of what it talked to.
KILLED = re.compile(r"heartbeat|state mismatch|stuck in queued|executor reports|(?<![\w-])-9\b|SIGKILL", re.IGNORECASE)
#: Errors of Airflow and of its connection to its own API server.
AIRFLOW = re.compile(r"Airflow|TaskDeferral|ServerResponse|API_SERVER|^httpx?|ConnectError|ReadTimeout|RemoteProtocol")
#: A user whose token was taken away.
TAKEN_AWAY = re.compile(r"TokenExpired|AtlasApiError.*\b401\b", re.DOTALL)
ENDED = ("success", "skipped", "upstream_failed", "removed")


def outcome(state: str | None, log: bytes, events: Iterable[str]) -> str:
    """
    Name the end of a task.

    :param state: of the task instance
    :param log: of its last try
    :param events: what Airflow's audit log says of it
    :return: the state of a task that did not fail; `typed error`, `Airflow's error` or `killed, as Airflow reports`
        of one that did; else what a user must never see: `token taken away`, `not ended`, `unexplained`
    """
    if state in ENDED:
        return str(state)
    if state != "failed":
        return "not ended"
    error = ["", *errors_in(log)][-1]
    kind = error.partition(":")[0]
    if TAKEN_AWAY.search(error):
        return "token taken away"
    if hasattr(exceptions, kind):
        return "typed error"
    if AIRFLOW.search(kind):
        return "Airflow's error"
    if not kind and (any(map(KILLED.search, events)) or KILLED.search(log.decode(errors="replace"))):
        return "killed, as Airflow reports"
    return "unexplained"


def is_breach(outcome: str) -> bool:
    """Whether a promise was broken."""
    return outcome in ("token taken away", "not ended", "unexplained")
