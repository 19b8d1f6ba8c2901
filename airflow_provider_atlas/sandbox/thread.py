"""uvicorn in a thread of its own, ended on demand: no test may leave a port or a thread behind."""

from __future__ import annotations

import asyncio
import socket
import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING

import uvicorn

from airflow_provider_atlas.sandbox.app import build
from airflow_provider_atlas.sandbox.log import RequestLog
from airflow_provider_atlas.sandbox.wire import Connections, protocol

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.types import ASGIApp

    from airflow_provider_atlas.sandbox.state import AtlasState


class PromptServer(uvicorn.Server):
    """
    uvicorn's server without the pauses in which it looks whether to stop: a test suite stops hundreds of them.

    :param config: what uvicorn is to serve, and how
    :param connections: the open connections
    """

    def __init__(self, config: uvicorn.Config, connections: Connections) -> None:
        super().__init__(config)
        self._connections = connections
        self.halted = asyncio.Event()

    async def main_loop(self) -> None:
        await self.halted.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close everything at once: whoever still waits for an answer gets none."""
        # A connection that is accepted becomes one of ours in a task, and asyncio loses it if the server has closed by
        # then. So first accept no more, then let the tasks come to their ends, and close the server last.
        for listening in sockets or ():
            asyncio.get_running_loop().remove_reader(listening)
        while self._connections or len(asyncio.all_tasks()) > 1:
            for connection in self._connections.values():
                connection.abort()
            await asyncio.sleep(0)
        for server in self.servers:
            server.close()


class ServerThread:
    """
    A running server. Its port accepts connections as soon as the object exists.

    :param state: what it serves
    :param host: address to listen on
    :param port: port to listen on, 0 for a free one
    :param log_file: where the requests are logged, if anywhere
    :raises OSError: the port is taken or the log file cannot be written
    """

    def __init__(self, state: AtlasState, host: str, port: int, log_file: str | Path | None) -> None:
        self._connections: Connections = {}
        app: ASGIApp = build(state, self._connections)
        with ExitStack() as stack:
            if log_file is not None:
                app = RequestLog(app, state, stack.enter_context(open(log_file, "a", encoding="utf-8")))
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            self._socket = stack.enter_context(socket.create_server((host, port), family=family, backlog=512))
            self._cleanup = stack.pop_all()
        # asyncio sets it only where the socket names its protocol; without it every answer waits 40 ms for an ACK.
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.port: int = self._socket.getsockname()[1]
        config = uvicorn.Config(
            app,
            http=protocol(self._connections),
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="warning",
            access_log=False,
            server_header=False,
            date_header=False,
            # A header of the client must not decide from which address it comes.
            proxy_headers=False,
        )
        self._server = PromptServer(config, self._connections)
        self._runner = asyncio.Runner(loop_factory=asyncio.new_event_loop)
        self._loop = self._runner.get_loop()
        self._thread = threading.Thread(target=self._run, name="atlas-sandbox", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        with self._cleanup, self._runner:
            self._runner.run(self._server.serve(sockets=[self._socket]))

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._server.halted.set)
        self._thread.join()
