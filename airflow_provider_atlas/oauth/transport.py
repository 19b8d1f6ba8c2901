"""HTTP with a connection's timeout, CA bundle and proxies. A request without a response is a typed error."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, TypeVar

from airflow_provider_atlas.exceptions import AtlasError, AtlasUnreachable, CertificateRefused, InvalidCall

T = TypeVar("T")


@dataclass(frozen=True)
class Transport:
    """
    How to reach Atlas.

    :param timeout: seconds to connect, and again to wait for each part of the response.
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


def ask(call: Callable[[], T], timeout: float) -> T:
    """
    Make a request, and turn the errors of ``requests`` into errors of this provider.

    The original error is dropped with its whole chain: it holds the request, and so the Authorization header.
    """
    try:
        return call()
    except (OSError, ValueError) as error:  # requests' own errors are OSErrors, some of them ValueErrors
        failure = _translate(error, timeout)
    raise failure


def uninterrupted(call: Callable[[], T]) -> T:
    """
    Run a call to its end in a thread of its own. What interrupts the task meanwhile is raised after that.

    A task's timeout and SIGTERM raise in the main thread, at any line. Between Atlas's response and the place that
    keeps it they would leave an active token that nobody knows.
    """
    outcome: Future[T] = Future()

    def run() -> None:
        if not outcome.set_running_or_notify_cancel():
            return
        try:
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
    return outcome.result()


def _translate(error: Exception, timeout: float) -> AtlasError:
    import requests

    causes = tuple(_chain(error))
    if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in causes):
        return CertificateRefused()
    if isinstance(error, requests.exceptions.ProxyError):
        return AtlasUnreachable("The proxy does not let the request to Atlas through")
    if isinstance(error, requests.Timeout):
        return AtlasUnreachable(f"Atlas did not respond within {timeout:g} s")
    if any(isinstance(cause, socket.gaierror) for cause in causes):
        return AtlasUnreachable("The host name of the Atlas URL does not resolve")
    if any("X509" in str(cause) or "PEM" in str(cause) for cause in causes if isinstance(cause, ssl.SSLError)):
        return CertificateRefused("The connection's ca_bundle contains no certificates")
    if any(isinstance(cause, ssl.SSLError) for cause in causes):
        return AtlasUnreachable("TLS with the Atlas URL failed")
    if isinstance(error, ValueError | requests.exceptions.InvalidJSONError):
        return InvalidCall("The request cannot be sent: check method, parameters and body")
    if isinstance(error, FileNotFoundError | NotADirectoryError) or "CA certificate bundle" in str(error):
        return CertificateRefused("The connection's ca_bundle must name a file")
    if any(isinstance(cause, ConnectionRefusedError) for cause in causes):
        return AtlasUnreachable("Nothing listens at the Atlas URL")
    return AtlasUnreachable(f"The connection to Atlas failed ({type(error).__name__})")


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error and its causes: urllib3 keeps them in ``reason`` and ``args``, others in ``__context__``."""
    seen: set[int] = set()
    todo: list[object] = [error]
    while todo:
        item = todo.pop()
        if isinstance(item, BaseException) and id(item) not in seen:
            seen.add(id(item))
            yield item
            todo += [item.__cause__, item.__context__, getattr(item, "reason", None), *item.args]
