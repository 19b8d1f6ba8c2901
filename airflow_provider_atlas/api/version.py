"""What a request asks for: the version of the Administration API, and the form of the body."""

from __future__ import annotations

import re

from airflow_provider_atlas.exceptions import InvalidCall

#: Served for every resource of the Administration API (as the newest version not after it).
DEFAULT_API_VERSION = "2025-03-12"
#: The forms of a body: JSON, a table, a compressed file.
FORMS = ("json", "csv", "gzip")

_VERSION = re.compile(r"\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])(\.upcoming)?|preview", re.ASCII)

#: Atlas's media types, without their form.
_ATLAS = "application/vnd.atlas."
_OF_ATLAS = re.compile(rf"{re.escape(_ATLAS)}[^+,;\s]+")


def is_version(text: str) -> bool:
    """
    Whether a text is a version of the Administration API.

    It is a date, a date with ``.upcoming``, or ``preview``, which Atlas changes without notice.
    """
    return _VERSION.fullmatch(text) is not None


def media_type(version: str, form: str = "json") -> str:
    """
    The ``Accept`` header for a version.

    :param version: ``yyyy-mm-dd``, ``yyyy-mm-dd.upcoming`` or ``preview``.
    :param form: one of :data:`FORMS`.
    :raises InvalidCall: if it is something else.
    """
    if not isinstance(version, str) or not is_version(version):
        raise InvalidCall(f"api_version must be a text: a date such as {DEFAULT_API_VERSION}, or preview")
    if form not in FORMS:
        raise InvalidCall(f"accept must be one of {', '.join(FORMS)}")
    return f"{_ATLAS}{version}+{form}"


def body_type(accept: str) -> str:
    """The ``Content-Type`` header of a JSON body: of the version that ``Accept`` names, if that is Atlas's."""
    version = _OF_ATLAS.match(accept)
    return f"{version[0]}+json" if version else "application/json"
