"""The Administration API's doors, in Atlas's order: who, from where, with which rights, how often, which version."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from airflow_provider_atlas.sandbox.answers import Answer, api_error
from airflow_provider_atlas.sandbox.resources import read
from airflow_provider_atlas.sandbox.throttled import number, retry_after, whole_seconds
from airflow_provider_atlas.sandbox.versions import negotiate, version_headers

if TYPE_CHECKING:
    from airflow_provider_atlas.sandbox.call import Call
    from airflow_provider_atlas.sandbox.state import AtlasState


def administer(state: AtlasState, call: Call) -> Answer:
    """Answer a read of the Administration API."""
    account = state.owner(call.credentials("bearer") or "")
    if account is None:
        state.count("api_unauthorized")
        return api_error(401, "UNAUTHORIZED", "The access token is missing, not valid, expired or revoked.")
    if state.knobs.ip_denied:
        detail = f"IP address {call.address} is not allowed to access this resource."
        return api_error(403, "IP_ADDRESS_NOT_ON_ACCESS_LIST", detail, parameters=[call.address])
    if account.refusal is not None:
        state.count("api_unauthorized")
        return api_error(401, account.refusal, "Current user is not authorized to perform this action.")
    answer, headers = _limited(state, call, account.client_id)
    answer = answer or _versioned(state, call)
    return replace(answer, headers={**answer.headers, **headers})


def _limited(state: AtlasState, call: Call, client_id: str) -> tuple[Answer | None, dict[str, str]]:
    """Return the 429, if it is one, and the headers that tell how full the bucket is."""
    taken, knobs = state.take(client_id), state.knobs
    if taken is None:
        return None, {}
    headers = {"RateLimit-Limit": str(knobs.api_rate_limit), "RateLimit-Remaining": str(taken.remaining)}
    if not taken.wait:
        return None, headers
    state.count("api_rate_limited")
    wait = whole_seconds(taken.wait)
    parameters = [call.path, wait, knobs.api_rate_limit, knobs.api_refill, number(knobs.api_refill_seconds)]
    detail = f"Resource {call.path} is limited to {knobs.api_rate_limit} requests. Retry in {wait} seconds."
    refused = api_error(429, "RATE_LIMITED_TOKEN_BUCKET", detail, parameters=parameters)
    return refused, {**headers, **retry_after(knobs, state.clock(), taken.wait)}


def _versioned(state: AtlasState, call: Call) -> Answer:
    version = negotiate(call.headers.get("accept", ""), call.path, state.clock())
    if isinstance(version, Answer):
        return version
    answer = read(call.path, call.query, call.base_url, state.knobs.page_total)
    return replace(answer, headers=version_headers(version)) if answer.status == 200 else answer
