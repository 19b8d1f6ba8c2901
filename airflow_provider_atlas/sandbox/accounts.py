"""Service accounts with their secrets, and access tokens, in the form that Atlas gives them."""

from __future__ import annotations

import base64
import secrets
from dataclasses import dataclass, field

MAX_SECRETS = 2
#: Hours that a secret may be valid for, by the default settings of an organization.
SECRET_HOURS = range(8, 8760 + 1)
#: Seconds that remain to a secret when another is created, for good.
SUPERSEDED = 7 * 24 * 3600.0
TOKEN_HEADER = base64.urlsafe_b64encode(b'{"alg":"ES512","typ":"JWT","kid":"atlas-sandbox"}').rstrip(b"=").decode()


def new_client_id() -> str:
    return f"mdb_sa_id_{secrets.token_hex(12)}"


def new_secret() -> str:
    # The underscore in the middle makes clients fail that percent-encode the secret for Basic.
    return f"mdb_sa_sk_{secrets.token_urlsafe(15)}_{secrets.token_urlsafe(15)}"


def new_token() -> str:
    """Return a string that looks like Atlas's JWT of about 1 KB. It is opaque: only its header can be decoded."""
    return f"{TOKEN_HEADER}.{secrets.token_urlsafe(590)}.{secrets.token_urlsafe(132)}"


@dataclass
class Secret:
    """
    A client secret. An expired one cannot request a token, and still takes one of the account's two slots.

    :param created: seconds since the epoch, as the other times
    """

    value: str = field(repr=False)
    created: float
    expires: float
    last_used: float | None = None
    id: str = field(default_factory=lambda: secrets.token_hex(12))


@dataclass
class Account:
    """
    A service account.

    :param refusal: ``errorCode`` of the 401 that the Administration API sends it; None if the account has its rights
    :param roles: roles of the organization and the projects. They decide about the service account endpoints only
    """

    client_id: str
    refusal: str | None = None
    roles: tuple[str, ...] = ("ORG_OWNER",)
    created: float = 0.0
    secrets: list[Secret] = field(default_factory=list)

    def add_secret(self, now: float, hours: float, value: str = "") -> Secret:
        for other in self.secrets:
            other.expires = min(other.expires, now + SUPERSEDED)
        self.secrets.append(secret := Secret(value or new_secret(), now, now + hours * 3600))
        return secret


@dataclass(frozen=True)
class Token:
    """
    An access token that is not revoked.

    :param secret: the client secret that requested it. When Atlas deletes the secret, it revokes the token
    :param expires_at: seconds since the epoch
    """

    value: str = field(repr=False)
    client_id: str
    secret: str = field(repr=False)
    expires_at: float
