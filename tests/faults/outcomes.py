"""Classifies the end of a task by what Airflow stores about it. A disturbed task must end with a reason."""

from __future__ import annotations

import re
from collections.abc import Iterable

from airflow_provider_atlas import exceptions
from harness.runs import errors_in

#: In the log or in an event: the task's process was killed, or it ended because a process that it needs was killed.
KILLED = re.compile(r"heartbeat|state mismatch|stuck in queued|executor reports|(?<![\w-])-9\b|SIGKILL", re.IGNORECASE)
#: Errors of Airflow and of its connection to its own API server.
AIRFLOW = re.compile(r"Airflow|TaskDeferral|ServerResponse|API_SERVER|^httpx?|ConnectError|ReadTimeout|RemoteProtocol")
#: The token was revoked or expired while the task used it.
REVOKED_IN_USE = re.compile(r"TokenExpired|AtlasApiError.*\b401\b", re.DOTALL)
ENDED = ("success", "skipped", "upstream_failed", "removed")


def outcome(state: str | None, log: bytes, events: Iterable[str]) -> str:
    """
    Classify the end of a task.

    :param state: of the task instance
    :param log: of its last try
    :param events: its lines in Airflow's audit log
    :return: the state of a task that did not fail; `typed error`, `Airflow's error` or `killed, as Airflow reports`
        for one that failed; else what must never happen: `token revoked in use`, `not ended`, `unexplained`
    """
    if state in ENDED:
        return str(state)
    if state != "failed":
        return "not ended"
    error = ["", *errors_in(log)][-1]
    kind = error.partition(":")[0]
    if REVOKED_IN_USE.search(error):
        return "token revoked in use"
    if hasattr(exceptions, kind):
        return "typed error"
    if AIRFLOW.search(kind):
        return "Airflow's error"
    if not kind and (any(map(KILLED.search, events)) or KILLED.search(log.decode(errors="replace"))):
        return "killed, as Airflow reports"
    return "unexplained"


def is_breach(outcome: str) -> bool:
    """Whether this end breaks a guarantee."""
    return outcome in ("token revoked in use", "not ended", "unexplained")
