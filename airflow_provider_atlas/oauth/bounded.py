"""An HTTP adapter whose responses have a bound in time and in size, whatever the server sends.

``requests`` applies its timeout to each read, so a response that arrives byte by byte never ends; and it decodes a
body of any size, so 822 bytes of nested gzip can become a gigabyte. Here the read timeout is for the whole response,
and a body is decoded piece by piece up to a limit. With ``stream=True`` the caller reads the body: then the timeout is
for each read again, and the size is the caller's concern.

Not loaded before a request is made, as it imports ``requests``.
"""

from __future__ import annotations

import http.client
import io
import socket
import time
import zlib
from collections.abc import Mapping
from typing import Any

import requests
import urllib3
from requests.adapters import HTTPAdapter

from airflow_provider_atlas.exceptions import UnexpectedResponse

#: Largest response of a token endpoint, and largest refusal of the Administration API; bytes, decoded.
SMALL = 1 << 20
#: Largest response of the Administration API that is read as a whole; bytes, decoded.
LARGE = 16 << 20
#: Bytes in one read.
PIECE = 1 << 16


class _Reader(io.RawIOBase):
    """Reads from a socket until a deadline."""

    def __init__(self, raw: io.RawIOBase, sock: socket.socket) -> None:
        self._raw = raw
        self._sock = sock
        timeout = sock.gettimeout()
        self.ends = None if timeout is None else time.monotonic() + timeout

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if self.ends is not None:
            left = self.ends - time.monotonic()
            if left <= 0:
                raise TimeoutError("timed out")
            self._sock.settimeout(left)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Response(http.client.HTTPResponse):
    """A response that has to be complete before the socket's timeout is over."""

    def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self.reader = _Reader(self.fp.detach(), sock)
        self.fp = io.BufferedReader(self.reader)


class _HTTPConnection(urllib3.connection.HTTPConnection):
    response_class = _Response


class _HTTPSConnection(urllib3.connection.HTTPSConnection):
    response_class = _Response


class _HTTPPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _HTTPConnection


class _HTTPSPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _HTTPSConnection


_POOLS = {"http": _HTTPPool, "https": _HTTPSPool}


class BoundedAdapter(HTTPAdapter):
    """
    See the module. A SOCKS proxy's connections have the limit in size only.

    :param limit: bytes of a decoded body; a refusal has at most :data:`SMALL`.
    """

    def __init__(self, limit: int, **options: Any) -> None:
        self._limit = limit
        super().__init__(**options)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """See ``HTTPAdapter``."""
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        """See ``HTTPAdapter``."""
        manager = super().proxy_manager_for(proxy, **kwargs)
        if not proxy.lower().startswith("socks"):
            manager.pool_classes_by_scheme = _POOLS
        return manager

    def send(self, request: requests.PreparedRequest, stream: bool = False, **kwargs: Any) -> requests.Response:  # type: ignore[override]
        """
        See ``HTTPAdapter``; without ``stream`` the body is read here.

        :raises UnexpectedResponse: if it is too large, or encoded in a way that was not asked for.
        """
        request.headers["Accept-Encoding"] = "gzip"
        response = super().send(request, stream=stream, **kwargs)
        raw = response.raw
        if stream:
            reader = getattr(getattr(raw, "_original_response", None), "reader", None)
            if reader is not None:
                reader.ends = None
            return response
        try:
            response._content = _read(raw, self._limit if response.status_code < 400 else min(SMALL, self._limit))
        except urllib3.exceptions.ReadTimeoutError as error:
            raise requests.ReadTimeout(error, request=request) from None
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise requests.ConnectionError(error, request=request) from None
        finally:
            # A body that was read as a whole has given its connection back; any other must not be used again.
            raw.close()
        response._content_consumed = True  # type: ignore[attr-defined]
        return response


def _read(raw: Any, limit: int) -> bytes:
    headers: Mapping[str, str] = raw.headers
    encoding = headers.get("Content-Encoding", "").strip().lower()
    if encoding not in ("", "identity", "gzip"):
        raise UnexpectedResponse("The response has an encoding that was not asked for", status=raw.status)
    decoder = zlib.decompressobj(wbits=31) if encoding == "gzip" else None
    body = bytearray()
    try:
        while piece := raw.read(PIECE, decode_content=False):
            body += piece if decoder is None else decoder.decompress(piece, limit + 1 - len(body))
            if len(body) > limit:
                raise UnexpectedResponse(f"The response is larger than {limit >> 20} MiB", status=raw.status)
    except zlib.error:
        decoder, body = zlib.decompressobj(wbits=31), bytearray(b"?")
    if decoder is not None and body and (not decoder.eof or decoder.unused_data):
        raise UnexpectedResponse("The response is not complete gzip, as its header says", status=raw.status)
    return bytes(body)
