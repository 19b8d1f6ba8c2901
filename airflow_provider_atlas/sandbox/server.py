"""The running sandbox: uvicorn in its own thread. A stop leaves no port and no thread behind."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import threading
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from airflow_provider_atlas.sandbox.app import build
from airflow_provider_atlas.sandbox.log import RequestLog
from airflow_provider_atlas.sandbox.state import AtlasState

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.types import ASGIApp

    from airflow_provider_atlas.sandbox.faults import Connections


@dataclass(kw_only=True, eq=False, repr=False)
class Sandbox(AtlasState):
    """
    A local stand-in for Atlas. Use it as a context manager, or call ``start`` and ``stop``. A stop keeps accounts,
    tokens and counters, so that a stop and a start are an outage.

    :param host: loopback address to listen on
    :param port: port to listen on; 0 for a free one, which the sandbox then keeps
    :param log_file: file that gets one line a request, with no secret and no token in it
    :param client_id: client id of the default account; generated if empty
    :param client_secret: client secret of the default account; generated if empty
    :param clock: the time in seconds since the epoch, for windows and lifetimes
    :raises ValueError: a knob is out of its range, or ``host`` is not a loopback address
    :raises OSError: from ``start``, if the port is in use or the log file cannot be written

    The other parameters are those of :class:`~airflow_provider_atlas.sandbox.knobs.Knobs`.
    """

    host: str = "127.0.0.1"
    port: int = 0
    log_file: str | Path | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        # The sandbox issues tokens to anyone who has the printed secret, so no other machine may reach it.
        if self.host != "localhost" and not ipaddress.ip_address(self.host).is_loopback:
            raise ValueError(f"host must be a loopback address, not {self.host}")
        self._thread: ServerThread | None = None

    def __repr__(self) -> str:
        return f"Sandbox(host={self.host!r}, port={self.port}, client_id={self.client_id!r})"

    def start(self) -> Self:
        if self._thread is not None:
            raise RuntimeError("the sandbox is already running")
        self._thread = ServerThread(self)
        self.port = self._thread.port
        return self

    def stop(self) -> None:
        """End the thread and free the port. Delayed responses are not sent."""
        if self._thread is not None:
            self._thread.stop()
            self._thread = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """Base URL for the connection's ``host`` field."""
        if not self.port:
            raise RuntimeError("the sandbox has no URL before it is started")
        return f"http://[{self.host}]:{self.port}" if ":" in self.host else f"http://{self.host}:{self.port}"

    @property
    def connection(self) -> dict[str, str | int]:
        """
        An Airflow connection to the default account; as JSON it is the value of an ``AIRFLOW_CONN_...`` variable.

        The port is in the URL, and stored as well: the Test button of Airflow 3.3.1 and 3.3.2 needs it.
        """
        account: dict[str, str | int] = {"login": self.client_id, "password": self.client_secret}
        return {"conn_type": "mongodbatlas", "host": self.url, "port": self.port, **account}


class ServerThread:
    """A running server. Its port accepts connections as soon as the object exists."""

    def __init__(self, sandbox: Sandbox) -> None:
        connections: Connections = {}
        app: ASGIApp = build(sandbox, connections)
        with ExitStack() as stack:
            if sandbox.log_file is not None:
                app = RequestLog(app, sandbox, stack.enter_context(open(sandbox.log_file, "a", encoding="utf-8")))
            family = socket.AF_INET6 if ":" in sandbox.host else socket.AF_INET
            listening = socket.create_server((sandbox.host, sandbox.port), family=family, backlog=512)
            self._socket = stack.enter_context(listening)
            self._cleanup = stack.pop_all()
        # asyncio sets it only if the socket names its protocol. Without it every response waits 40 ms for an ACK.
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.port: int = self._socket.getsockname()[1]
        config = uvicorn.Config(
            app,
            http=protocol(connections),
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="warning",
            access_log=False,
            server_header=False,
            date_header=False,
            # A client's header must not change the client's address.
            proxy_headers=False,
        )
        self._server = PromptServer(config, connections)
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


class PromptServer(uvicorn.Server):
    """uvicorn's server, which stops at once instead of at its next check: a test suite stops hundreds of them."""

    def __init__(self, config: uvicorn.Config, connections: Connections) -> None:
        super().__init__(config)
        self._connections = connections
        self.halted = asyncio.Event()

    async def main_loop(self) -> None:
        await self.halted.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close everything at once. A client that still waits gets no response."""
        # asyncio registers an accepted connection in a task, and loses it if the server closes before that. So first
        # accept no more, then let the tasks end, and close the server last.
        for listening in sockets or ():
            asyncio.get_running_loop().remove_reader(listening)
        while self._connections or len(asyncio.all_tasks()) > 1:
            for connection in self._connections.values():
                connection.abort()
            await asyncio.sleep(0)
        for server in self.servers:
            server.close()


def protocol(connections: Connections) -> type[H11Protocol]:
    """Return uvicorn's HTTP protocol, which also keeps ``connections`` up to date."""

    class TrackedProtocol(H11Protocol):
        _peer: tuple[str, int]

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._peer = transport.get_extra_info("peername")[:2]
            connections[self._peer] = transport

        def connection_lost(self, exc: Exception | None) -> None:
            connections.pop(self._peer, None)
            super().connection_lost(exc)

    return TrackedProtocol
