"""What Atlas refuses: one table from the error code to status and words. Clients decide by the code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_provider_atlas.sandbox.responses import AtlasResponse, api_error

#: Braces hold the parameters of the error. Codes marked (*) are not documented: the sandbox's own.
CODES: dict[str, tuple[int, str]] = {
    "GROUP_NOT_FOUND": (404, "No group with ID {0} exists."),
    "INVALID_ATTRIBUTE": (400, "Invalid attribute {0} specified."),
    "INVALID_JSON": (400, "Received JSON is malformed."),
    "NOT_GROUP_USER_ADMIN": (401, "The user is not a user administrator of the group."),
    "NOT_ORG_OWNER": (401, "The user is not an owner of the organization."),
    "ORG_NOT_FOUND": (404, "No organization with ID {0} exists."),
    "RESOURCE_NOT_FOUND": (404, "Cannot find resource {0}."),
    "SERVICE_ACCOUNT_NOT_FOUND": (404, "No service account with ID {0} exists."),  # (*)
    "SERVICE_ACCOUNT_SECRET_LIMIT_REACHED": (400, "Service account {0} has the maximum of {1} secrets."),  # (*)
    "SERVICE_ACCOUNT_SECRET_NOT_FOUND": (404, "No secret with ID {0} exists."),  # (*)
    "UNSUPPORTED_MEDIA_TYPE": (415, "The content type of the request body is not supported."),
    "VALIDATION_ERROR": (400, "Validation error in {0}."),
}


class Refusal(Exception):
    """Ends a request. Nothing may have been changed before."""

    def __init__(self, code: str, *parameters: Any, fields: Mapping[str, str] | None = None) -> None:
        super().__init__(code)
        status, detail = CODES[code]
        detail = detail.format(*parameters)
        self.response: AtlasResponse = api_error(status, code, detail, parameters=parameters, fields=fields)
