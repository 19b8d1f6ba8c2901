"""Faults on demand, because the failures that matter cannot be ordered from Atlas."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

ENDPOINTS = ("token", "revoke", "api")
KINDS = ("answer", "drop", "silence")


@dataclass(frozen=True)
class Fault:
    """
    One fault.

    :param kind: ``answer`` sends status, headers and body as they stand here; ``drop`` closes the connection without
        an answer; ``silence`` holds the answer
    :param status: HTTP status of the answer; None for the 500 that Atlas documents, with its body
    :param body: bytes of the answer
    :param headers: headers of the answer
    :param seconds: how long a silence lasts before the request is answered after all; None: until the sandbox stops.
        A client that hangs up before has changed nothing
    :raises ValueError: a fault that cannot be
    """

    kind: str = "answer"
    status: int | None = None
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    seconds: float | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"kind must be one of {', '.join(KINDS)}")
        if self.status is not None and not 200 <= self.status <= 599:
            raise ValueError("status must be from 200 to 599")
        if self.seconds is not None and self.seconds < 0:
            raise ValueError("seconds must not be negative")


class FaultQueue:
    """Faults that wait for their requests, first in, first out at each endpoint. Not locked: its owner is."""

    def __init__(self) -> None:
        self._queues: dict[str, deque[Fault]] = {endpoint: deque() for endpoint in ENDPOINTS}

    def put(self, endpoint: str, fault: Fault, times: int) -> None:
        if endpoint not in self._queues:
            raise ValueError(f"endpoint must be one of {', '.join(ENDPOINTS)}")
        if times < 1:
            raise ValueError("times must be at least 1")
        self._queues[endpoint].extend([fault] * times)

    def take(self, endpoint: str) -> Fault | None:
        queue = self._queues[endpoint]
        return queue.popleft() if queue else None
