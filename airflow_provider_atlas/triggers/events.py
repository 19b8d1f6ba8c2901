"""What a trigger's event may hold: errors as JSON and back, whatever release of the provider wrote them.

Airflow stores events in plain text and logs them, so an event holds sealed tokens and scrubbed errors only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_provider_atlas import exceptions
from airflow_provider_atlas.exceptions import AtlasError


def failure(error: AtlasError) -> dict[str, Any]:
    """The event that carries an error."""
    return {
        "status": "error",
        "error": {"type": type(error).__name__, "summary": error.args[0], "data": vars(error)},
    }


def result(event: Any, key: str) -> str:
    """
    Read what a trigger brought.

    :raises AtlasError: the event's error as its own type, or one that says that this is not an event of our triggers.
    """
    if isinstance(event, Mapping):
        if event.get("status") == "error" and isinstance(event.get("error"), Mapping):
            raise load(event["error"])
        if event.get("status") == "success" and isinstance(event.get(key), str):
            return str(event[key])
    raise AtlasError("The task was resumed without an event that this release of the provider can read")


def body(event: Any) -> Any:
    """
    What a job's wait brought.

    :raises AtlasError: as :func:`result`.
    """
    if isinstance(event, Mapping) and event.get("status") == "success" and "body" in event:
        return event["body"]
    return result(event, "body")


def revoked(event: Any) -> list[str]:
    """The sealed tokens that a trigger revoked, also if it failed at others."""
    text = event.get("revoked") if isinstance(event, Mapping) else None
    return text.split() if isinstance(text, str) else []


def deadline(event: Any) -> float:
    """Until when the task may wait, in epoch seconds; 0 if the event does not say."""
    value = event.get("deadline") if isinstance(event, Mapping) else None
    return float(value) if isinstance(value, int | float) and 0 <= value < 1e12 else 0.0


def load(written: Mapping[str, Any]) -> AtlasError:
    """Make an error of what :func:`failure` wrote under ``error``, in this release or another."""
    kind = getattr(exceptions, str(written.get("type")), None)
    if not (isinstance(kind, type) and issubclass(kind, AtlasError)):
        kind = AtlasError
    error = kind(str(written.get("summary") or "") or None)
    data = written.get("data")
    for key, value in (data if isinstance(data, dict) else {}).items():
        if key in vars(error) and _fits(key, value):
            setattr(error, key, value)
    return error


def _fits(name: str, value: object) -> bool:
    """Whether the error can be printed and waited for with this value."""
    if name in ("parameters", "fields"):
        return isinstance(value, list | tuple) and (
            name == "parameters" or all(isinstance(pair, list | tuple) and len(pair) == 2 for pair in value)
        )
    if value is None:
        return True
    if name in ("status", "limit"):
        return type(value) is int
    if name in ("retry_after", "window", "waited"):
        return isinstance(value, int | float) and 0 <= value < 1e9  # not NaN, and within what a float holds
    return isinstance(value, str)
