"""HTTP as a connection wants it: time-out, CA bundle and proxies; and no answer at all as a typed error."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from airflow_provider_atlas.oauth.errors import AtlasError, AtlasUnreachable, CertificateRefused

if TYPE_CHECKING:
    import requests


@dataclass(frozen=True)
class Transport:
    """
    How to reach Atlas.

    :param timeout: seconds to connect, and again to wait for each part of the answer.
    :param ca_bundle: path of a file of CA certificates; ``None`` for the default ones. Verification is never off.
    :param proxies: as ``requests`` takes them, absent from ``repr`` since they may hold a password.
    """

    timeout: float = 30.0
    ca_bundle: str | None = None
    proxies: Mapping[str, str] | None = field(default=None, repr=False)

    def prepare(self, session: requests.Session) -> None:
        """Set this transport's CA bundle and proxies on a session."""
        session.verify = self.ca_bundle or True
        session.proxies.update(self.proxies or {})


@contextmanager
def no_answer(timeout: float) -> Iterator[None]:
    """
    Turn the failures of ``requests`` into errors of this provider.

    The original is dropped on purpose, chain and all: it holds the request, and with it the Authorization header.
    """
    failure: AtlasError | None = None
    try:
        yield
    except (OSError, ValueError) as error:  # requests' own errors are OSErrors, some ValueErrors; urllib3's leak through
        failure = _translate(error, timeout)
    if failure is not None:
        raise failure


def _translate(error: Exception, timeout: float) -> AtlasError:
    import requests

    causes = tuple(_chain(error))
    if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in causes):
        return CertificateRefused()
    if isinstance(error, requests.exceptions.ProxyError):
        return AtlasUnreachable("The proxy does not let the request to Atlas through")
    if isinstance(error, requests.Timeout):
        return AtlasUnreachable(f"Atlas did not answer within {timeout:g} s")
    if any(isinstance(cause, socket.gaierror) for cause in causes):
        return AtlasUnreachable("The host name of the Atlas URL does not resolve")
    if any(isinstance(cause, ssl.SSLError) for cause in causes):
        return AtlasUnreachable("TLS with the Atlas URL failed")
    if isinstance(error, FileNotFoundError | NotADirectoryError) or "CA certificate bundle" in str(error):
        return CertificateRefused("The connection's ca_bundle names no file")
    if any(isinstance(cause, ConnectionRefusedError) for cause in causes):
        return AtlasUnreachable("Nothing listens at the Atlas URL")
    return AtlasUnreachable(f"The connection to Atlas failed ({type(error).__name__})")


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error and what it stands for: urllib3 keeps causes in ``reason`` and ``args``, others in ``__context__``."""
    seen: set[int] = set()
    todo: list[object] = [error]
    while todo:
        item = todo.pop()
        if isinstance(item, BaseException) and id(item) not in seen:
            seen.add(id(item))
            yield item
            todo += [item.__cause__, item.__context__, getattr(item, "reason", None), *item.args]
