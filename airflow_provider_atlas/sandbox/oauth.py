"""The token endpoints' rules, in the order in which Atlas's own layers would apply them."""

from __future__ import annotations

from collections.abc import Callable

from airflow_provider_atlas.sandbox.answers import CAP_REACHED, Answer, front_unauthorized, oauth_error
from airflow_provider_atlas.sandbox.call import Call, decode_basic
from airflow_provider_atlas.sandbox.state import AtlasState
from airflow_provider_atlas.sandbox.throttled import rate_limited

Grant = Callable[[AtlasState, str, str, dict[str, str]], Answer]


def generate(state: AtlasState, call: Call) -> Answer:
    return _authenticated(state, call, _issue)


def revoke(state: AtlasState, call: Call) -> Answer:
    return _authenticated(state, call, _revoke)


def _authenticated(state: AtlasState, call: Call, then: Grant) -> Answer:
    # Credentials come before the window: a stranger must not eat the window of an account.
    basic = call.credentials("basic")
    if basic is None:
        state.count("credentials_refused")
        return front_unauthorized()
    pair = decode_basic(basic)
    if pair is None or not state.authenticate(*pair):
        state.count("credentials_refused")
        return oauth_error("invalid_client" if pair else "invalid_request")
    wait = state.admit(call.address, pair[0], call.path)
    if wait:
        state.count("rate_limited")
        return rate_limited(state.knobs, call.path, state.clock(), wait)
    if state.knobs.ip_denied:
        return oauth_error("access_denied")
    form = call.form()
    return oauth_error("invalid_request") if form is None else then(state, *pair, form)


def _issue(state: AtlasState, client_id: str, secret: str, form: dict[str, str]) -> Answer:
    if form.get("grant_type") != "client_credentials":
        return oauth_error("unsupported_grant_type")
    life = state.knobs.token_life
    token = state.issue(client_id, secret)
    if token is None:
        return oauth_error("access_denied", CAP_REACHED)
    return Answer(200, {"access_token": token, "expires_in": life, "token_type": "Bearer"})


def _revoke(state: AtlasState, client_id: str, _secret: str, form: dict[str, str]) -> Answer:
    token = form.get("token")
    if not token:
        return oauth_error("invalid_request")
    state.revoke(client_id, token)
    return Answer(200)
