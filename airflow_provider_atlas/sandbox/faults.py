"""Faults on demand: Atlas cannot be asked to fail."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from airflow_provider_atlas.sandbox.refusals import CODES, refused
from airflow_provider_atlas.sandbox.responses import oauth_error

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from starlette.requests import Request
    from starlette.types import Receive, Scope, Send

    from airflow_provider_atlas.sandbox.jobs import Phase

ENDPOINTS = ("token", "revoke", "api")
#: A request of any method can get a fault; an endpoint refuses all methods but its own.
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
KINDS = ("answer", "drop", "silence", "lost", "fail_job", "cancel_job")
#: How the job ends that a request starts.
JOB_ENDS: dict[str, Phase] = {"fail_job": "failed", "cancel_job": "cancelled"}

#: The open connections by the client's address and port.
Connections = dict[tuple[str, int], asyncio.Transport]


@dataclass(frozen=True)
class Fault:
    """
    One fault.

    :param kind: ``answer`` sends status, headers and body as they are given here; ``drop`` closes the connection
        without a response; ``silence`` delays the response; ``lost`` lets the request take effect, and then closes the
        connection, sends the given status or error code, or, with ``seconds``, delays the response; ``fail_job`` and
        ``cancel_job`` let the job end badly that the request starts
    :param status: HTTP status of the response; None for the 500 that Atlas documents, with its body
    :param body: bytes of the response
    :param headers: headers of the response
    :param seconds: how long a silence lasts before the real response is sent; None: until the sandbox stops.
        If the client hangs up before that, the request changes nothing, unless the kind is ``lost``
    :param error_code: send the Administration API's error with this code, with its own status unless one is given
    :param parameters: of that error; its text states them
    :param method: only requests with this method get the fault
    :param path: only requests with this text in their path get the fault
    :raises ValueError: a parameter is not valid
    """

    kind: str = "answer"
    status: int | None = None
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    seconds: float | None = None
    error_code: str = ""
    parameters: Sequence[Any] = ()
    method: str | None = None
    path: str = ""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"kind must be one of {', '.join(KINDS)}")
        if self.method not in (None, *METHODS):
            raise ValueError(f"method must be one of {', '.join(METHODS)}")
        if not isinstance(self.path, str):
            raise TypeError("path must be text")
        if self.error_code and self.status is None and self.error_code not in CODES:
            raise ValueError(f"error_code {self.error_code!r} has no status here: give one")
        if self.status is not None and not 200 <= self.status <= 599:
            raise ValueError("status must be from 200 to 599")
        if self.seconds is not None and self.seconds < 0:
            raise ValueError("seconds must not be negative")


async def perform(fault: Fault, request: Request, connections: Connections, now: float) -> Response | None:
    """Return the faulty response; None if the request must get its real response after all."""
    if fault.error_code:
        response = refused(fault.error_code, *fault.parameters, status=fault.status)
        return response.to_http(now, pretty=False, envelope=False)
    if fault.kind == "answer" or (fault.kind == "lost" and fault.status is not None):
        if fault.status is None:
            return Response(json.dumps(oauth_error("server_error").content), 500, media_type="application/json")
        return Response(fault.body, fault.status, fault.headers)
    closes = fault.kind == "drop" or (fault.kind == "lost" and fault.seconds is None)
    if closes and request.client:
        connections[request.client.host, request.client.port].close()
    try:
        await asyncio.wait_for(_hung_up(request), fault.seconds)
    except TimeoutError:
        return None
    return NoResponse()


class NoResponse(Response):
    """The response to a client that has hung up."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send nothing. The server has seen that the client is gone."""


async def _hung_up(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass  # pragma: no cover - servers may send an empty last piece of the body first
