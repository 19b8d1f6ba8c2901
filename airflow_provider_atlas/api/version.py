"""The version of the Administration API: a date, in the ``Accept`` header of each request."""

from __future__ import annotations

import re

from airflow_provider_atlas.exceptions import InvalidCall

#: Served for every resource of the Administration API (as the newest version not after it).
DEFAULT_API_VERSION = "2025-03-12"

_DATE = re.compile(r"\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])", re.ASCII)


def is_version(text: str) -> bool:
    """Whether a text is a date, as versions of the Administration API are."""
    return _DATE.fullmatch(text) is not None


def media_type(version: str) -> str:
    """
    The ``Accept`` header for a version.

    :param version: date of the Administration API version, ``yyyy-mm-dd``.
    :raises InvalidCall: if it is not a date.
    """
    if not isinstance(version, str) or not is_version(version):
        raise InvalidCall(f"api_version must be a date such as {DEFAULT_API_VERSION}")
    return f"application/vnd.atlas.{version}+json"
