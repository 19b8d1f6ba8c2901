"""The Administration API. It checks a request in Atlas's order: token, IP access list, rights, rate limit, version."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

from airflow_provider_atlas.sandbox.limits import bucket_empty
from airflow_provider_atlas.sandbox.refusals import Refusal, refused
from airflow_provider_atlas.sandbox.responses import AtlasResponse, challenge
from airflow_provider_atlas.sandbox.service_accounts import check_role
from airflow_provider_atlas.sandbox.urls import ROUTES, find

if TYPE_CHECKING:
    from airflow_provider_atlas.sandbox.accounts import Account
    from airflow_provider_atlas.sandbox.requests import AtlasRequest
    from airflow_provider_atlas.sandbox.state import AtlasState

VERSIONS = ("2023-01-01", "2023-02-01", "2023-11-15", "2024-05-30", "2024-08-05", "2025-03-12")
DEPRECATED_BEFORE = "2024-01-01"
SUNSET = "Thu, 31 Dec 2099 23:59:59 GMT"
ACCEPT = re.compile(r"application/vnd\.atlas\.(\d{4}-\d{2}-\d{2})\+json")


def administer(atlas: AtlasState, request: AtlasRequest) -> AtlasResponse:
    template, ids = find(request.path) or ("", {})
    methods = ROUTES.get(template, {})
    if methods and request.method not in methods:
        return AtlasResponse(405, "Method Not Allowed", {"Allow": ", ".join(methods)})
    request = replace(request, ids=ids)
    with atlas.lock:
        token = request.credentials("bearer")
        account = atlas.owner(token or "")
        if account is None:
            atlas.count("api_unauthorized")
            # A token that Atlas does not know gets an empty body; a request without one is asked for Digest.
            return refused("UNEXPECTED_ERROR", status=401) if token is None else AtlasResponse(401, None, challenge())
        if atlas.ip_denied:
            return refused("IP_ADDRESS_NOT_ON_ACCESS_LIST", request.address)
        if account.refusal is not None:
            atlas.count("api_unauthorized")
            return refused(account.refusal, *ids.values(), status=401)
        capacity = atlas.api_rate_limit
        if capacity is None:
            return _versioned(atlas, account, request, template)
        wait, left = atlas.buckets.take(account.client_id, capacity, atlas.api_refill, atlas.api_refill_seconds)
        if wait:
            atlas.count("api_rate_limited")
            response = bucket_empty(atlas, request.path, atlas.clock(), wait)
        else:
            response = _versioned(atlas, account, request, template)
        limit = {"RateLimit-Limit": str(capacity), "RateLimit-Remaining": str(left)}
        return replace(response, headers={**response.headers, **limit})


def _versioned(atlas: AtlasState, account: Account, request: AtlasRequest, template: str) -> AtlasResponse:
    version = negotiate(request.headers.get("accept", ""), request.path, atlas.clock())
    if isinstance(version, AtlasResponse):
        return version
    try:
        if not template:
            raise Refusal("RESOURCE_NOT_FOUND", request.path)
        if "/serviceAccounts" in template:
            check_role(account, request)
        response = ROUTES[template][request.method](atlas, request)
    except Refusal as refusal:
        if refusal.response.status == 401:
            atlas.count("api_unauthorized")
        return refusal.response
    return replace(response, headers=version_headers(version))


def negotiate(accept: str, path: str, now: float) -> str | AtlasResponse:
    """Return the newest version that is not after the date in the Accept header, or the refusal."""
    dates = [match[1] for part in accept.split(",") if (match := ACCEPT.fullmatch(part.partition(";")[0].strip()))]
    # A fake clock may be before the newest version's date. That version is always served.
    latest = max(VERSIONS[-1], datetime.fromtimestamp(now, tz=UTC).date().isoformat())
    try:
        asked = date.fromisoformat(dates[0]).isoformat()
    except (IndexError, ValueError):
        asked = ""
    if not asked or asked > latest:
        return refused("INVALID_VERSION_DATE")
    if asked < VERSIONS[0]:
        return refused("VERSION_GONE", asked, path[1:])
    return max(version for version in VERSIONS if version <= asked)


def version_headers(version: str) -> dict[str, str]:
    headers = {"Content-Type": f"application/vnd.atlas.{version}+json;charset=utf-8"}
    if version < DEPRECATED_BEFORE:
        # An HTTP date, as in Sunset (RFC 8594) and in Deprecation before RFC 9745.
        deprecated = datetime.fromisoformat(DEPRECATED_BEFORE).strftime("%a, %d %b %Y 00:00:00 GMT")
        headers |= {"Deprecation": deprecated, "Sunset": SUNSET}
    return headers
