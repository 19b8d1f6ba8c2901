"""From an answer to bytes, and from a fault to a closed connection: what a client sees and no rule knows."""

from __future__ import annotations

import asyncio
import json
from email.utils import formatdate
from typing import TYPE_CHECKING, Any

from starlette.responses import Response
from uvicorn.protocols.http.h11_impl import H11Protocol

if TYPE_CHECKING:
    from airflow_provider_atlas.sandbox.answers import Answer

COMMON = {
    "Vary": "Accept-Encoding",
    "Strict-Transport-Security": "max-age=31536000; includeSubdomains;",
    "X-MongoDB-Service-Version": "gitHash=0000000000000000000000000000000000000000; versionString=sandbox",
}
Connections = dict[tuple[str, int], asyncio.Transport]


def respond(answer: Answer, now: float, *, pretty: bool, envelope: bool) -> Response:
    """Return the HTTP response; an envelope hides the status from HTTP and shows it in the body."""
    # The date is the sandbox's: clients measure a Retry-After date against it.
    date = {"Date": formatdate(now, usegmt=True)}
    status, content = answer.status, answer.content
    if isinstance(content, str):
        headers = {"Content-Type": "text/html;charset=ISO-8859-1"}
    else:
        headers = {"Content-Type": "application/json"}
        if envelope:
            # A list is an envelope by itself: Atlas only adds the status to it.
            is_list = content is not None and "results" in content
            content = {**(content or {}), "status": status} if is_list else {"status": status, "content": content or {}}
            status = 200
        content = "" if content is None else _json(content, pretty)
    return Response(content, status, {**date, **COMMON, **headers, **answer.headers})


def _json(content: dict[str, Any], pretty: bool) -> str:
    return json.dumps(content, indent=2 if pretty else None, separators=None if pretty else (",", ":"))


def protocol(connections: Connections) -> type[H11Protocol]:
    """Return uvicorn's protocol, keeping track of the open connections by the client's address and port."""

    class Wire(H11Protocol):
        _peer: tuple[str, int]

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._peer = transport.get_extra_info("peername")[:2]
            connections[self._peer] = transport

        def connection_lost(self, exc: Exception | None) -> None:
            connections.pop(self._peer, None)
            super().connection_lost(exc)

    return Wire
