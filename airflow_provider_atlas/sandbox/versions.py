"""The Administration API's versions: a date in the Accept header, answered by the newest version not after it."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime

from airflow_provider_atlas.sandbox.answers import Answer, api_error

VERSIONS = ("2023-01-01", "2023-02-01", "2023-11-15", "2024-05-30", "2024-08-05", "2025-03-12")
DEPRECATED_BEFORE = "2024-01-01"
SUNSET = "Thu, 31 Dec 2099 23:59:59 GMT"
ACCEPT = re.compile(r"application/vnd\.atlas\.(\d{4}-\d{2}-\d{2})\+json")


def negotiate(accept: str, path: str, now: float) -> str | Answer:
    """Return the version that serves this Accept header, or the answer that refuses it."""
    asked = [match[1] for part in accept.split(",") if (match := ACCEPT.fullmatch(part.partition(";")[0].strip()))]
    if not asked or not _is_date(asked[0]) or asked[0] > _latest(now):
        return api_error(406, "INVALID_VERSION_DATE", "Invalid accept header or version date.")
    if asked[0] < VERSIONS[0]:
        detail = f"Version {asked[0]} of {path[1:]} is no longer available."
        return api_error(410, "VERSION_GONE", detail, parameters=[asked[0], path[1:]])
    return max(version for version in VERSIONS if version <= asked[0])


def version_headers(version: str) -> dict[str, str]:
    headers = {"Content-Type": f"application/vnd.atlas.{version}+json;charset=utf-8"}
    if version < DEPRECATED_BEFORE:
        # An HTTP date, as in Sunset (RFC 8594) and in Deprecation before RFC 9745.
        deprecated = datetime.fromisoformat(DEPRECATED_BEFORE).strftime("%a, %d %b %Y 00:00:00 GMT")
        headers |= {"Deprecation": deprecated, "Sunset": SUNSET}
    return headers


def _is_date(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def _latest(now: float) -> str:
    # A fake clock may stand before the newest version; that one is always served.
    return max(VERSIONS[-1], datetime.fromtimestamp(now, tz=UTC).date().isoformat())
