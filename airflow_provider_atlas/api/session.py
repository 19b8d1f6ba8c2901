"""A ``requests.Session`` that talks to the Administration API of one Atlas and to nothing else.

The token is added just before a request is sent, so that it is fresh however long the session is used, and removed
afterwards, so that nothing that prints a request can print it. The one adapter is mounted for the connection's own
origin: a link or a redirect that leads elsewhere has no adapter and is refused before anything is sent.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.cookiejar import DefaultCookiePolicy
from typing import Any, Protocol

import requests
from requests.utils import rewind_body

from airflow_provider_atlas.api.codes import refuses_token
from airflow_provider_atlas.api.obstacles import READS, obstacle, obstacle_of
from airflow_provider_atlas.api.urls import at_atlas, shown
from airflow_provider_atlas.api.version import body_type, media_type
from airflow_provider_atlas.exceptions import AtlasError, InvalidCall, UnexpectedResponse
from airflow_provider_atlas.frames import cleared
from airflow_provider_atlas.oauth.bounded import LARGE, BoundedAdapter
from airflow_provider_atlas.oauth.responses import words
from airflow_provider_atlas.oauth.retry_after import Backoff, describe
from airflow_provider_atlas.oauth.token import AccessToken, StaysInProcess
from airflow_provider_atlas.oauth.transport import Transport

log = logging.getLogger(__name__)

#: Connections kept open: this many threads can share a hook without opening new ones.
POOL_SIZE = 64
#: A request whose token was replaced this often is refused for another reason.
REPLACEMENTS = 2
#: Each redirect is a request with a time of its own; ``requests`` follows 30.
MOST_REDIRECTS = 5
#: This many tokens are taken out of the texts that the server writes.
REMEMBERED = 8


class TokenSource(Protocol):
    """Where the session's tokens come from."""

    def get(self, max_wait: float) -> AccessToken:
        """A token that is valid now. Waits ``max_wait`` seconds at most."""

    def replace(self, refused: AccessToken, max_wait: float) -> AccessToken | None:
        """Another token in place of one that Atlas refused, or ``None`` if there is none."""


class AtlasSession(StaysInProcess, requests.Session):
    """
    A session for the Administration API. URLs may be relative; those elsewhere are refused.

    Waits for rate limits, and repeats GET and HEAD after 500, 502, 503, 504 and lost connections, until ``max_wait`` is
    over; a request that changes something is repeated only if it certainly had no effect. Every other response is
    returned, as ``requests`` does; a 401 after the token was replaced. ``Accept`` and ``Content-Type`` carry the API
    version; give ``headers={"Accept": ...}`` for another.

    .. seealso:: MongoDB Atlas documentation, "Atlas Administration API".

    :param base_url: origin of Atlas.
    :param source: returns where tokens come from; called for each request.
    :param transport: timeout, CA bundle, proxies.
    :param api_version: date of the API version.
    :param max_wait: seconds that a request may wait for Atlas in all.
    :param warned: endpoints that the task has been warned of, shared by its sessions.
    :raises InvalidCall: for a URL that is not at ``base_url``.
    """

    instead = "Call AtlasServiceAccountHook(...).get_conn() in the other task."

    def __init__(
        self,
        base_url: str,
        source: Callable[[], TokenSource],
        *,
        transport: Transport,
        api_version: str,
        max_wait: float,
        warned: set[str] | None = None,
    ) -> None:
        super().__init__()
        self.base_url = base_url
        self.transport = transport
        self._api_version = api_version
        self.max_wait = max_wait
        self._options = transport.options(base_url)
        self.headers["Accept"] = media_type(api_version)
        self.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))  # a session would keep all that come
        self.max_redirects = MOST_REDIRECTS
        self.adapters.clear()
        self._adapter = _BearerAdapter(source, transport, max_wait)
        self.mount(f"{base_url}/", self._adapter)
        self._warned = set() if warned is None else warned

    def scrub(self, text: str) -> str:
        """Take this session's tokens out of a text that came from outside."""
        for value in tuple(self._adapter.used):
            text = text.replace(value, "***")
        return text

    def media_type(self, api_version: str | None, form: str) -> str:
        """The ``Accept`` header of a request, with this connection's API version where none is given."""
        return media_type(self._api_version if api_version is None else api_version, form)

    @cleared
    def request(self, method: str | bytes, url: str | bytes, *args: Any, **kwargs: Any) -> requests.Response:
        """
        As in ``requests``, with this connection's timeout where none is given.

        :param max_wait: by keyword only: seconds that this request may wait for Atlas, instead of the session's.
        """
        kwargs.setdefault("timeout", self._options["timeout"])
        if "max_wait" not in kwargs:
            return super().request(method, url, *args, **kwargs)
        with self._adapter.waiting(kwargs.pop("max_wait")):
            return super().request(method, url, *args, **kwargs)

    def prepare_request(self, request: requests.Request) -> requests.PreparedRequest:
        """Complete a relative URL; name the API version of a JSON body."""
        request.url = at_atlas(self.base_url, str(request.url))
        prepared = super().prepare_request(request)
        if request.json is not None and prepared.headers.get("Content-Type") == "application/json":
            prepared.headers["Content-Type"] = body_type(str(prepared.headers.get("Accept")))
        return prepared

    def rebuild_method(self, prepared_request: requests.PreparedRequest, response: requests.Response) -> None:
        """A change that becomes a GET would count as made."""
        method = prepared_request.method
        super().rebuild_method(prepared_request, response)
        if method not in READS and prepared_request.method != method:
            self.get_adapter(str(prepared_request.url))  # elsewhere is refused first
            raise UnexpectedResponse("The response redirects a change to a GET", status=response.status_code)

    def merge_environment_settings(self, url: Any, proxies: Any, stream: Any, verify: Any, cert: Any) -> Any:
        """The connection's CA bundle and proxies win over the environment's."""
        ours = self._options
        proxies = {**(proxies or {}), **ours["proxies"]}  # a new one: the environment's are added to it
        return super().merge_environment_settings(url, proxies, stream, verify or ours["verify"], cert)

    def get_adapter(self, url: str) -> Any:
        """The one adapter, for URLs at Atlas."""
        try:
            return super().get_adapter(url)
        except requests.exceptions.InvalidSchema:
            pass
        raise InvalidCall("The response redirects away from the connection's Atlas URL, where no token must be sent")

    @cleared
    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        """Send, and warn once of each endpoint version that Atlas is about to remove."""
        # Again for requests that were prepared by hand: verification is never off, plain http uses no proxy.
        kwargs["verify"] = kwargs.get("verify") or self._options["verify"]
        kwargs["proxies"] = kwargs.get("proxies") or self._options["proxies"]
        kwargs.setdefault("timeout", self._options["timeout"])
        response = super().send(request, **kwargs)
        sunset, deprecation = (words(response.headers.get(name), str, 60) for name in ("Sunset", "Deprecation"))
        if sunset or deprecation:
            endpoint = f"{request.method} {shown(request.path_url)}"
            if endpoint not in self._warned:
                self._warned.add(endpoint)
                when = " and ".join(
                    f"{name} {date}" for name, date in (("since", deprecation), ("until", sunset)) if date
                )
                log.warning("Atlas has deprecated this version of %s (%s): choose a later api_version.", endpoint, when)
        return response


class _BearerAdapter(BoundedAdapter):
    """Adds the token, replaces it when it is refused, waits for limits, and repeats reads after a hiccup."""

    def __init__(self, source: Callable[[], TokenSource], transport: Transport, max_wait: float) -> None:
        super().__init__(LARGE, pool_connections=1, pool_maxsize=POOL_SIZE)
        self._source = source
        self._transport = transport
        self._max_wait = max_wait
        self._shorter = threading.local()
        self.used: deque[str] = deque(maxlen=REMEMBERED)

    @contextmanager
    def waiting(self, max_wait: float | None) -> Iterator[None]:
        """Let this thread's requests wait for so many seconds instead of the adapter's."""
        before = getattr(self._shorter, "seconds", None)
        self._shorter.seconds = max_wait
        try:
            yield
        finally:
            self._shorter.seconds = before

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        shorter = getattr(self._shorter, "seconds", None)
        deadline, backoff = time.monotonic() + (self._max_wait if shorter is None else shorter), Backoff()
        reads = request.method in READS
        while True:
            try:
                response = self._send_with_token(deadline, request, *args, **kwargs)
            except (OSError, UnexpectedResponse) as error:  # what `requests` raises are OSErrors
                found = obstacle_of(error, self._transport, reads=reads)
                wait = self._wait(found, backoff, request, deadline)
                if found is None or wait is None:
                    raise
            else:
                found = obstacle(response, reads=reads)
                wait = self._wait(found, backoff, request, deadline)
                if found is None or wait is None:
                    return response
                response.close()
            log.info("%s", describe(found, wait))
            time.sleep(wait)

    @staticmethod
    def _wait(
        found: AtlasError | None, backoff: Backoff, request: requests.PreparedRequest, deadline: float
    ) -> float | None:
        wait = backoff.seconds(found) if found is not None and _rewind(request) else None
        return None if wait is None or time.monotonic() + wait > deadline else wait

    def _send_with_token(
        self, deadline: float, request: requests.PreparedRequest, *args: Any, **kwargs: Any
    ) -> requests.Response:
        source = self._source()
        token = source.get(max(deadline - time.monotonic(), 0.0))
        met: set[str] = set()
        for turn in range(REPLACEMENTS + 1):
            if token.value not in self.used:
                self.used.append(token.value)
            request.headers["Authorization"] = f"Bearer {token.value}"
            try:
                response = super().send(request, *args, **kwargs)
            finally:
                del request.headers["Authorization"]
            if not refuses_token(response, met) or turn == REPLACEMENTS or not _rewind(request):
                break
            other = source.replace(token, max(deadline - time.monotonic(), 0.0))
            if other is None:
                break
            token = other
            response.close()
        return response


def _rewind(request: requests.PreparedRequest) -> bool:
    """Prepare a request for a retry; ``False`` for a body that can be read only once."""
    body: object = request.body  # a file or a generator too, whatever the annotation says
    if body is None or isinstance(body, str | bytes):
        return True
    try:
        rewind_body(request)
    except requests.exceptions.UnrewindableBodyError:
        return False
    return True
