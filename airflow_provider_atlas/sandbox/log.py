"""One line a request, with nothing in it that opens a door: path, status and the end of a known client id."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TextIO

from starlette.datastructures import Headers

from airflow_provider_atlas.sandbox.call import Call, decode_basic

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from airflow_provider_atlas.sandbox.state import AtlasState

# A path is the client's text: one that Atlas does not have could be anything, a secret too.
KNOWN = re.compile(
    r"/|/_sandbox/(counters|faults|reset)|/api/oauth/(token|revoke)"
    r"|/api/atlas/v2/(orgs|groups(/[0-9a-f]{24}(/clusters)?)?)"
)


class RequestLog:
    """
    ASGI middleware that writes the log.

    :param app: what answers
    :param state: knows which client ids and tokens are real
    :param file: where the lines go
    """

    def __init__(self, app: ASGIApp, state: AtlasState, file: TextIO) -> None:
        self._app, self._state, self._file = app, state, file

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        client = client_end(self._state, Call(scope["path"], headers=Headers(scope=scope)))
        answered = False

        async def watch(message: Message) -> None:
            nonlocal answered
            if message["type"] == "http.response.start":
                answered = True
                self._write(scope, str(message["status"]), client)
            await send(message)

        await self._app(scope, receive, watch)
        if not answered:
            self._write(scope, "none", client)

    def _write(self, scope: Scope, status: str, client: str) -> None:
        path = scope["path"] if KNOWN.fullmatch(scope["path"]) else "(other)"
        self._file.write(f"{scope['method']} {path} {status} {client}\n")
        self._file.flush()


def client_end(state: AtlasState, call: Call) -> str:
    """Return the last six characters of the client id, if it is one of the sandbox's."""
    account = state.owner(call.credentials("bearer") or "")
    if account is None:
        pair = decode_basic(call.credentials("basic") or "")
        account = state.account(pair[0]) if pair else None
    return account.client_id[-6:] if account else "-"
