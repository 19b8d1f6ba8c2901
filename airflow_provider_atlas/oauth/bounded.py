"""An HTTP adapter whose responses have a bound in time and in size, whatever the server sends.

``requests`` applies its timeout to each read, so a response that arrives byte by byte never ends; and it decodes a
body of any size, so 822 bytes of nested gzip can become a gigabyte. Here the read timeout is for the whole response,
and a body is decoded piece by piece up to a limit. With ``stream=True`` the caller reads the body of a success: then
the timeout is for each read again, and the size is the caller's concern.

Not loaded before a request is made, as it imports ``requests``.
"""

from __future__ import annotations

import http.client
import io
import socket
import time
import zlib
from collections.abc import Mapping
from contextlib import nullcontext, suppress
from functools import cache
from typing import Any, cast
from urllib.parse import urljoin, urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter

from airflow_provider_atlas.exceptions import UnexpectedResponse

#: Largest response of a token endpoint, and largest refusal of the Administration API; bytes, decoded.
SMALL = 1 << 20
#: Largest response of the Administration API that is read as a whole; bytes, decoded.
LARGE = 16 << 20
#: Largest status line and headers, those of 1xx before it included; bytes. Python needs some 100 times as many.
HEAD = 128 << 10
#: Bytes in one read.
PIECE = 1 << 16
#: Bytes that are read ahead, and may be of the body when the head is read.
BUFFER = 1 << 13


class _Reader(io.RawIOBase):
    """Reads from a socket until a deadline, and the head of a response up to :data:`HEAD` bytes."""

    def __init__(self, raw: io.RawIOBase, sock: socket.socket) -> None:
        self._raw = raw
        self._sock = sock
        self._timeout = sock.gettimeout()
        self._ends = None if self._timeout is None else time.monotonic() + self._timeout
        self.head: int | None = HEAD  # bytes that it may still have; `None` in the body

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if self._ends is not None:
            left = self._ends - time.monotonic()  # not `_left`: it is called for each response
            if left <= 0:
                raise TimeoutError("timed out")
            self._sock.settimeout(left)
        size = self._raw.readinto(buffer)
        if self.head is not None:
            if not size:  # Python would take what came for all headers, and a body without length for empty
                raise http.client.RemoteDisconnected("The connection ended within the head")
            self.head -= size
            if self.head < 0:
                raise http.client.HTTPException(f"The head is larger than {HEAD >> 10} KiB")
        return size

    def leave_to_caller(self) -> None:
        """The timeout is for each read from now on."""
        self._ends = None
        self._sock.settimeout(self._timeout)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Response(http.client.HTTPResponse):
    """A response that has to be complete before the socket's timeout is over."""

    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self.reader = _Reader(self.fp.detach(), sock)
        self.fp = io.BufferedReader(self.reader, BUFFER)

    def begin(self) -> None:
        super().begin()
        self.reader.head = None
        if self.headers.defects and not self.headers.is_multipart():  # urllib3 logs what Python cannot read as headers
            self.headers.set_payload(str(self.headers.get_payload() or "")[:100])

    def _read_status(self) -> tuple[str, int, str]:
        """
        Skip 102 to 199 (RFC 9110, 15.2). Python would take them, and the response would be the next request's.

        A 102 that nothing follows is Atlas's response to a report that is not ready.
        """
        processing = None
        while True:
            try:
                version, status, reason = super()._read_status()  # type: ignore[misc]
            except (TimeoutError, http.client.RemoteDisconnected):
                if processing is None:
                    raise
                self.fp = io.BufferedReader(io.BytesIO(b"Connection: close\r\n\r\n"))
                return processing
            if not 101 < status < 200:
                return version, status, reason
            processing = (version, status, reason) if status == 102 else None
            while self.fp.readline(PIECE) not in (b"\r\n", b"\n", b""):
                pass

    def _read_next_chunk_size(self) -> int:
        size: int = super()._read_next_chunk_size()  # type: ignore[misc]
        if size < 0:  # -1 would read all that the server sends
            raise ValueError("negative chunk size")
        return size


class _Bounded:
    """
    A connection whose timeout is for all that is done until a request is sent.

    urllib3 gives the whole timeout to each address of the host, to the proxy, to TLS, and to each part of the request.
    """

    response_class = _Response
    _ends: float | None = None
    _used = _head_sent = False

    def connect(self: Any) -> None:
        if not self._used:  # with https it comes before the request, else within it
            self._start()
        super().connect()  # type: ignore[misc]

    def request(self: Any, *args: Any, **kwargs: Any) -> None:
        if self._used or self._ends is None:
            self._start()
        self._used, self._head_sent = True, False
        super().request(*args, **kwargs)  # type: ignore[misc]

    def send(self: Any, data: Any) -> None:
        if self._head_sent and self._ends is not None:  # a body comes in parts; for the head the timeout is set already
            self.sock.settimeout(_left(self._ends))
        self._head_sent = True
        super().send(data)  # type: ignore[misc]

    def close(self: Any) -> None:
        self._ends, self._used = None, False
        super().close()  # type: ignore[misc]

    def _start(self: Any) -> None:
        self._ends = None if self.timeout is None else time.monotonic() + self.timeout

    def _new_conn(self: Any) -> socket.socket:
        ends, host, timeout = self._ends, self._dns_host, self.timeout
        if ends is None:
            return cast(socket.socket, super()._new_conn())  # type: ignore[misc]
        # A SOCKS proxy resolves the name itself.
        addresses = [] if hasattr(self, "_socks_options") else _addresses(host, self.port)
        try:
            for others, self._dns_host in zip(range(len(addresses) - 1, -1, -1), addresses, strict=True):
                self.timeout = _left(ends) / (others + 1)
                with suppress(urllib3.exceptions.HTTPError) if others else nullcontext():
                    sock = super()._new_conn()  # type: ignore[misc]
                    break
            else:
                sock = super()._new_conn()  # type: ignore[misc]
        finally:
            self._dns_host, self.timeout = host, timeout
        sock.settimeout(_left(ends))  # for TLS
        return cast(socket.socket, sock)


def _addresses(host: str, port: int) -> list[str]:
    with suppress(OSError, UnicodeError):  # urllib3 tells why
        return list(dict.fromkeys(str(info[4][0]) for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)))
    return []


def _left(ends: float) -> float:
    left = ends - time.monotonic()
    if left <= 0:
        raise TimeoutError("timed out")
    return left


@cache
def _bounded(pool: Any) -> Any:
    """A class of connection pools, with bounded connections."""
    connection = type("Connection", (_Bounded, pool.ConnectionCls), {})
    return type("Pool", (pool,), {"ConnectionCls": connection})


def _bound(manager: Any) -> None:
    pools = manager.pool_classes_by_scheme
    manager.pool_classes_by_scheme = {scheme: _bounded(pool) for scheme, pool in pools.items()}


class BoundedAdapter(HTTPAdapter):
    """
    See the module. A request, without the lookup of the host name, takes the connect timeout until it is sent, and the
    read timeout after that. The handshake with a SOCKS proxy, and TLS within TLS through a proxy with ``https``, have
    the timeout for each read.

    :param limit: bytes of a decoded body; a refusal has at most :data:`SMALL`.
    """

    def __init__(self, limit: int, **options: Any) -> None:
        self._limit = limit
        super().__init__(**options)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """See ``HTTPAdapter``."""
        super().init_poolmanager(*args, **kwargs)
        _bound(self.poolmanager)

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        """See ``HTTPAdapter``."""
        if proxy in self.proxy_manager:
            return self.proxy_manager[proxy]
        manager = super().proxy_manager_for(proxy, **kwargs)
        _bound(manager)
        return manager

    def close(self) -> None:
        """Close all connections. ``requests`` leaves that to the garbage collector."""
        for manager in (self.poolmanager, *self.proxy_manager.values()):
            for key in manager.pools.keys():  # noqa: SIM118 - no mapping
                if (pool := manager.pools.get(key)) is not None:
                    pool.close()
        super().close()

    def send(self, request: requests.PreparedRequest, stream: bool = False, **kwargs: Any) -> requests.Response:  # type: ignore[override]
        """
        See ``HTTPAdapter``; without ``stream`` the body is read here.

        :raises UnexpectedResponse: if it is too large, or encoded in a way that was not asked for.
        """
        if request.headers.get("Accept-Encoding") != "identity":
            request.headers["Accept-Encoding"] = "gzip"
        response = super().send(request, stream=stream, **kwargs)
        raw, succeeded = response.raw, 200 <= response.status_code < 300
        if stream and succeeded:
            raw._original_response.reader.leave_to_caller()  # type: ignore[union-attr]
            return response
        try:
            response._content = _read(raw, self._limit if succeeded else min(SMALL, self._limit))
        except urllib3.exceptions.ReadTimeoutError as error:
            raise requests.ReadTimeout(error, request=request) from None
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise requests.ConnectionError(error, request=request) from None
        finally:
            # A body that was read as a whole has given its connection back; any other must not be used again.
            raw.close()
        response._content_consumed = True  # type: ignore[attr-defined]
        if not succeeded and response.is_redirect:
            _check_location(response)
        return response


def _check_location(response: requests.Response) -> None:
    """``requests`` raises a bare ``ValueError`` for a ``Location`` that is not a URL, also if it must not follow it."""
    try:
        location = response.headers["Location"].encode("latin-1").decode()
        _ = urlsplit(urljoin(response.url, location)).port
    except ValueError:
        location = None
    if location is None:
        raise UnexpectedResponse("The response redirects to something that is not a URL", status=response.status_code)


def _read(raw: Any, limit: int) -> bytes:
    headers: Mapping[str, str] = raw.headers
    encoding = headers.get("Content-Encoding", "").strip().lower()
    if encoding not in ("", "identity", "gzip"):
        raise UnexpectedResponse("The response has an encoding that was not asked for", status=raw.status)
    decoder = zlib.decompressobj(wbits=31) if encoding == "gzip" else None
    body, complete = bytearray(), True
    try:
        while piece := raw.read(PIECE, decode_content=False):
            if decoder is None:
                body += piece
            else:
                body += decoder.decompress(piece, limit + 1 - len(body))
                complete = decoder.eof
                if decoder.unused_data:  # it would grow with all that follows
                    complete = False
                    break
            if len(body) > limit:
                error = UnexpectedResponse(f"The response is larger than {limit >> 20} MiB", status=raw.status)
                if limit == LARGE:
                    error.remedy = "Ask for fewer results in a page (itemsPerPage), or use download for a file."
                raise error
            if raw.length_remaining == 0:
                break
    except zlib.error:
        complete = False
    if not complete:
        raise UnexpectedResponse("The response is not complete gzip, as its header says", status=raw.status)
    return bytes(body)
