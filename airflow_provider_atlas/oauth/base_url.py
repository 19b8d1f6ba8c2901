"""The base URL of Atlas: an origin, over https unless it is on this machine."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

from airflow_provider_atlas.exceptions import InvalidConnection

DEFAULT_BASE_URL = "https://cloud.mongodb.com"

_EXAMPLE = f"write it like {DEFAULT_BASE_URL}"


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
    if not host.startswith(":") and ":" not in host and not all(0 < len(part) < 64 for part in host.split(".")):
        raise InvalidConnection(f"The Atlas URL has a host name with an empty or too long part; {_EXAMPLE}")
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
