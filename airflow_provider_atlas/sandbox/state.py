"""Everything the sandbox remembers, behind one lock: HTTP threads and the test's own threads meet here."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import fields
from typing import TYPE_CHECKING

from airflow_provider_atlas.sandbox.accounts import Account, Accounts, new_client_id, new_secret
from airflow_provider_atlas.sandbox.counters import Counters
from airflow_provider_atlas.sandbox.faults import Fault, FaultQueue
from airflow_provider_atlas.sandbox.limits import FixedWindow, Taken, TokenBuckets
from airflow_provider_atlas.sandbox.tokens import TokenLedger

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_atlas.sandbox.knobs import Knobs


class AtlasState:
    """
    The state machine. It knows accounts, secrets, tokens and limits, and no HTTP.

    :param knobs: how it behaves, read anew at every step
    :param clock: the time in seconds

    ``lock`` is there for whoever must take several steps as one.
    """

    def __init__(self, knobs: Knobs, clock: Callable[[], float]) -> None:
        self.knobs = knobs
        self.clock = clock
        self.lock = threading.RLock()
        self._accounts = Accounts()
        self._tokens = TokenLedger(clock)
        self._windows = FixedWindow(clock)
        self._buckets = TokenBuckets(clock)
        self._faults = FaultQueue()
        self._tally: Counter[str] = Counter()

    def count(self, name: str) -> None:
        with self.lock:
            self._tally[name] += 1

    def counters(self) -> Counters:
        with self.lock:
            tally = {field.name: self._tally[field.name] for field in fields(Counters)}
            return Counters(**{**tally, "active": self._tokens.active()})

    def reset_counters(self) -> None:
        with self.lock:
            self._tally.clear()

    def add_account(self, client_id: str, secret: str, refusal: str | None) -> tuple[str, str]:
        client_id, secret = client_id or new_client_id(), secret or new_secret()
        with self.lock:
            self._accounts.add(client_id, secret, refusal)
        return client_id, secret

    def account(self, client_id: str) -> Account | None:
        with self.lock:
            return self._accounts.get(client_id)

    def authenticate(self, client_id: str, secret: str) -> bool:
        with self.lock:
            account = self._accounts.get(client_id)
            return account is not None and secret in account.secrets

    def add_secret(self, client_id: str) -> str:
        with self.lock:
            return self._accounts.add_secret(client_id)

    def delete_secret(self, secret: str) -> None:
        """Delete the secret and end the tokens that it bought."""
        with self.lock:
            self._accounts.delete_secret(secret)
            self._tokens.end_all(secret)

    def admit(self, address: str, client_id: str, endpoint: str) -> float:
        """Return 0 when the rate window admits the request, else the seconds until it closes."""
        with self.lock:
            return self._windows.admit((address, client_id, endpoint), self.knobs.rate_limit, self.knobs.window)

    def take(self, client_id: str) -> Taken | None:
        """Take one request out of the account's bucket; None where there is no limit."""
        knobs = self.knobs
        if knobs.api_rate_limit is None:
            return None
        with self.lock:
            return self._buckets.take(client_id, knobs.api_rate_limit, knobs.api_refill, knobs.api_refill_seconds)

    def issue(self, client_id: str, secret: str) -> str | None:
        """Return a new token, or None when the account has its fill of active ones."""
        with self.lock:
            if self._tokens.active(client_id) >= self.knobs.token_cap:
                self._tally["cap_refused"] += 1
                return None
            self._tally["issued"] += 1
            return self._tokens.issue(client_id, secret, self.knobs.token_life)

    def owner(self, token: str) -> Account | None:
        """Return the account whose active token this is."""
        with self.lock:
            found = self._tokens.find(token)
            return self._accounts.get(found.client_id) if found else None

    def end(self, token: str) -> None:
        with self.lock:
            self._tokens.end(token)

    def revoke(self, client_id: str, token: str) -> bool:
        """Revoke the account's own active token; any other text changes nothing and is no error (RFC 7009, 2.2)."""
        with self.lock:
            found = self._tokens.find(token)
            if found is None or found.client_id != client_id:
                return False
            self._tokens.end(token)
            self._tally["revoked"] += 1
            return True

    def issued(self) -> tuple[str, ...]:
        with self.lock:
            return tuple(self._tokens.issued)

    def put_fault(self, endpoint: str, fault: Fault, times: int) -> None:
        with self.lock:
            self._faults.put(endpoint, fault, times)

    def take_fault(self, endpoint: str) -> Fault | None:
        with self.lock:
            return self._faults.take(endpoint)
