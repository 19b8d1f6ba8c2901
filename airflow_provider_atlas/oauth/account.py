"""A service account: client id, client secret and Atlas URL, checked before anything is sent."""

from __future__ import annotations

import base64
import hashlib
import ipaddress
import re
from dataclasses import dataclass, field
from urllib.parse import quote, urlsplit

from airflow_provider_atlas.exceptions import InvalidConnection

DEFAULT_BASE_URL = "https://cloud.mongodb.com"
CLIENT_ID_PREFIX = "mdb_sa_id_"
CLIENT_SECRET_PREFIX = "mdb_sa_sk_"  # noqa: S105 - every secret starts so


@dataclass(frozen=True)
class ServiceAccount:
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

    def scrub(self, text: str, *more: str) -> str:
        """Take this account's secret, the Basic pair and ``more`` secrets out of a text that came from outside."""
        pair = f"{self.client_id}:{self.client_secret}"
        for secret in (pair, self.client_secret, *more):
            for form in (secret, quote(secret, safe=""), base64.b64encode(secret.encode()).decode().rstrip("=")):
                text = text.replace(form, "***")
        return text


def _credential(label: str, value: str, prefix: str) -> str:
    value = (value or "").strip()
    if not value:
        raise InvalidConnection(f"{label} is empty; it must start with {prefix}")
    if not value.startswith(prefix):
        raise InvalidConnection(
            f"{label} must start with {prefix}. A public or private API key does not work: create a service account in "
            "Atlas under Applications, Service Accounts"
        )
    # With other characters `requests` fails, and its error contains the whole value.
    if not (value.isascii() and value.isprintable()) or set(value) & {" ", ":"}:
        raise InvalidConnection(f"{label} must not contain a space, a colon or a non-ASCII character")
    return value


def origin(url: str) -> str:
    """
    Normalize a base URL: scheme, lower-case host, and the port unless it is the scheme's default.

    :raises InvalidConnection: if it is not an origin. A path, a query or credentials in it would be lost or, worse,
        logged.
    """
    text = (url or "").strip() or DEFAULT_BASE_URL
    try:
        parts = urlsplit(text if "://" in text else f"https://{text}")
        port = parts.port
    except ValueError:
        raise InvalidConnection(f"The Atlas URL is not a valid URL; {_EXAMPLE}") from None
    if port == 0:  # requests would use the scheme's default instead
        raise InvalidConnection(f"The Atlas URL must not have port 0; {_EXAMPLE}")
    host = (parts.hostname or "").rstrip(".")
    if parts.username is not None or parts.password is not None:
        raise InvalidConnection(f"The Atlas URL must not contain credentials, which have their own fields; {_EXAMPLE}")
    if parts.path.strip("/") or parts.query or parts.fragment or "?" in text or "#" in text:
        raise InvalidConnection(f"The Atlas URL must contain nothing but scheme, host and port; {_EXAMPLE}")
    if not re.fullmatch(r"[a-z0-9._:-]+", host):  # libraries differ in how they read other characters
        raise InvalidConnection(f"The Atlas URL must name a host; {_EXAMPLE}")
    if parts.scheme not in ("https", "http"):
        raise InvalidConnection(f"The Atlas URL must start with https:// (http:// on a loopback address); {_EXAMPLE}")
    if parts.scheme == "http" and not is_loopback(host):
        raise InvalidConnection(f"The Atlas URL must use https: plain http does not encrypt the secret; {_EXAMPLE}")
    name = f"[{host}]" if ":" in host else host
    default = {"https": 443, "http": 80}[parts.scheme]
    return f"{parts.scheme}://{name}" + (f":{port}" if port not in (None, default) else "")


def is_loopback(host: str) -> bool:
    """Whether a host name can only mean this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


_EXAMPLE = f"write it like {DEFAULT_BASE_URL}"
