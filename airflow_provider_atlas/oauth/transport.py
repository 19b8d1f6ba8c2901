"""HTTP with a connection's timeout, CA bundle and proxies, and requests that no timeout of the task interrupts."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, TypeVar

from airflow_provider_atlas.oauth.token import StaysInProcess

T = TypeVar("T")


@dataclass(frozen=True)
class Transport(StaysInProcess):
    """
    How to reach Atlas.

    :param timeout: seconds to connect, and again for the whole response.
    :param ca_bundle: path of a file of CA certificates; ``None`` for the default ones. Verification is never off.
    :param proxies: as ``requests`` takes them, absent from ``repr`` since they may hold a password.
    """

    timeout: float = 30.0
    ca_bundle: str | None = None
    proxies: Mapping[str, str] | None = field(default=None, repr=False)

    @property
    def request_time(self) -> float:
        """Seconds that a request to a token endpoint can take: to connect, and to respond."""
        return 2 * self.timeout

    def options(self, base_url: str) -> dict[str, Any]:
        """
        Keyword arguments of a request. Set on a session, the environment's CA bundle and proxies would win over them.

        :param base_url: an origin. Plain ``http`` stays on this machine and uses no proxy: neither the environment's
            nor the connection's, whose extra can be edited by people who cannot read the secret.
        """
        plain = base_url.startswith("http://")
        return {
            "timeout": (self.timeout, self.timeout),
            "verify": self.ca_bundle or True,
            "proxies": {"http": ""} if plain else dict(self.proxies or {}),
        }


def uninterrupted(call: Callable[[], T]) -> T:
    """
    Run a call to its end in a thread of its own. What interrupts the task meanwhile is raised after that.

    A task's timeout and SIGTERM raise in the main thread, at any line. Between Atlas's response and the place that
    keeps it they would leave an active token that nobody knows.
    """
    outcome: Future[T] = Future()

    def run() -> None:
        try:
            if outcome.set_running_or_notify_cancel():
                outcome.set_result(call())
        except BaseException as error:  # noqa: BLE001 - raised by `result`
            outcome.set_exception(error)

    thread = threading.Thread(target=run, name="atlas-request", daemon=True)
    try:
        thread.start()
        thread.join()
    finally:
        if not outcome.cancel():  # the call has begun; a thread that has not will not make it
            thread.join()
    return outcome.result(0)  # the thread has ended
