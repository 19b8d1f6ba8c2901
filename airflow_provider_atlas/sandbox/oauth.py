"""The token endpoints. Both check a request in Atlas's order: credentials, rate limit, IP access list, form."""

from __future__ import annotations

from collections.abc import Callable

from airflow_provider_atlas.sandbox.accounts import Account, Secret
from airflow_provider_atlas.sandbox.limits import rate_limited
from airflow_provider_atlas.sandbox.requests import AtlasRequest, decode_basic
from airflow_provider_atlas.sandbox.responses import AtlasResponse, front_unauthorized, oauth_error
from airflow_provider_atlas.sandbox.state import AtlasState

CAP_REACHED = "Access Token limit reached. Revoke an access token or wait until one expires."

Action = Callable[[AtlasState, Account, Secret, dict[str, str]], AtlasResponse]


def _checked(action: Action) -> Callable[[AtlasState, AtlasRequest], AtlasResponse]:
    """Return an endpoint that checks a request, then gives ``action`` its account, secret and form."""

    def endpoint(atlas: AtlasState, request: AtlasRequest) -> AtlasResponse:
        with atlas.lock:
            # Credentials come before the window: a client without the secret must not use up the account's window.
            basic = request.credentials("basic")
            if basic is None:
                atlas.count("credentials_refused")
                return front_unauthorized()
            pair = decode_basic(basic)
            account = atlas.accounts.get(pair[0]) if pair else None
            found = [secret for secret in account.secrets if pair and secret.value == pair[1]] if account else []
            if pair is None or account is None or not found or found[0].expires <= atlas.clock():
                atlas.count("credentials_refused")
                return oauth_error("invalid_client" if pair else "invalid_request")
            key = (request.address, account.client_id, request.path)
            wait = atlas.windows.admit(key, atlas.rate_limit, atlas.window)
            if wait:
                atlas.count("rate_limited")
                return rate_limited(atlas, request.path, atlas.clock(), wait)
            if atlas.ip_denied:
                return oauth_error("access_denied")
            form = request.form()
            return oauth_error("invalid_request") if form is None else action(atlas, account, found[0], form)

    return endpoint


@_checked
def generate(atlas: AtlasState, account: Account, secret: Secret, form: dict[str, str]) -> AtlasResponse:
    if form.get("grant_type") != "client_credentials":
        return oauth_error("unsupported_grant_type")
    if atlas.active(account.client_id) >= atlas.token_cap:
        atlas.count("cap_refused")
        return oauth_error("access_denied", CAP_REACHED)
    lifetime = atlas.token_life
    token = atlas.issue(account.client_id, secret.value, lifetime)
    secret.last_used = atlas.clock()
    return AtlasResponse(200, {"access_token": token, "expires_in": lifetime, "token_type": "Bearer"})


@_checked
def revoke(atlas: AtlasState, account: Account, _secret: Secret, form: dict[str, str]) -> AtlasResponse:
    token = form.get("token")
    if not token:
        return oauth_error("invalid_request")
    # Any string that is not an active token of this account changes nothing and is not an error (RFC 7009, 2.2).
    if atlas.owner(token) is account:
        atlas.revoke(token)
        atlas.count("revoked")
    return AtlasResponse(200)
