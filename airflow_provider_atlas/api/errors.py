"""Refusals of the Administration API, with what a reader can do about them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from airflow_provider_atlas.oauth.answers import words
from airflow_provider_atlas.oauth.errors import AtlasError

_ACCESS_LIST = "IP_ADDRESS_NOT_ON_ACCESS_LIST"


class AtlasApiError(AtlasError):
    """
    The Administration API refused a request, or answered with something that is not its JSON.

    :param summary: as of :class:`~airflow_provider_atlas.oauth.errors.AtlasError`.
    :param status: HTTP status.
    :param error_code: Atlas's ``errorCode``, such as ``RESOURCE_NOT_FOUND``; ``None`` if empty, as it may be.
    :param detail: Atlas's words.
    :param reason: the status in words, as the body gives it.
    :param parameters: what the code is about, such as an address or a name.
    :param fields: (field, what is wrong with it) of a bad request.
    :param retry_after: seconds that Atlas asked to wait, of a 429 or 503; ``None`` if it did not say.
    """

    summary = "The Atlas Administration API refused the request"

    def __init__(
        self,
        summary: str | None = None,
        *,
        status: int | None = None,
        error_code: str | None = None,
        detail: str | None = None,
        reason: str | None = None,
        parameters: Sequence[Any] = (),
        fields: Sequence[tuple[str, str]] = (),
        retry_after: float | None = None,
    ) -> None:
        super().__init__(summary, status=status, error=error_code, description=detail or reason)
        self.error_code = error_code
        self.detail = detail
        self.reason = reason
        self.parameters = tuple(parameters)
        self.fields = tuple(fields)
        self.retry_after = retry_after

    @property
    def remedy(self) -> str:  # type: ignore[override]
        """What to do about it; empty where Atlas's words say it all."""
        if self.fields:
            return "Correct " + "; ".join(f"{field}: {description}" for field, description in self.fields) + "."
        if self.error_code == _ACCESS_LIST:
            address = self.parameters[0] if self.parameters else "this machine's address"
            return f"Add {address} to the service account's IP access list in Atlas."
        return _REMEDIES.get(self.status or 0, "")


_REMEDIES = {
    401: "The token is good, so this is about rights: give the service account a role in the organization or project.",
    403: "Give the service account a role that allows this.",
    406: "Check the API version (api_version), a date that this resource is served for, such as 2025-03-12.",
    410: "This API version is no longer served: choose a later date as api_version.",
}


def api_error(
    status: int,
    body: Mapping[str, Any] | None,
    scrub: Callable[[str], str],
    retry_after: float | None = None,
) -> AtlasApiError:
    """
    Read a refusal; fields that are missing, empty or of another type are left out.

    :param scrub: takes secrets out of what the server wrote.
    """
    body = body or {}
    bad = body.get("badRequestDetail")
    fields = bad.get("fields") if isinstance(bad, dict) else None
    parameters = body.get("parameters")
    return AtlasApiError(
        status=status,
        error_code=words(body.get("errorCode"), scrub),
        detail=words(body.get("detail"), scrub),
        reason=words(body.get("reason"), scrub),
        parameters=[
            words(value, scrub) if isinstance(value, str) else value
            for value in (parameters if isinstance(parameters, list) else ())
            if isinstance(value, str | int | float)
        ],
        fields=[
            (words(field.get("field"), scrub) or "?", words(field.get("description"), scrub) or "?")
            for field in (fields if isinstance(fields, list) else ())
            if isinstance(field, dict)
        ],
        retry_after=retry_after,
    )
