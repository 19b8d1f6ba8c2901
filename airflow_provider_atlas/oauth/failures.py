"""What ``requests`` raises, as errors of this provider that name the cause: connection, environment, server, caller."""

from __future__ import annotations

import http.client
import os
import socket
import ssl
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TypeVar

from airflow_provider_atlas.exceptions import (
    AtlasError,
    AtlasUnreachable,
    CertificateRefused,
    InvalidCall,
    InvalidConnection,
    UnexpectedResponse,
)

if TYPE_CHECKING:
    from airflow_provider_atlas.oauth.transport import Transport

T = TypeVar("T")

#: Where ``requests`` finds a proxy for https, in its order.
PROXY_VARIABLES = ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")


def ask(call: Callable[[], T], transport: Transport, *, changes: bool = False) -> T:
    """
    Make a request, and turn the errors of ``requests`` into errors of this provider.

    The original error is dropped with its whole chain: it holds the request, and so the Authorization header.

    :param changes: whether the request changes something at Atlas, so that an error has to say if it may have done so.
    """
    try:
        return call()
    except UnexpectedResponse as error:
        error.unknown_effect = changes
        raise
    # requests' own errors are OSErrors, some of them ValueErrors; a body that is not JSON is a TypeError.
    except (OSError, ValueError, TypeError) as error:
        failure = translate(error, transport)
        sent = isinstance(failure, AtlasUnreachable | UnexpectedResponse) and not certainly_not_sent(error)
        failure.unknown_effect = changes and sent
    raise failure


def translate(error: Exception, transport: Transport) -> AtlasError:
    """The error of this provider that names the cause of one of ``requests``."""
    import requests

    causes = tuple(_chain(error))
    texts = [str(cause) for cause in causes]
    if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in causes):
        return CertificateRefused()
    if any("Missing dependencies for SOCKS" in text for text in texts):
        return InvalidConnection(f"The proxy in {_proxy_source(transport)} needs SOCKS: install requests[socks]")
    if isinstance(error, requests.exceptions.InvalidProxyURL):
        return _bad_proxy(transport)
    if isinstance(error, requests.exceptions.ProxyError):
        return AtlasUnreachable(f"The proxy in {_proxy_source(transport)} does not let the request to Atlas through")
    if isinstance(error, requests.Timeout) or any(isinstance(cause, TimeoutError) for cause in causes):
        return AtlasUnreachable(f"Atlas did not respond completely within {transport.timeout:g} s")
    if any(map(_is_broken_http, causes)):
        return UnexpectedResponse("The response is not valid HTTP, or its headers are too large")
    if isinstance(error, requests.TooManyRedirects):
        return UnexpectedResponse("The response redirects again and again")
    if any(isinstance(cause, socket.gaierror) for cause in causes):
        return AtlasUnreachable("The host name of the Atlas URL does not resolve")
    if any("X509" in str(cause) or "PEM" in str(cause) for cause in causes if isinstance(cause, ssl.SSLError)):
        return CertificateRefused("The file that ca_bundle names contains no certificates")
    if any(isinstance(cause, ssl.SSLError) for cause in causes):
        return AtlasUnreachable("TLS with the Atlas URL failed")
    if isinstance(error, FileNotFoundError | NotADirectoryError) or "CA certificate bundle" in texts[0]:
        return CertificateRefused("ca_bundle must name a file")
    if isinstance(error, ValueError | TypeError | requests.exceptions.InvalidJSONError):
        return _invalid(error, transport)
    if any(isinstance(cause, ConnectionRefusedError) for cause in causes):
        return AtlasUnreachable("Nothing listens at the Atlas URL")
    return AtlasUnreachable(f"The connection to Atlas failed ({type(error).__name__})")


def certainly_not_sent(error: Exception) -> bool:
    """Whether there was no connection on which a request could have been sent."""
    import urllib3

    no_connection = (
        urllib3.exceptions.NewConnectionError,
        urllib3.exceptions.ConnectTimeoutError,
        urllib3.exceptions.ProxyError,  # raised until the proxy is connected, with a tunnel if there is one
        urllib3.exceptions.ClosedPoolError,
    )
    return any(isinstance(cause, no_connection) for cause in _chain(error))


def _invalid(error: Exception, transport: Transport) -> AtlasError:
    """An error about a value: ``requests`` names the request only in those that it raises after checking it."""
    import requests

    sent = getattr(error, "request", None) is not None and not isinstance(error, requests.exceptions.InvalidJSONError)
    if sent and isinstance(error, requests.exceptions.InvalidHeader):
        return UnexpectedResponse("The response is not valid HTTP: its headers contradict each other")
    label = "label" in str(error)  # "label empty or too long" is IDNA's word for a part of a host name
    if (label or (sent and isinstance(error, requests.exceptions.InvalidURL))) and _has_proxy(transport):
        return _bad_proxy(transport)
    if sent or label:
        return InvalidConnection("The host name of the Atlas URL is not valid")
    if str(error).endswith("is not JSON serializable"):
        return InvalidCall(f"json cannot be encoded: {error}")
    return InvalidCall("The request cannot be sent: check method, parameters and body")


def _is_broken_http(cause: BaseException) -> bool:
    kinds = (http.client.BadStatusLine, http.client.LineTooLong, http.client.UnknownProtocol)
    broken = isinstance(cause, kinds) or type(cause) is http.client.HTTPException
    return broken and not isinstance(cause, http.client.RemoteDisconnected)


def _has_proxy(transport: Transport) -> bool:
    return bool(transport.proxies) or any(os.environ.get(name) for name in PROXY_VARIABLES)


def _bad_proxy(transport: Transport) -> InvalidConnection:
    return InvalidConnection(f"The proxy in {_proxy_source(transport)} must be a URL such as http://proxy:3128")


def _proxy_source(transport: Transport) -> str:
    if transport.proxies:
        return "the connection's extra proxies"
    found = next((name for name in PROXY_VARIABLES if os.environ.get(name)), None)
    return f"the environment variable {found}" if found else "the environment"


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
