"""A client for the REST API of a private Airflow, which needs no login."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_fixed

from harness.commands import AirflowFailed

if TYPE_CHECKING:
    from collections.abc import Mapping


class _DatabaseBusy(AirflowFailed):
    """SQLite lets one process write at a time. The API server rolled the request back, so it can be repeated."""


class RestClient:
    """Sends requests to the API server at a URL."""

    def __init__(self, url: str, version_2: bool) -> None:
        self.url, self.version_2 = url, version_2

    @retry(retry=retry_if_exception_type(_DatabaseBusy), wait=wait_fixed(1), stop=stop_after_delay(60), reraise=True)
    def request(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """
        Send a request and return the JSON of the response.

        :param path: what follows `/api/v2`, or `/api/v1` on Airflow 2
        :raises AirflowFailed: the response has an error status
        """
        request = urllib.request.Request(  # noqa: S310
            f"{self.url}/api/{'v1' if self.version_2 else 'v2'}{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        # A proxy of the environment cannot reach loopback addresses.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            # On SQLite a request waits for all that were before it, on a slow machine for more than 30 s.
            with opener.open(request, timeout=150) as response:
                return json.load(response)
        except urllib.error.HTTPError as err:
            text = err.read().decode(errors="replace")
            kind = _DatabaseBusy if err.code == 500 and "Database error" in text else AirflowFailed
            raise kind(f"{method} {path}: {err.code} {text}") from None
