"""The two requests of Atlas's token protocol.

Sources: MongoDB Atlas documentation, "Generate Service Account Token" and "Revoke Service Account Token".
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from airflow_provider_atlas.exceptions import UnexpectedResponse
from airflow_provider_atlas.oauth.account import ServiceAccount
from airflow_provider_atlas.oauth.failures import ask
from airflow_provider_atlas.oauth.responses import error_from, json_object, token_from, unwrap, utcnow
from airflow_provider_atlas.oauth.token import AccessToken
from airflow_provider_atlas.oauth.transport import Transport


class TokenClient:
    """
    Generates and revokes access tokens. Each call makes one request; the caller waits and retries.

    Each request has an HTTP session of its own: a task makes one or two, and so they need no lock and survive a fork.

    Atlas documents the query parameters ``pretty`` and ``envelope`` for both endpoints, so both are arguments here: the
    client covers the whole protocol. The provider itself uses neither.

    :param account: whose tokens.
    :param transport: how to reach Atlas.
    :param clock: epoch seconds.
    :raises AtlasError: one type for each refusal that Atlas documents, see
        :mod:`airflow_provider_atlas.exceptions`.
    """

    def __init__(
        self,
        account: ServiceAccount,
        transport: Transport | None = None,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.account = account
        self.transport = transport or Transport()
        self._clock = clock

    def generate(self, *, pretty: bool = False, envelope: bool = False) -> AccessToken:
        """
        ``POST /api/oauth/token``. The clock is read before the request: a slow response must not lengthen the lifetime.

        :param pretty: have Atlas indent its response.
        :param envelope: have Atlas put status and content into the body of a 200.
        """
        issued_at = utcnow(self._clock)
        body = self._post("token", {"grant_type": "client_credentials"}, pretty=pretty, envelope=envelope)
        return token_from(body, issued_at)

    def revoke(self, value: str, *, pretty: bool = False, envelope: bool = False) -> None:
        """
        ``POST /api/oauth/revoke``. The response is 200 for unknown and expired tokens as well (RFC 7009, 2.2).

        :param value: the token's text.
        :param pretty: as for :meth:`generate`.
        :param envelope: as for :meth:`generate`.
        """
        form = {"token": value, "token_type_hint": "access_token"}
        self._post("revoke", form, value, pretty=pretty, envelope=envelope)

    def _post(
        self, endpoint: str, form: dict[str, str], *secrets: str, pretty: bool, envelope: bool
    ) -> dict[str, Any] | None:
        import requests

        from airflow_provider_atlas.oauth.bounded import SMALL, BoundedAdapter

        def send() -> tuple[int, Mapping[str, str], bytes]:
            with requests.Session() as session:
                session.mount(f"{self.account.base_url}/", BoundedAdapter(SMALL))
                response = session.post(
                    f"{self.account.base_url}/api/oauth/{endpoint}",
                    params={name: "true" for name, asked in (("pretty", pretty), ("envelope", envelope)) if asked},
                    data=form,
                    # Raw, as `requests` sends it: percent-encoded as in RFC 6749 2.3.1, Atlas refuses every secret.
                    auth=(self.account.client_id, self.account.client_secret),
                    headers={"Accept": "application/json", "Cache-Control": "no-cache"},
                    allow_redirects=False,
                    **self.transport.options(self.account.base_url),
                )
                return response.status_code, response.headers, response.content

        status, headers, content = ask(send, self.transport)
        status, body = unwrap(status, content) if envelope else (status, json_object(content))
        if status != 200:
            raise error_from(status, headers, body, lambda text: self.account.scrub(text, *secrets))
        if content.strip() and body is None:  # a portal's page: a successful task would hide an active token
            raise UnexpectedResponse("The response to a token request is 200, but not Atlas's JSON", status=200)
        return body
