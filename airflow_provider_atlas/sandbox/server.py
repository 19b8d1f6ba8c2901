"""The handle on a running sandbox: a server in a thread, and what a test may ask of it and do to it."""

from __future__ import annotations

import ipaddress
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from airflow_provider_atlas.sandbox.faults import Fault
from airflow_provider_atlas.sandbox.knobs import Knobs
from airflow_provider_atlas.sandbox.state import AtlasState
from airflow_provider_atlas.sandbox.thread import ServerThread

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from airflow_provider_atlas.sandbox.counters import Counters


@dataclass(kw_only=True, eq=False, repr=False)
class Sandbox(Knobs):
    """
    A local Atlas. Use it as a context manager, or ``start`` and ``stop`` it; what it knows outlives a stop, so that a
    stop and a start are an outage.

    :param host: loopback address to listen on
    :param port: port to listen on; 0 for a free one, which it then keeps
    :param log_file: file that gets one line a request, with no secret and no token in it
    :param client_id: client id of the default account; generated if empty
    :param client_secret: client secret of the default account; generated if empty
    :param clock: the time in seconds since the epoch, for windows and lives
    :raises ValueError: a knob is out of its range, or ``host`` is not a loopback address
    :raises OSError: from ``start``, when the port is taken or the log file cannot be written

    The other parameters are those of :class:`~airflow_provider_atlas.sandbox.knobs.Knobs`.
    """

    host: str = "127.0.0.1"
    port: int = 0
    log_file: str | Path | None = None
    client_id: str = ""
    client_secret: str = ""
    clock: Callable[[], float] = time.time

    def __post_init__(self) -> None:
        super().__post_init__()
        # It hands out tokens to whoever knows a printed secret, so nobody else may reach it.
        if self.host != "localhost" and not ipaddress.ip_address(self.host).is_loopback:
            raise ValueError(f"the sandbox listens on loopback addresses only, not on {self.host}")
        self._state = AtlasState(self, self.clock)
        self._thread: ServerThread | None = None
        self.client_id, self.client_secret = self._state.add_account(self.client_id, self.client_secret, None)

    def __repr__(self) -> str:
        return f"Sandbox(host={self.host!r}, port={self.port}, client_id={self.client_id!r})"

    def start(self) -> Self:
        if self._thread is not None:
            raise RuntimeError("the sandbox is already running")
        self._thread = ServerThread(self._state, self.host, self.port, self.log_file)
        self.port = self._thread.port
        return self

    def stop(self) -> None:
        """End the thread and free the port; held answers end without one."""
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
    def connection(self) -> dict[str, str]:
        """An Airflow connection to the default account: as JSON it is what an ``AIRFLOW_CONN_...`` variable holds."""
        return {"conn_type": "mongodbatlas", "login": self.client_id, "password": self.client_secret, "host": self.url}

    @property
    def counters(self) -> Counters:
        return self._state.counters()

    def reset_counters(self) -> None:
        self._state.reset_counters()

    def add_account(self, rights: bool = True, error_code: str = "USER_UNAUTHORIZED") -> tuple[str, str]:
        """
        Create another service account.

        :param rights: False for one whose every Administration API request ends in a 401
        :param error_code: ``errorCode`` of that 401; Atlas may leave it empty
        :return: client id and secret
        """
        return self._state.add_account("", "", None if rights else error_code)

    def add_secret(self, client_id: str) -> str:
        """Create a second secret for the account; a third is a ValueError."""
        return self._state.add_secret(client_id)

    def delete_secret(self, secret: str) -> None:
        """Delete a secret, which ends the tokens that it bought at once."""
        self._state.delete_secret(secret)

    @property
    def issued(self) -> tuple[str, ...]:
        """Every token ever issued, so that a test can search for them; no page shows them."""
        return self._state.issued()

    def is_active(self, token: str) -> bool:
        return self._state.owner(token) is not None

    def revoke(self, token: str) -> None:
        """Revoke a token as somebody else would, at Atlas, uncounted. A ValueError if it was never issued."""
        self._state.end(token)

    def expire(self, token: str) -> None:
        """End a token's life before its time. A ValueError if it was never issued."""
        self._state.end(token)

    def fail_next(
        self,
        endpoint: str,
        times: int = 1,
        status: int | None = None,
        body: bytes | str = b"",
        headers: Mapping[str, str] | None = None,
        kind: str = "answer",
        seconds: float | None = None,
    ) -> None:
        """
        Let the next requests to an endpoint meet a fault, after those that already wait.

        :param endpoint: ``token``, ``revoke`` or ``api``
        :param times: how many requests

        The rest makes a :class:`~airflow_provider_atlas.sandbox.faults.Fault`.
        """
        body = body.encode() if isinstance(body, str) else body
        self._state.put_fault(endpoint, Fault(kind, status, body, dict(headers or {}), seconds), times)
