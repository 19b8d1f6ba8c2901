"""A connection's fields, checked once and typed."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache, partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from airflow_provider_atlas.api.version import DEFAULT_API_VERSION, is_version
from airflow_provider_atlas.exceptions import InvalidConnection
from airflow_provider_atlas.get_provider_info import CONNECTION_FIELDS, CONNECTION_TYPE, DEFAULT_ALLOWED_HOSTS
from airflow_provider_atlas.oauth.account import CLIENT_ID_PREFIX, ServiceAccount
from airflow_provider_atlas.oauth.base_url import DEFAULT_BASE_URL, is_loopback
from airflow_provider_atlas.oauth.responses import words
from airflow_provider_atlas.oauth.retry_after import LONGEST_SECONDS
from airflow_provider_atlas.oauth.token import StaysInProcess
from airflow_provider_atlas.oauth.transport import Transport

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Connection

log = logging.getLogger(__name__)

#: The warning about unknown keys of the extra names so many, each with so many characters.
MOST_KEYS, LONGEST_KEY = 20, 40


@dataclass(frozen=True)
class Settings(StaysInProcess):
    """
    The fields of a connection of type ``mongodbatlas``; the ``[atlas]`` options are the defaults.

    :param account: id, secret and base URL.
    :param transport: timeout, CA bundle, proxies.
    :param cache_scope: ``task`` or ``deployment``.
    :param max_wait: seconds that a call may wait for Atlas in all.
    :param api_version: date of the Administration API version, ``yyyy-mm-dd``.
    :param previous: the account with its earlier client secrets. They open what they sealed, and request nothing.
    """

    account: ServiceAccount
    transport: Transport = field(default_factory=Transport)
    cache_scope: str = "task"
    max_wait: float = 300.0
    api_version: str = DEFAULT_API_VERSION
    previous: tuple[ServiceAccount, ...] = ()

    @classmethod
    def from_connection(
        cls, conn: Connection, *, cache_scope: str | None = None, max_wait: float | None = None
    ) -> Settings:
        """
        Read a connection.

        :param cache_scope: instead of the connection's.
        :param max_wait: instead of the connection's, seconds.
        :raises InvalidConnection: names the field that is wrong and what it must be, never its value.
        """
        from airflow.providers.common.compat.sdk import conf

        extra, option = _extra(conn), partial(conf.get, "atlas", fallback="")
        if unused := sorted(set(extra) - set(CONNECTION_FIELDS)):
            _warn_of(tuple(words(key, str, LONGEST_KEY) or "?" for key in unused[:MOST_KEYS]))
        if conn.conn_type not in (None, "", CONNECTION_TYPE) and CLIENT_ID_PREFIX not in (conn.login or ""):
            kind = words(conn.conn_type, str, LONGEST_KEY)
            raise InvalidConnection(
                f"The connection must have the type {CONNECTION_TYPE}, and has {kind}. Check the connection id"
            )
        account = ServiceAccount(conn.login or "", conn.password or "", _base_url(conn))
        _check_host(account, _first(option("allowed_hosts"), DEFAULT_ALLOWED_HOSTS))
        transport = Transport(
            timeout=_seconds("timeout", _first(extra.get("timeout"), option("timeout"), 30)),
            ca_bundle=_ca_bundle(_text("ca_bundle", extra.get("ca_bundle"))) or option("ca_bundle") or None,
            proxies=_proxies(extra.get("proxies")),
        )
        if transport.timeout == 0:
            raise InvalidConnection("timeout must be above 0 seconds")
        return cls(
            account,
            transport,
            _scope(_first(cache_scope, extra.get("cache_scope"), option("cache_scope"), "task")),
            _seconds("max_wait", _first(max_wait, extra.get("max_wait"), option("max_wait"), 300)),
            _version(_text("api_version", extra.get("api_version")) or DEFAULT_API_VERSION),
            _previous(account, _text("previous_secret", extra.get("previous_secret"))),
        )


@cache
def _warn_of(keys: tuple[str, ...]) -> None:
    """Warn once in a process: a key with a typing error has no effect."""
    log.warning("The extra of the Atlas connection has keys that nothing reads: %s.", ", ".join(keys))


def _previous(account: ServiceAccount, secret: str | None) -> tuple[ServiceAccount, ...]:
    other = account if secret is None else account.with_secret("previous_secret", secret)
    return () if other == account else (other,)


def _check_host(account: ServiceAccount, allowed: str) -> None:
    """
    Refuse an Atlas URL at another host: who may edit a connection, but not read its secret, must not send it elsewhere.

    :param allowed: hosts, with a port or without, separated by commas; ``loopback`` for this machine, ``*`` for any.
    """
    entries = {entry.strip().lower().rstrip(".") for entry in allowed.split(",")}
    parts = urlsplit(account.base_url)
    host = parts.hostname or ""
    if "loopback" in entries and is_loopback(host):
        return
    port = parts.port or 443
    name = f"[{host}]" if ":" in host else host
    if not entries & {"*", host, name, f"{name}:{port}"}:
        raise InvalidConnection(
            f"[atlas] allowed_hosts does not list the host {host} of the Atlas URL. If the host is right, set "
            f"allowed_hosts = {allowed}, {host}"
        )


def _ca_bundle(path: str | None) -> str | None:
    """The extra's CA bundle: with the extra's proxies it would let an editor of the connection read the secret."""
    from airflow.providers.common.compat.sdk import conf

    if path and str(conf.get("atlas", "allow_ca_bundle_in_extra", fallback="")).lower() not in ("true", "t", "1"):
        raise InvalidConnection(
            "The extra ca_bundle must not be set. Set [atlas] ca_bundle for all connections, or [atlas] "
            "allow_ca_bundle_in_extra = True"
        )
    return path


def _first(*values: Any) -> Any:
    """The first value that is set, else the last: an emptied form field and an empty option are empty texts."""
    return next((value for value in values if value not in (None, "")), values[-1])


def _extra(conn: Connection) -> Mapping[str, Any]:
    try:
        extra = json.loads(conn.extra or "{}")
    except (ValueError, RecursionError):
        extra = None
    if not isinstance(extra, dict):
        raise InvalidConnection("The connection's extra must be a JSON object")
    return extra


def _base_url(conn: Connection) -> str:
    """
    Host with scheme and port: Airflow's URI form ``mongodbatlas://http://id:secret@127.0.0.1:8080`` separates them, its
    form has a field for each, and connections of the type HTTP have the scheme in ``schema``. Any may be filled in.
    """
    host, schema = (conn.host or "").strip().rstrip("/"), (conn.schema or "").strip().lower()
    if schema:
        if schema not in ("https", "http"):
            raise InvalidConnection("The field Schema must be empty, or https as in connections of the type HTTP")
        host = host or DEFAULT_BASE_URL
        if "://" in host and host.partition("://")[0].lower() != schema:
            raise InvalidConnection("The Atlas URL and the field Schema must name the same scheme")
        host = host if "://" in host else f"{schema}://{host}"
    if not host or not conn.port:
        return host
    scheme, separator, name = host.rpartition("://")
    if name.count(":") > 1 and not name.startswith("["):
        name = f"[{name}]"
    port = name.rpartition("]")[2].partition(":")[2]
    if port not in ("", str(conn.port)):
        raise InvalidConnection("The Atlas URL and the field Port must name the same port")
    return f"{scheme}{separator}{name}" + ("" if port else f":{conn.port}")


def _seconds(name: str, value: object) -> float:
    try:
        seconds = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        seconds = math.nan
    if isinstance(value, bool) or not 0 <= seconds <= LONGEST_SECONDS:
        raise InvalidConnection(f"{name} must be a number of seconds from 0 to {LONGEST_SECONDS}")
    return seconds


def _text(name: str, value: object) -> str | None:
    if value is None or isinstance(value, str):
        return (value or "").strip() or None
    raise InvalidConnection(f"{name} must be a text")


def _scope(value: object) -> str:
    if value not in ("task", "deployment"):
        raise InvalidConnection("cache_scope must be task or deployment")
    return str(value)


def _version(value: str) -> str:
    if not is_version(value):
        raise InvalidConnection(f"api_version must be a date such as {DEFAULT_API_VERSION}")
    return value


def _proxies(value: object) -> dict[str, str] | None:
    """A mapping, or the JSON text of one, which is what the form saves."""
    if value in (None, ""):
        return None
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            value = None
    if not isinstance(value, dict) or not all(isinstance(url, str) for url in value.values()):
        raise InvalidConnection('proxies must be a JSON object such as {"https": "http://proxy.example:3128"}')
    return value
