"""Service accounts and their secrets, under Atlas's rule of two secrets an account."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field

MAX_SECRETS = 2


def new_client_id() -> str:
    return f"mdb_sa_id_{secrets.token_hex(12)}"


def new_secret() -> str:
    # The underscore in the middle catches clients that percent-encode what goes into Basic.
    return f"mdb_sa_sk_{secrets.token_urlsafe(15)}_{secrets.token_urlsafe(15)}"


@dataclass
class Account:
    """
    A service account.

    :param refusal: error code of the 401 with which the Administration API meets it; None if it has its rights
    """

    client_id: str
    refusal: str | None = None
    secrets: list[str] = field(default_factory=list, repr=False)


class Accounts:
    """The service accounts by client id. Not locked: its owner is."""

    def __init__(self) -> None:
        self._accounts: dict[str, Account] = {}

    def add(self, client_id: str, secret: str, refusal: str | None = None) -> None:
        self._accounts[client_id] = Account(client_id, refusal, [secret])

    def get(self, client_id: str) -> Account | None:
        return self._accounts.get(client_id)

    def add_secret(self, client_id: str) -> str:
        account = self._accounts.get(client_id)
        if account is None:
            raise ValueError("no such service account in this sandbox")
        if len(account.secrets) >= MAX_SECRETS:
            raise ValueError(f"a service account has at most {MAX_SECRETS} secrets: delete one first")
        account.secrets.append(secret := new_secret())
        return secret

    def delete_secret(self, secret: str) -> None:
        for account in self._accounts.values():
            if secret in account.secrets:
                account.secrets.remove(secret)
                return
        raise ValueError("no such secret in this sandbox")
