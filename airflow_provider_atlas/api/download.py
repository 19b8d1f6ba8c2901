"""Downloads a file of the Administration API to a place where it is whole or not at all."""

from __future__ import annotations

import hashlib
import logging
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import requests
import urllib3

from airflow_provider_atlas.api.calls import PROCESSING, refusal
from airflow_provider_atlas.api.codes import PASSES
from airflow_provider_atlas.api.urls import fill, query, shown
from airflow_provider_atlas.exceptions import AtlasApiError, AtlasUnreachable, InvalidCall, UnexpectedResponse
from airflow_provider_atlas.oauth.failures import ask
from airflow_provider_atlas.oauth.responses import json_object
from airflow_provider_atlas.oauth.retry_after import Backoff, describe

if TYPE_CHECKING:
    import os

    from airflow.providers.common.compat.sdk import ObjectStoragePath

    from airflow_provider_atlas.api.session import AtlasSession

log = logging.getLogger(__name__)

#: Bytes in one read.
PIECE = 1 << 18


class Download(NamedTuple):
    """
    A file that was downloaded.

    :param size: bytes.
    :param sha256: hex digits.
    """

    size: int
    sha256: str


def download(
    session: AtlasSession,
    endpoint: str,
    to: str | os.PathLike[str] | ObjectStoragePath,
    *,
    path: Mapping[str, Any] | None = None,
    params: Mapping[str, Any] | None = None,
    api_version: str | None = None,
    accept: str = "gzip",
) -> Download:
    """Download a file; see :meth:`AtlasServiceAccountHook.download`."""
    url, asked, media = fill(endpoint, path), query(params), session.media_type(api_version, accept)
    deadline, backoff = time.monotonic() + session.max_wait, Backoff()
    target: Any = to if hasattr(to, "open") else Path(to)
    if target.exists() and not target.is_file():
        raise InvalidCall("The target of a download must be a file: it is a folder, or a device")
    while True:
        try:
            left = max(deadline - time.monotonic(), 0.0)
            response = ask(
                lambda left=left: session.request(  # type: ignore[misc]
                    # A file is stored as it is; an encoding on the way would change its length.
                    "GET",
                    url,
                    params=asked,
                    headers={"Accept": media, "Accept-Encoding": "identity"},
                    stream=True,
                    max_wait=left,
                ),
                session.transport,
            )
            if response.status_code == PROCESSING or 200 < response.status_code < 300:
                raise AtlasApiError(
                    f"The file of GET {shown(endpoint)} is not there yet", status=response.status_code, meaning=PASSES
                )
            if response.status_code != 200:
                body = json_object(response.content)
                raise refusal(
                    session, response, response.status_code, body, method="GET", path=shown(endpoint), media=media
                )
            began = time.monotonic()
            try:
                with response:
                    return _store(_pieces(response, session), target)
            finally:
                deadline += time.monotonic() - began  # max_wait is for waits
        except AtlasUnreachable as error:
            wait = backoff.seconds(error)
            if wait is None or time.monotonic() + wait > deadline:
                raise
            log.info("%s", describe(error, wait))
            time.sleep(wait)


def _pieces(response: requests.Response, session: AtlasSession) -> Iterator[bytes]:
    """
    The body, as the server sent it.

    :raises AtlasUnreachable: if it ends before its stated length.
    """
    raw = response.raw
    if raw.headers.get("Content-Encoding", "identity").lower() not in ("identity", "gzip"):
        raise UnexpectedResponse("The response has an encoding that was not asked for", status=200)
    if not raw.chunked and raw.length_remaining is None:
        raise UnexpectedResponse("The response does not say how long the file is", status=200)

    def read() -> bytes:
        try:
            return bytes(raw.read(PIECE, decode_content=False))
        except urllib3.exceptions.ReadTimeoutError as error:
            raise requests.ReadTimeout(error) from None
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise requests.ConnectionError(error) from None

    while piece := ask(read, session.transport):
        yield piece


def _store(pieces: Iterator[bytes], target: Any) -> Download:
    """Write to a name beside the target's, and rename."""
    part = target.with_name(f".{target.name}.{secrets.token_hex(8)}.part")
    size, digest = 0, hashlib.sha256()
    try:
        with part.open("wb") as file:
            for piece in pieces:
                file.write(piece)
                digest.update(piece)
                size += len(piece)
        part.replace(target)
    except BaseException:  # the task's timeout, too
        with suppress(OSError):
            part.unlink()
        raise
    return Download(size, digest.hexdigest())
