"""The request log: one line a request, with method, path, status and the end of the client id, and without secrets."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TextIO

from starlette.datastructures import Headers

from airflow_provider_atlas.sandbox.requests import AtlasRequest, decode_basic
from airflow_provider_atlas.sandbox.urls import shown

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from airflow_provider_atlas.sandbox.state import AtlasState

# The client chooses the path. A path that Atlas does not have could hold a secret.
KNOWN = re.compile(r"/|/_sandbox/(counters|faults|reset)|/api/oauth/(token|revoke)")


class RequestLog:
    """ASGI middleware that writes the log of an app. ``atlas`` tells its client ids and tokens from other strings."""

    def __init__(self, app: ASGIApp, atlas: AtlasState, file: TextIO) -> None:
        self._app, self._atlas, self._file = app, atlas, file

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # Before the request is handled: a revoked token has no owner afterwards.
        client = self._client(AtlasRequest(scope["path"], headers=Headers(scope=scope)))
        raw, status = scope["raw_path"].decode("ascii", "replace"), "none"

        def write() -> None:
            path = raw if KNOWN.fullmatch(raw) else shown(raw, self._is_cluster)
            self._file.write(f"{scope['method']} {path} {status} {client}\n")
            self._file.flush()

        async def watch(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = str(message["status"])
                write()
            await send(message)

        await self._app(scope, receive, watch)
        if status == "none":
            write()

    def _is_cluster(self, name: str) -> bool:
        with self._atlas.lock:
            return any(name in clusters for clusters in self._atlas.clusters.values())

    def _client(self, request: AtlasRequest) -> str:
        """Return the last six characters of the client id, if it is one of the sandbox's."""
        account = self._atlas.owner(request.credentials("bearer") or "")
        if account is None and (pair := decode_basic(request.credentials("basic") or "")):
            account = self._atlas.accounts.get(pair[0])
        return account.client_id[-6:] if account else "-"
