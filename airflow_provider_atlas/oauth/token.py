"""The access token: frozen, with its times, never printed or stored by accident."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import ClassVar, NoReturn

#: A token is renewed this long before it expires, or at half its lifetime if that is later.
RENEWAL_MARGIN = timedelta(minutes=5)


def fingerprint(value: str) -> str:
    """Eight hex digits that identify a token in logs without revealing it."""
    return hashlib.sha256(value.encode()).hexdigest()[:8]


class StaysInProcess:
    """What holds a secret: Airflow's serializers, which would write it into XCom in plain text, and pickle fail."""

    instead: ClassVar[str] = "Make an AtlasServiceAccountHook in the other task."

    def serialize(self) -> NoReturn:
        """Refuse Airflow's serializers."""
        raise TypeError(f"{type(self).__name__} must not leave its task in plain text. {self.instead}")

    def __reduce__(self) -> NoReturn:
        self.serialize()


@dataclass(frozen=True)
class AccessToken(StaysInProcess):
    """
    An Atlas access token.

    It leaves the process only sealed: Airflow's XCom and ``pickle`` are refused.

    :param value: the text that follows ``Bearer``; absent from ``repr`` and ``str``.
    :param token_type: always ``Bearer``.
    :param issued_at: aware UTC time, read before the request was sent, so that it errs on the early side.
    :param expires_at: aware UTC time from which on Atlas refuses the token.
    """

    value: str = field(repr=False)
    token_type: str
    issued_at: datetime
    expires_at: datetime
    instead: ClassVar[str] = (
        "Return hook.seal(token), and open it in the other task with AtlasServiceAccountHook(..., token=...)."
    )

    @property
    def renew_at(self) -> datetime:
        """Until when the token counts as fresh, computed from its whole lifetime and not from what is left."""
        return self.expires_at - min(RENEWAL_MARGIN, (self.expires_at - self.issued_at) / 2)

    @property
    def fingerprint(self) -> str:
        """See :func:`fingerprint`."""
        return fingerprint(self.value)
