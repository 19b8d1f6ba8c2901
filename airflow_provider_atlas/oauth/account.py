"""A service account: client id, client secret and Atlas URL, checked before anything is sent."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, field, replace
from urllib.parse import quote

from airflow_provider_atlas.exceptions import InvalidConnection
from airflow_provider_atlas.oauth.base_url import DEFAULT_BASE_URL, origin
from airflow_provider_atlas.oauth.token import StaysInProcess

CLIENT_ID_PREFIX = "mdb_sa_id_"
CLIENT_SECRET_PREFIX = "mdb_sa_sk_"  # noqa: S105 - every secret starts so


@dataclass(frozen=True)
class ServiceAccount(StaysInProcess):
    """
    Credentials of an Atlas service account.

    Only prefixes are checked, since Atlas has changed the rest over time. White space around a value is removed.

    :param client_id: starts with ``mdb_sa_id_``.
    :param client_secret: starts with ``mdb_sa_sk_``; absent from ``repr``.
    :param base_url: scheme, host and port of Atlas. Plain ``http`` only for a loopback address.
    :raises InvalidConnection: names the field that is wrong and what it must be.
    """

    client_id: str
    client_secret: str = field(repr=False)
    base_url: str = DEFAULT_BASE_URL

    def __post_init__(self) -> None:
        object.__setattr__(self, "client_id", _credential("Client ID", self.client_id, CLIENT_ID_PREFIX))
        object.__setattr__(
            self, "client_secret", _credential("Client secret", self.client_secret, CLIENT_SECRET_PREFIX)
        )
        object.__setattr__(self, "base_url", origin(self.base_url))

    @property
    def fingerprint(self) -> str:
        """Identifies account and secret: a token belongs to (base URL, id, secret)."""
        return hashlib.sha256("\n".join((self.base_url, self.client_id, self.client_secret)).encode()).hexdigest()

    @property
    def secrets(self) -> tuple[str, ...]:
        """The secret, and the pair as it is sent: ``Basic`` and this text."""
        pair = f"{self.client_id}:{self.client_secret}"
        return self.client_secret, base64.b64encode(pair.encode()).decode()

    def with_secret(self, label: str, secret: str) -> ServiceAccount:
        """
        The same account with another of its client secrets.

        :param label: what an error calls it.
        """
        return replace(self, client_secret=_credential(label, secret, CLIENT_SECRET_PREFIX))

    def scrub(self, text: str, *more: str) -> str:
        """Take this account's secret, the Basic pair and ``more`` secrets out of a text that came from outside."""
        pair = f"{self.client_id}:{self.client_secret}"
        for secret in (pair, self.client_secret, *more):
            for form in (secret, quote(secret, safe=""), base64.b64encode(secret.encode()).decode().rstrip("=")):
                text = text.replace(form, "***")
        return text


def _instead(value: str, prefix: str) -> str:
    if prefix in value:
        return f"Remove what is before {prefix}"
    if value.startswith((CLIENT_ID_PREFIX, CLIENT_SECRET_PREFIX)):
        return "Exchange Client ID and Client secret: each is in the other's field"
    return (
        "A public or private API key does not work: create a service account in Atlas under Applications, Service "
        "Accounts"
    )


def _credential(label: str, value: str, prefix: str) -> str:
    value = (value or "").strip()
    if not value:
        raise InvalidConnection(f"{label} is empty; it must start with {prefix}")
    if not value.startswith(prefix):
        raise InvalidConnection(f"{label} must start with {prefix}. {_instead(value, prefix)}")
    # With other characters `requests` fails, and its error contains the whole value.
    if not (value.isascii() and value.isprintable()) or set(value) & {" ", ":"}:
        raise InvalidConnection(f"{label} must not contain a space, a colon or a non-ASCII character")
    return value
