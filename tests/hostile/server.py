"""An HTTP server that does everything wrong, one way per port: a table of behaviours over raw sockets.

It runs in a process of its own, so that threads, sockets and memory of the process under test are those of the code
under test. ``python -m tests.hostile.server`` prints the ports as JSON and ends with its standard input.
"""

from __future__ import annotations

import contextlib
import gzip
import itertools
import json
import re
import socket
import ssl
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

#: No connection lasts longer, so that a client without a deadline fails a test and does not block it; seconds.
LONGEST = 10.0
#: Between two bytes of a drip; shorter than every timeout in the tests; seconds.
DRIP = 0.02
MIB = 1 << 20

TOKEN = "eyJhbGciOiJFUzUxMiJ9.from-a-hostile-server.c2ln"
GOOD = json.dumps({"access_token": TOKEN, "expires_in": 3600, "token_type": "Bearer", "results": []}).encode()

#: What a server sends, and seconds that it waits in between.
Pieces = Iterator[bytes | float]


def head(*lines: str, status: str = "200 OK") -> bytes:
    return "\r\n".join((f"HTTP/1.1 {status}", *lines, "", "")).encode("latin-1")


def whole(body: bytes, *lines: str, status: str = "200 OK") -> bytes:
    return head(*lines, f"Content-Length: {len(body)}", status=status) + body


def encoded(body: bytes, encoding: str = "gzip", status: str = "200 OK") -> bytes:
    return whole(body, f"Content-Encoding: {encoding}", status=status)


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


CHUNKED = head("Transfer-Encoding: chunked")
WELL = whole(GOOD)


def once(data: bytes | Callable[[], bytes]) -> Callable[[], Pieces]:
    """Send this and close."""
    return lambda: iter([data if isinstance(data, bytes) else data()])


def held(data: bytes) -> Callable[[], Pieces]:
    """Send this and neither send more nor close."""
    return lambda: iter([data, LONGEST])


def endless(start: bytes, block: bytes) -> Callable[[], Pieces]:
    """Send this, and then a block as fast and as often as the client takes it."""
    many = block * max(1, (1 << 16) // len(block))
    return lambda: itertools.chain([start], itertools.repeat(many))


def drip(start: bytes, byte: bytes) -> Callable[[], Pieces]:
    """Send this, and then a few bytes again and again, always before a read times out."""
    return lambda: itertools.chain([start], itertools.cycle([byte, DRIP]))


@cache
def bomb(mib: int, layers: int = 1) -> bytes:
    """So many MiB in some kilobytes."""
    packer = zlib.compressobj(9, wbits=31)
    packed = b"".join(packer.compress(bytes(MIB)) for _ in range(mib)) + packer.flush()
    for _ in range(layers - 1):
        packed = gzip.compress(packed)
    return packed


def broken_gzip(kind: str) -> bytes:
    packed = gzip.compress(GOOD)
    return {
        "truncated": packed[:-9],
        "header only": packed[:5],
        "wrong checksum": packed[:-8] + bytes(4) + packed[-4:],
        "wrong size": packed[:-4] + bytes(4),
        "several members": packed + packed,
        "garbage after it": packed + b"garbage",
        "plain text": GOOD,
    }[kind]


#: A header line may hold single CR, and each starts a line of its own for Python's parser: 2 million headers.
CARRIAGE_RETURNS = b"X: " + b"a:\r" * 20_000 + b"\r\n"
#: JSON that takes the most memory for its size.
NESTED = [b"[" + b'{"":0},' * (MIB // 7 - 10) + b"{}]", b"[" * (MIB - 100)]

UNEXPECTED, UNREACHABLE, API, CALL, FINE = (
    "UnexpectedResponse",
    "AtlasUnreachable",
    "AtlasApiError",
    "InvalidCall",
    "",
)


@dataclass(frozen=True)
class Behaviour:
    """
    One way to respond.

    :param pieces: what is sent on a connection.
    :param token: the error for a token request, empty if the response can be used.
    :param api: the error for a request to the Administration API, where it is another one.
    :param reads: whether the request is read first.
    """

    pieces: Callable[[], Pieces]
    token: str
    api: str | None = None
    reads: bool = True

    @property
    def lasts(self) -> bool:
        """Whether the deadline ends it."""
        return UNREACHABLE in (self.token, self.api)

    def expected(self, *, api: bool) -> str:
        return self.token if self.api is None or not api else self.api


BEHAVIOURS: dict[str, Behaviour] = {
    # Bodies that grow
    "gzip bomb": Behaviour(once(lambda: encoded(bomb(64))), UNEXPECTED),
    "gzip bomb without length": Behaviour(once(lambda: head("Content-Encoding: gzip") + bomb(64)), UNEXPECTED),
    "gzip bomb in chunks": Behaviour(
        once(lambda: head("Content-Encoding: gzip", "Transfer-Encoding: chunked") + chunk(bomb(64)) + b"0\r\n\r\n"),
        UNEXPECTED,
    ),
    "gzip in gzip": Behaviour(once(lambda: encoded(bomb(64, 2), "gzip, gzip")), UNEXPECTED),
    "gzip in gzip in two headers": Behaviour(
        once(lambda: whole(bomb(64, 2), "Content-Encoding: gzip", "Content-Encoding: gzip")), UNEXPECTED
    ),
    **{
        f"gzip bomb with status {status}": Behaviour(
            once(lambda status=status: encoded(bomb(64), status=f"{status} X")), UNEXPECTED
        )
        for status in (301, 401, 403, 429, 503)
    },
    **{
        f"encoding {encoding}": Behaviour(once(encoded(GOOD, encoding)), UNEXPECTED)
        for encoding in ("deflate", "br", "zstd", "x-unknown", "gzip;q=1", ",")
    },
    "deflate bomb": Behaviour(once(lambda: encoded(zlib.compress(bytes(64 * MIB)), "deflate")), UNEXPECTED),
    **{
        f"gzip, {kind}": Behaviour(once(encoded(broken_gzip(kind))), UNEXPECTED)
        for kind in (
            "truncated",
            "header only",
            "wrong checksum",
            "wrong size",
            "several members",
            "garbage after it",
            "plain text",
        )
    },
    "gzip, endless garbage after it": Behaviour(
        endless(head("Content-Encoding: gzip") + gzip.compress(GOOD), b"g"), UNEXPECTED
    ),
    "gzip, endless empty blocks": Behaviour(
        endless(
            head("Content-Encoding: gzip") + gzip.compress(b"", compresslevel=0)[:10],
            b"\x00\x00\x00\xff\xff",
        ),
        UNREACHABLE,
    ),
    "gzip, endless file name": Behaviour(
        endless(head("Content-Encoding: gzip") + b"\x1f\x8b\x08\x08\0\0\0\0\0\x03", b"n"), UNREACHABLE
    ),
    "17 MiB with length": Behaviour(once(lambda: whole(b" " * (17 * MIB))), UNEXPECTED),
    "17 MiB without length": Behaviour(once(lambda: head() + b" " * (17 * MIB)), UNEXPECTED),
    "endless body": Behaviour(endless(head(), b" "), UNEXPECTED),
    "endless body with length": Behaviour(endless(head(f"Content-Length: {10**15}"), b" "), UNEXPECTED),
    "endless body in chunks": Behaviour(endless(CHUNKED, chunk(b" " * 60_000)), UNEXPECTED),
    "endless body in chunks of one byte": Behaviour(endless(CHUNKED, chunk(b" ")), UNREACHABLE),
    "endless refusal": Behaviour(endless(head(status="403 Forbidden"), b" "), UNEXPECTED),
    **{
        f"JSON bomb {number} as a refusal": Behaviour(once(whole(text, status="400 Bad Request")), UNEXPECTED, API)
        for number, text in enumerate(NESTED)
    },
    # Responses that never end
    "silence": Behaviour(held(b""), UNREACHABLE),
    "a head and silence": Behaviour(held(head("Content-Length: 5")), UNREACHABLE),
    "chunks without end": Behaviour(held(CHUNKED + chunk(GOOD)), UNREACHABLE),
    "chunks without the last line": Behaviour(held(CHUNKED + chunk(GOOD) + b"0\r\n"), UNREACHABLE),
    "drip of the status line": Behaviour(drip(b"HTTP/1.1 200 ", b"O"), UNREACHABLE),
    "drip of a header": Behaviour(drip(b"HTTP/1.1 200 OK\r\nX: ", b"x"), UNREACHABLE),
    "drip of headers": Behaviour(drip(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"), UNREACHABLE),
    "drip of the body": Behaviour(drip(head(), b" "), UNREACHABLE),
    "drip of the body with length": Behaviour(drip(head("Content-Length: 100000"), b" "), UNREACHABLE),
    "drip of a gzip body": Behaviour(
        drip(head("Content-Encoding: gzip") + gzip.compress(GOOD)[:12], b"\x00\x00\x00\xff\xff"), UNREACHABLE
    ),
    "drip of a refusal": Behaviour(drip(head(status="401 Unauthorized"), b" "), UNREACHABLE),
    "drip of a redirect": Behaviour(drip(head("Location: /x", status="302 Found"), b" "), UNREACHABLE),
    "drip of chunks": Behaviour(drip(CHUNKED, chunk(b" ")), UNREACHABLE),
    "drip of a chunk size": Behaviour(drip(CHUNKED, b"0"), UNREACHABLE),
    "drip of a chunk extension": Behaviour(drip(CHUNKED + b"5;", b"x"), UNREACHABLE),
    "drip of trailers": Behaviour(drip(CHUNKED + chunk(GOOD) + b"0\r\n", b"X: y\r\n"), UNREACHABLE),
    "drip of 100 Continue": Behaviour(drip(b"", head(status="100 Continue")), UNREACHABLE),
    "drip of 103 Early Hints": Behaviour(drip(b"", head("Link: x", status="103 Early Hints")), UNREACHABLE),
    "endless 100 Continue": Behaviour(endless(b"", head(status="100 Continue")), UNEXPECTED),
    "endless 103 Early Hints": Behaviour(endless(b"", head("Link: x", status="103 Early Hints")), UNEXPECTED),
    "endless trailers": Behaviour(endless(CHUNKED + chunk(GOOD) + b"0\r\n", b"X: y\r\n"), UNREACHABLE),
    # Heads that grow
    "endless headers": Behaviour(endless(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"), UNEXPECTED),
    "endless header": Behaviour(endless(b"HTTP/1.1 200 OK\r\nX: ", b"x"), UNEXPECTED),
    "endless folded header": Behaviour(endless(b"HTTP/1.1 200 OK\r\nX: y\r\n", b" y" * 30_000 + b"\r\n"), UNEXPECTED),
    "endless status line": Behaviour(endless(b"HTTP/1.1 200 ", b"O"), UNEXPECTED),
    "endless chunk size": Behaviour(endless(CHUNKED, b"0"), UNEXPECTED),
    "endless chunk extension": Behaviour(endless(CHUNKED + b"5;", b"x"), UNEXPECTED),
    "99 headers of 60 kB": Behaviour(
        once(lambda: head(*(f"X-{n}: {'x' * 60_000}" for n in range(98)), "Content-Length: 0")), UNEXPECTED
    ),
    "99 cookies of 60 kB": Behaviour(
        once(lambda: head(*(f"Set-Cookie: c{n}={'x' * 60_000}" for n in range(98)), "Content-Length: 0")), UNEXPECTED
    ),
    "2 million headers between CR": Behaviour(
        once(b"HTTP/1.1 200 OK\r\n" + CARRIAGE_RETURNS * 98 + b"\r\n"), UNEXPECTED
    ),
    "header line without colon": Behaviour(once(head("no colon" * 1000, "Content-Length: 2") + GOOD), FINE),
    # Framing
    "two lengths": Behaviour(once(head("Content-Length: 5", "Content-Length: 6") + GOOD), UNEXPECTED),
    "two lengths in one header": Behaviour(once(head("Content-Length: 5, 6") + GOOD), UNEXPECTED),
    "the same length twice": Behaviour(
        once(head(f"Content-Length: {len(GOOD)}", f"Content-Length: {len(GOOD)}") + GOOD), FINE
    ),
    "both framings": Behaviour(
        once(head("Transfer-Encoding: chunked", "Content-Length: 3") + chunk(GOOD) + b"0\r\n\r\n"), FINE
    ),
    "negative length": Behaviour(once(head("Content-Length: -5") + GOOD), FINE),
    "length that is not a number": Behaviour(once(head("Content-Length: five") + GOOD), FINE),
    "length of 30 digits": Behaviour(once(head(f"Content-Length: {10**30}") + GOOD), UNREACHABLE),
    "length of 5,000 digits": Behaviour(once(head("Content-Length: " + "9" * 5000) + GOOD), FINE),
    "length too long": Behaviour(once(head("Content-Length: 500") + GOOD), UNREACHABLE),
    "length too short": Behaviour(once(head("Content-Length: 7") + GOOD), UNEXPECTED, API),
    "chunk size -1": Behaviour(endless(CHUNKED + b"-1\r\n", b" "), UNREACHABLE),
    "chunk size -5": Behaviour(endless(CHUNKED + b"-5\r\n", b" "), UNREACHABLE),
    "chunk size -0": Behaviour(once(CHUNKED + chunk(GOOD) + b"-0\r\n\r\n"), FINE),
    "chunk size zz": Behaviour(once(CHUNKED + b"zz\r\n" + GOOD), UNREACHABLE),
    "chunk size empty": Behaviour(once(CHUNKED + b"\r\n" + GOOD), UNREACHABLE),
    "chunk size of 30 digits": Behaviour(once(CHUNKED + b"f" * 30 + b"\r\n" + GOOD), UNREACHABLE),
    "chunk too short": Behaviour(once(CHUNKED + b"fff\r\n" + GOOD), UNREACHABLE),
    "chunk too long": Behaviour(once(CHUNKED + b"5\r\n" + GOOD + b"\r\n0\r\n\r\n"), UNREACHABLE),
    "chunked twice": Behaviour(
        once(head("Transfer-Encoding: chunked, chunked") + chunk(GOOD) + b"0\r\n\r\n"), UNEXPECTED, API
    ),
    # Not HTTP
    "nothing": Behaviour(once(b""), UNREACHABLE),
    "HTTP/0.9": Behaviour(once(GOOD), UNREACHABLE),
    "HTTP/0.9 with lines": Behaviour(once(GOOD + b"\n"), UNEXPECTED),
    "HTTP/9.9": Behaviour(once(WELL.replace(b"HTTP/1.1", b"HTTP/9.9")), UNEXPECTED),
    "status 99": Behaviour(once(whole(GOOD, status="99 X")), UNEXPECTED),
    "status 1000": Behaviour(once(whole(GOOD, status="1000 X")), UNEXPECTED),
    "status abc": Behaviour(once(whole(GOOD, status="abc X")), UNEXPECTED),
    "only a status": Behaviour(once(b"HTTP/1.1 200 OK\r\n"), UNREACHABLE),
    "garbage": Behaviour(once(bytes(range(256)) * 100), UNEXPECTED),
    "zero bytes": Behaviour(endless(b"", b"\0"), UNEXPECTED),
    "TLS": Behaviour(once(b"\x15\x03\x03\x00\x02\x02\x0a"), UNEXPECTED),
    "SSH": Behaviour(once(b"SSH-2.0-OpenSSH_9.6\r\n"), UNEXPECTED),
    "SMTP": Behaviour(held(b"220 mail.example ESMTP\r\n"), UNEXPECTED),
    # Redirects and other statuses
    "redirect to another host": Behaviour(
        once(head("Location: http://192.0.2.1/x", "Content-Length: 0", status="302 Found")), UNEXPECTED, CALL
    ),
    "redirect to itself": Behaviour(
        # The next request must not meet the end of this connection.
        once(head("Location: /x", "Content-Length: 0", "Connection: close", status="307 Temporary Redirect")),
        UNEXPECTED,
    ),
    "redirect to no URL": Behaviour(
        once(head("Location: http://[", "Content-Length: 0", status="302 Found")), UNEXPECTED
    ),
    "redirect to a bad port": Behaviour(
        once(head("Location: http://127.0.0.1:x/", "Content-Length: 0", status="302 Found")), UNEXPECTED
    ),
    "redirect to bytes": Behaviour(
        once(head("Location: /\xff\xfe", "Content-Length: 0", status="302 Found")), UNEXPECTED
    ),
    "redirect to an empty label": Behaviour(
        once(head("Location: http://a..b/", "Content-Length: 0", status="302 Found")), UNEXPECTED, CALL
    ),
    "redirect to nowhere": Behaviour(once(head("Content-Length: 0", status="302 Found")), UNEXPECTED, API),
    "redirect with 60 kB": Behaviour(
        once(head(f"Location: /{'x' * 60_000}", "Content-Length: 0", status="302 Found")), UNEXPECTED
    ),
    "304": Behaviour(once(head(status="304 Not Modified")), UNEXPECTED, API),
    "101": Behaviour(once(head("Upgrade: x", status="101 Switching Protocols")), UNEXPECTED, API),
    "103 before the response": Behaviour(once(head("Link: x", status="103 Early Hints") + WELL), FINE),
    "100 before the response": Behaviour(once(head(status="100 Continue") + WELL), FINE),
    "after the deadline": Behaviour(lambda: iter([2.0, WELL]), UNREACHABLE),
    "without reading": Behaviour(once(WELL), FINE, reads=False),
}


def requested(connection: socket.socket) -> bytes:
    """Read one request; return its path, empty at the end of the connection."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = connection.recv(1 << 16)
        if not piece:
            return b""
        data += piece
    start, _, body = data.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)\r\ncontent-length: (\d+)", start)
    missing = int(length[1]) - len(body) if length else 0
    while missing > 0:
        missing -= len(connection.recv(1 << 16)) or missing
    return start.split(b" ")[1]


def serve(connection: socket.socket, behaviour: Behaviour, good_tokens: bool) -> None:
    """Respond to one connection. With ``good_tokens``, requests to the token endpoints get what they ask for."""
    ends = time.monotonic() + LONGEST
    with contextlib.suppress(OSError), connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.settimeout(LONGEST)
        path = requested(connection) if behaviour.reads or good_tokens else b""
        while good_tokens and path.startswith(b"/api/oauth/"):
            connection.sendall(WELL)
            path = requested(connection)
            if not path:
                return
        for piece in behaviour.pieces():
            if isinstance(piece, bytes):
                connection.sendall(piece)
            elif _closed(connection, piece):
                return
            if time.monotonic() > ends:
                return
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(1 << 16):
            pass


def _closed(connection: socket.socket, seconds: float) -> bool:
    """Wait; whether the client closes meanwhile."""
    connection.settimeout(seconds)
    with contextlib.suppress(TimeoutError):
        while connection.recv(1 << 16):
            pass
        return True
    connection.settimeout(LONGEST)
    return False


def listen(behaviour: Behaviour, good_tokens: bool, context: ssl.SSLContext | None = None) -> int:
    listener = socket.create_server(("127.0.0.1", 0))

    def handle(connection: socket.socket) -> None:
        if context is not None:
            connection.settimeout(LONGEST)
            try:
                connection = context.wrap_socket(connection, server_side=True)
            except OSError:
                return
        serve(connection, behaviour, good_tokens)

    def accept() -> None:
        while True:
            threading.Thread(target=handle, args=(listener.accept()[0],), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    return int(listener.getsockname()[1])


def main() -> None:
    bomb(64)
    bomb(64, 2)
    ports = {name: [listen(each, False), listen(each, True)] for name, each in BEHAVIOURS.items()}
    print(json.dumps(ports), flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
