"""A server that accepts what the document describes, responds with what it documents, and refuses all else."""

from __future__ import annotations

import gzip
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.openapi.document import Document, Operation

CSV = "number,name\r\n1,Zoë\r\n"
FILE = gzip.compress(b"a line of a log\n", mtime=0)


class Stub:
    """Responds for one operation at a time."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.operation: Operation | None = None
        self.media = ""
        self.sample: Any = None
        self.faults: list[str] = []

    def expect(self, operation: Operation, media: str, sample: Any) -> None:
        """The next requests are for this operation, and the response is this."""
        self.operation, self.media, self.sample, self.faults = operation, media, sample, []

    def respond(self, method: str, target: str, headers: Any, body: bytes) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body."""
        assert self.operation is not None
        faults = list(self._faults(self.operation, method, target, headers, body))
        self.faults += faults
        unknown = [name for fault in faults if (name := fault.removeprefix("unknown parameter ")) != fault]
        if unknown and len(unknown) == len(faults):
            refusal = {"error": 400, "errorCode": "INVALID_QUERY_PARAMETER", "parameters": unknown}
            return 400, {"Content-Type": "application/json"}, json.dumps(refusal).encode()
        if faults:
            return 400, {"Content-Type": "application/json"}, json.dumps({"detail": "; ".join(faults)}).encode()
        status, _ = self.document.success(self.operation)
        return status, {"Content-Type": self.media} if self.media else {}, encoded(self.media, self.sample)

    def _faults(self, operation: Operation, method: str, target: str, headers: Any, body: bytes) -> Iterator[str]:
        parts = urlsplit(target)
        if method.lower() != operation.method:
            yield f"method {method}"
        names = re.findall(r"{(\w+)}", operation.path)
        template = re.sub(r"\\{\w+\\}", "([^/]+)", re.escape(operation.path))
        matched = re.fullmatch(template, parts.path)
        if matched is None:
            yield f"path {parts.path}"
            return
        for name, value in zip(names, matched.groups(), strict=True):
            schema = self.document.parameters(operation, "path")[name]["schema"]
            yield from self.document.errors(_typed(unquote(value), self.document.resolve(schema)), schema)
        yield from self._query_faults(operation, parse_qs(parts.query, keep_blank_values=True))
        if self.media and headers["Accept"] != self.media:
            yield f"Accept {headers['Accept']} instead of {self.media}"
        bodies = self.document.body(operation)
        if body and headers["Content-Type"] not in bodies:
            yield f"Content-Type {headers['Content-Type']}"
        elif body:
            yield from self.document.errors(json.loads(body), bodies[headers["Content-Type"]])
        elif self.document.resolve(operation.operation.get("requestBody", {})).get("required"):
            yield "no body"

    def _query_faults(self, operation: Operation, given: dict[str, list[str]]) -> Iterator[str]:
        known = self.document.parameters(operation, "query")
        for name, values in given.items():
            if name not in known:
                yield f"unknown parameter {name}"
                continue
            schema = self.document.resolve(known[name]["schema"])
            if schema.get("type") == "array":
                item = self.document.resolve(schema["items"])
                yield from self.document.errors([_typed(value, item) for value in values], schema)
            else:
                yield from self.document.errors(_typed(values[0], schema), schema)
        yield from (f"missing {name}" for name, each in known.items() if each.get("required") and name not in given)


def encoded(media: str, sample: Any) -> bytes:
    """The body of a response."""
    if sample is None:
        return b""
    return sample if isinstance(sample, bytes) else sample.encode() if "csv" in media else json.dumps(sample).encode()


def _typed(text: str, schema: Any) -> Any:
    kind = schema.get("type")
    if kind == "boolean":
        return {"true": True, "false": False}.get(text, text)
    if kind in ("integer", "number"):
        try:
            return int(text) if kind == "integer" else float(text)
        except ValueError:
            return text
    return text


@contextmanager
def serving(stub: Stub) -> Iterator[str]:
    """Serve on loopback; tokens for everyone."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: Any) -> None:
            pass

        def respond(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"] or 0))
            if self.path.startswith("/api/oauth/"):
                token = {"access_token": "a.b.c", "token_type": "Bearer", "expires_in": 3600}
                status, headers, content = 200, {}, json.dumps(token).encode()
            else:
                status, headers, content = stub.respond(self.command, self.path, self.headers, body)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            if status != 204:
                self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = respond  # noqa: N815

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()
