"""The errors as Airflow sees them: those that no retry can cure end the task at once.

Each is its namesake of :mod:`airflow_provider_atlas.oauth.errors`, with Atlas's status, error and description, and an
``AirflowFailException`` too, so that Airflow does not spend retries, and a task's slot, on them. The others need no
Airflow in them and are handed through.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_atlas.api.errors import AtlasApiError
from airflow_provider_atlas.oauth import errors
from airflow_provider_atlas.oauth.errors import (
    AtlasError,
    AtlasUnreachable,
    RateLimited,
    ServerError,
    ServiceUnavailable,
    StoreUnavailable,
    TokenLimitReached,
    UnexpectedAnswer,
)


class InvalidConnection(errors.InvalidConnection, AirflowFailException):
    __doc__ = errors.InvalidConnection.__doc__


class InvalidCall(errors.InvalidCall, AirflowFailException):
    __doc__ = errors.InvalidCall.__doc__


class InvalidRequest(errors.InvalidRequest, AirflowFailException):
    __doc__ = errors.InvalidRequest.__doc__


class UnsupportedGrantType(errors.UnsupportedGrantType, AirflowFailException):
    __doc__ = errors.UnsupportedGrantType.__doc__


class InvalidGrant(errors.InvalidGrant, AirflowFailException):
    __doc__ = errors.InvalidGrant.__doc__


class InvalidClient(errors.InvalidClient, AirflowFailException):
    __doc__ = errors.InvalidClient.__doc__


class AccessDenied(errors.AccessDenied, AirflowFailException):
    __doc__ = errors.AccessDenied.__doc__


class CertificateRefused(errors.CertificateRefused, AirflowFailException):
    __doc__ = errors.CertificateRefused.__doc__


class TokenExpired(errors.TokenExpired, AirflowFailException):
    __doc__ = errors.TokenExpired.__doc__


class InvalidSealedToken(errors.InvalidSealedToken, AirflowFailException):
    __doc__ = errors.InvalidSealedToken.__doc__


__all__ = [
    "AccessDenied",
    "AtlasApiError",
    "AtlasError",
    "AtlasUnreachable",
    "CertificateRefused",
    "InvalidCall",
    "InvalidClient",
    "InvalidConnection",
    "InvalidGrant",
    "InvalidRequest",
    "InvalidSealedToken",
    "RateLimited",
    "ServerError",
    "ServiceUnavailable",
    "StoreUnavailable",
    "TokenExpired",
    "TokenLimitReached",
    "UnexpectedAnswer",
    "UnsupportedGrantType",
    "airflow_errors",
]

_FINAL: dict[type[AtlasError], type[AtlasError]] = {
    kind.__mro__[1]: kind
    for kind in (
        AccessDenied,
        CertificateRefused,
        InvalidCall,
        InvalidClient,
        InvalidConnection,
        InvalidGrant,
        InvalidRequest,
        InvalidSealedToken,
        TokenExpired,
        UnsupportedGrantType,
    )
}


def dump(error: AtlasError) -> dict[str, Any]:
    """Write an error down as JSON, for a trigger's event."""
    return {"type": type(error).__name__, "summary": error.args[0], "data": vars(error)}


def load(written: Mapping[str, Any]) -> AtlasError:
    """Make of what :func:`dump` wrote, in this release or another, the error as Airflow sees it."""
    name, data = written.get("type"), written.get("data")
    kind = globals().get(name) if name in __all__ else None
    if not (isinstance(kind, type) and issubclass(kind, AtlasError)):
        kind = AtlasError
    error = kind(str(written.get("summary") or "") or None)
    for key, value in (data if isinstance(data, dict) else {}).items():
        if key in vars(error) and _fits(key, value):
            setattr(error, key, value)
    return error


def _fits(name: str, value: object) -> bool:
    """Whether a value is such that the error can be printed and waited for."""
    if name in ("parameters", "fields"):
        return isinstance(value, list | tuple) and (
            name == "parameters" or all(isinstance(pair, list | tuple) and len(pair) == 2 for pair in value)
        )
    if value is None:
        return True
    if name in ("status", "limit"):
        return type(value) is int
    if name in ("retry_after", "window", "waited"):
        return isinstance(value, int | float) and 0 <= value < 1e9  # no NaN, and what a float holds
    return isinstance(value, str)


@contextmanager
def airflow_errors() -> Iterator[None]:
    """Raise what Airflow must not retry as its own kind; also a decorator."""
    try:
        yield
    except AtlasError as error:
        kind = _FINAL.get(type(error))
        if kind is None:
            raise
        twin = kind(*error.args)
        twin.__dict__.update(error.__dict__)
        raise twin.with_traceback(error.__traceback__) from None
