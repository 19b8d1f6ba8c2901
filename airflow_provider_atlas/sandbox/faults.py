"""Faults on demand: Atlas cannot be asked to fail."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from starlette.responses import Response

from airflow_provider_atlas.sandbox.responses import oauth_error

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request
    from starlette.types import Receive, Scope, Send

ENDPOINTS = ("token", "revoke", "api")
KINDS = ("answer", "drop", "silence")

#: The open connections by the client's address and port.
Connections = dict[tuple[str, int], asyncio.Transport]


@dataclass(frozen=True)
class Fault:
    """
    One fault.

    :param kind: ``answer`` sends status, headers and body as they are given here; ``drop`` closes the connection
        without a response; ``silence`` delays the response
    :param status: HTTP status of the response; None for the 500 that Atlas documents, with its body
    :param body: bytes of the response
    :param headers: headers of the response
    :param seconds: how long a silence lasts before the real response is sent; None: until the sandbox stops.
        If the client hangs up before that, the request changes nothing
    :raises ValueError: a parameter is not valid
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


async def perform(fault: Fault, request: Request, connections: Connections) -> Response | None:
    """Return the faulty response; None if the request must get its real response after all."""
    if fault.kind == "answer":
        if fault.status is None:
            return Response(json.dumps(oauth_error("server_error").content), 500, media_type="application/json")
        return Response(fault.body, fault.status, fault.headers)
    if fault.kind == "drop" and request.client:
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
