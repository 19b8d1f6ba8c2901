"""Seals tokens that leave the process: XCom, trigger events, Variables.

The key is derived from the client secret (HKDF, RFC 5869; then Fernet), so that whoever can open a sealed token could
have requested one: the sealed text reveals nothing more, with or without a Fernet key in Airflow, and no key has to
be distributed. Base URL and client id go into the derivation, since a token belongs to all three.
"""

from __future__ import annotations

import base64
import json
import math
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from airflow_provider_atlas.exceptions import InvalidSealedToken
from airflow_provider_atlas.oauth.token import AccessToken

if TYPE_CHECKING:
    from cryptography.fernet import Fernet

    from airflow_provider_atlas.oauth.account import ServiceAccount

#: Starts every sealed token; the version stands for the form of its content and for how its key is derived.
PREFIX = "atlas-sealed:"
VERSION = "1:"


def is_sealed(text: str) -> bool:
    """Whether a text looks like a sealed token, of whatever version."""
    return text.startswith(PREFIX)


def seal(account: ServiceAccount, token: AccessToken, *, shared: bool = False) -> str:
    """
    Encrypt a token for whoever has the same secret.

    :param shared: whether it is the deployment's, so that its revocation takes it out of the store.
    """
    content = {
        "shared": shared,
        "value": token.value,
        "issued_at": token.issued_at.timestamp(),
        "expires_at": token.expires_at.timestamp(),
    }
    return PREFIX + VERSION + _fernet(account).encrypt(json.dumps(content).encode()).decode()


def unseal(account: ServiceAccount, text: str) -> AccessToken:
    """
    Open a sealed token.

    :raises InvalidSealedToken: if :func:`seal` did not make it with this account and secret.
    """
    return _token(_open(account, text))


def unseal_shared(account: ServiceAccount, text: str) -> AccessToken:
    """
    Open a sealed token that is the deployment's.

    :raises InvalidSealedToken: also for one that is not: somebody put it into the store, and its owner still uses it.
    """
    content = _open(account, text)
    if content.get("shared") is not True:
        raise InvalidSealedToken("The sealed token is not the deployment's")
    return _token(content)


def _token(content: dict[str, Any]) -> AccessToken:
    try:
        value, times = content["value"], (content["issued_at"], content["expires_at"])
        if not isinstance(value, str) or not all(math.isfinite(time) for time in times):
            raise ValueError
        issued_at, expires_at = (datetime.fromtimestamp(time, UTC) for time in times)
    except (ValueError, TypeError, KeyError, OverflowError, OSError):
        pass
    else:
        return AccessToken(value, "Bearer", issued_at, expires_at)
    raise InvalidSealedToken("The sealed token's content is not of this provider")


def is_shared(account: ServiceAccount, text: str) -> bool:
    """Whether a sealed token is the deployment's."""
    return _open(account, text).get("shared") is True


def _open(account: ServiceAccount, text: str) -> dict[str, Any]:
    from cryptography.fernet import InvalidToken

    if not isinstance(text, str) or not is_sealed(text):
        raise InvalidSealedToken()
    if not text.startswith(PREFIX + VERSION):
        raise InvalidSealedToken("The token was sealed by another version of this provider")
    try:
        content = json.loads(_fernet(account).decrypt(text.removeprefix(PREFIX + VERSION)))
        if isinstance(content, dict):
            return content
        failure = "The sealed token's content is not of this provider"
    except InvalidToken:  # a MAC does not distinguish damage from another key
        failure = "The sealed token is damaged, or was sealed by another account or with another secret"
    except (ValueError, RecursionError):
        failure = "The sealed token's content is not of this provider"
    raise InvalidSealedToken(failure)


@lru_cache(maxsize=16)
def _fernet(account: ServiceAccount) -> Fernet:
    from cryptography.fernet import Fernet
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    info = "\n".join(("airflow-provider-atlas sealed token 1", account.base_url, account.client_id)).encode()
    key = HKDF(SHA256(), length=32, salt=None, info=info).derive(account.client_secret.encode())
    return Fernet(base64.urlsafe_b64encode(key))
