"""Access tokens as Atlas keeps them: opaque, bound to the secret that bought them, and capped in number."""

from __future__ import annotations

import base64
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

HEADER = base64.urlsafe_b64encode(b'{"alg":"ES512","typ":"JWT","kid":"atlas-sandbox"}').rstrip(b"=").decode()


def new_token() -> str:
    """Return a text that looks like Atlas's JWT of about 1 KB; nothing in it can be decoded, because it is opaque."""
    return f"{HEADER}.{secrets.token_urlsafe(590)}.{secrets.token_urlsafe(132)}"


@dataclass(frozen=True)
class Token:
    """An access token that is still active."""

    value: str = field(repr=False)
    client_id: str
    secret: str = field(repr=False)
    expires_at: float


class TokenLedger:
    """
    Every token ever issued, and which of them still opens a door. Not locked: its owner is.

    :param clock: the time in seconds
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._live: dict[str, Token] = {}
        self.issued: dict[str, None] = {}

    def issue(self, client_id: str, secret: str, life: float) -> str:
        token = Token(new_token(), client_id, secret, self._clock() + life)
        self._live[token.value] = token
        self.issued[token.value] = None
        return token.value

    def find(self, value: str) -> Token | None:
        """Return the token if it is active."""
        token = self._live.get(value)
        return token if token and self._clock() < token.expires_at else None

    def end(self, value: str) -> None:
        if value not in self.issued:
            raise ValueError("this sandbox never issued such a token")
        self._live.pop(value, None)

    def end_all(self, secret: str) -> None:
        """End the tokens that a secret bought."""
        self._live = {value: token for value, token in self._live.items() if token.secret != secret}

    def active(self, client_id: str | None = None) -> int:
        """Count the active tokens, of one account or of all."""
        now = self._clock()
        self._live = {value: token for value, token in self._live.items() if now < token.expires_at}
        return sum(client_id in (None, token.client_id) for token in self._live.values())
