"""A request, parsed as strictly as Atlas parses it."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_atlas.sandbox.jobs import Phase

FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True)
class AtlasRequest:
    """
    One request.

    :param path: path of the URL as it was sent: a segment may hold a percent-encoded slash
    :param method: HTTP method
    :param ids: what stands in the path for the names of its template
    :param address: the client's IP address
    :param headers: header values by lower-case name
    :param query: query parameters
    :param body: bytes of the body
    :param base_url: scheme and authority that the client used to reach the sandbox
    :param job_end: how the job ends that the request starts
    """

    path: str
    method: str = "GET"
    ids: Mapping[str, str] = field(default_factory=dict)
    address: str = "127.0.0.1"
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    query: Mapping[str, str] = field(default_factory=dict)
    body: bytes = field(default=b"", repr=False)
    base_url: str = ""
    job_end: Phase = "done"

    def credentials(self, scheme: str) -> str | None:
        """Return what follows ``scheme`` in the Authorization header. Its case does not matter (RFC 9110, 11.1)."""
        given, _, value = self.headers.get("authorization", "").partition(" ")
        return value.strip() if given.lower() == scheme.lower() else None

    def form(self) -> dict[str, str] | None:
        """Return the form; None if the body is not a form or has a parameter twice (RFC 6749, 3.2)."""
        if self.headers.get("content-type", "").partition(";")[0].strip().lower() != FORM:
            return None
        if not self.body:
            return {}
        try:
            text = self.body.decode()
            pairs = parse_qsl(text, keep_blank_values=True, strict_parsing=True, errors="strict")
        except ValueError:
            return None
        return dict(pairs) if len(dict(pairs)) == len(pairs) else None

    def flag(self, name: str) -> bool:
        return self.query.get(name, "").lower() == "true"


def decode_basic(value: str) -> tuple[str, str] | None:
    """Return client id and secret as they are: Atlas does not percent-decode them."""
    try:
        client_id, colon, secret = base64.b64decode(value, validate=True).decode().partition(":")
    except ValueError:
        return None
    return (client_id, secret) if colon else None
