"""Everything the sandbox stores, behind one lock: the server's thread and the test's own threads use it at once."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_provider_atlas.sandbox.accounts import MAX_SECRETS, SECRET_HOURS, Account, Token, new_client_id, new_token
from airflow_provider_atlas.sandbox.clusters import make
from airflow_provider_atlas.sandbox.faults import ENDPOINTS, Fault
from airflow_provider_atlas.sandbox.knobs import Knobs
from airflow_provider_atlas.sandbox.limits import FixedWindow, TokenBuckets

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from airflow_provider_atlas.sandbox.accounts import Secret
    from airflow_provider_atlas.sandbox.clusters import Cluster
    from airflow_provider_atlas.sandbox.jobs import Job
    from airflow_provider_atlas.sandbox.requests import AtlasRequest


@dataclass(frozen=True)
class Counters:
    """
    A snapshot. It counts what clients did, and not what a test did through Python.

    :param token_requests: requests to the token endpoint, with any result
    :param issued: access tokens issued
    :param credentials_refused: responses of a token endpoint to credentials that are not valid (400 and 401)
    :param rate_limited: 429 responses of both token endpoints
    :param cap_refused: 403 responses for the cap
    :param revoke_requests: requests to the revocation endpoint, with any result
    :param revoked: tokens that were active when a client revoked them
    :param active: tokens that are active now, of all accounts
    :param api_requests: requests to the Administration API, with any result
    :param api_unauthorized: 401 responses of the Administration API
    :param api_rate_limited: 429 responses of the Administration API
    :param cluster_changes: clusters created, changed or deleted
    :param jobs: snapshots, restores, exports and search indexes started
    :param faults: requests that got a fault on demand
    """

    token_requests: int = 0
    issued: int = 0
    credentials_refused: int = 0
    rate_limited: int = 0
    cap_refused: int = 0
    revoke_requests: int = 0
    revoked: int = 0
    active: int = 0
    api_requests: int = 0
    api_unauthorized: int = 0
    api_rate_limited: int = 0
    cluster_changes: int = 0
    jobs: int = 0
    faults: int = 0


@dataclass(kw_only=True, eq=False, repr=False)
class AtlasState(Knobs):
    """
    Accounts, tokens, limits, faults and counters, without HTTP. ``Sandbox`` adds the server, and its documentation has
    what tests may use; the rest is for the endpoints. They hold ``lock`` from their first check to their last change.
    """

    client_id: str = ""
    client_secret: str = ""
    clock: Callable[[], float] = time.time

    def __post_init__(self) -> None:
        super().__post_init__()
        self.lock = threading.RLock()
        self.windows = FixedWindow(self.clock)
        self.buckets = TokenBuckets(self.clock)
        self.faults: dict[str, deque[Fault]] = {endpoint: deque() for endpoint in ENDPOINTS}
        self._tokens: dict[str, Token] = {}
        self._issued: dict[str, None] = {}
        self._tally: Counter[str] = Counter()
        self.client_id = self.client_id or new_client_id()
        self.created = self.clock()
        self.clusters: dict[int, dict[str, Cluster]] = {}
        self.jobs: dict[str, Job] = {}
        self.accounts: dict[str, Account] = {}
        self.client_secret = self._new_account(Account(self.client_id, created=self.clock()), self.client_secret)

    @property
    def counters(self) -> Counters:
        with self.lock:
            return Counters(**self._tally, active=self.active())

    def reset_counters(self) -> None:
        with self.lock:
            self._tally.clear()

    def count(self, name: str) -> None:
        with self.lock:
            self._tally[name] += 1

    def _new_account(self, account: Account, secret: str = "") -> str:
        with self.lock:
            self.accounts[account.client_id] = account
            return account.add_secret(self.clock(), SECRET_HOURS[-1], secret).value

    def add_account(
        self, rights: bool = True, error_code: str = "USER_UNAUTHORIZED", roles: tuple[str, ...] = ("ORG_OWNER",)
    ) -> tuple[str, str]:
        """
        Create another service account.

        :param rights: False for an account whose every Administration API request ends in a 401
        :param error_code: ``errorCode`` of that 401; Atlas may leave it empty
        :param roles: ``ORG_OWNER`` may manage service accounts, ``GROUP_OWNER`` those of projects; ``ORG_READ_ONLY``
            and ``GROUP_READ_ONLY`` may list them. Other roles may do all but that
        :return: client id and secret
        """
        account = Account(new_client_id(), None if rights else error_code, roles, self.clock())
        return account.client_id, self._new_account(account)

    def add_secret(self, client_id: str, hours: float = SECRET_HOURS[-1]) -> str:
        """
        Create a second secret for the account, which leaves the first 7 days at most; a third is a ValueError.

        :param hours: how long it is valid; any number, also one that Atlas refuses
        """
        with self.lock:
            account = self.accounts.get(client_id)
            if account is None:
                raise ValueError("the client id must be one of this sandbox's service accounts")
            if len(account.secrets) >= MAX_SECRETS:
                raise ValueError(f"a service account has at most {MAX_SECRETS} secrets: delete one first")
            return account.add_secret(self.clock(), hours).value

    def delete_secret(self, secret: str) -> None:
        """Delete a secret. The tokens that it requested are revoked at once."""
        with self.lock:
            account, found = self._secret(secret)
            account.secrets.remove(found)
            self._tokens = {value: token for value, token in self._tokens.items() if token.secret != secret}

    def expire_secret(self, secret: str) -> None:
        """Let a secret expire now. Its tokens stay active, and it still takes one of the account's two slots."""
        with self.lock:
            self._secret(secret)[1].expires = self.clock()

    def _secret(self, value: str) -> tuple[Account, Secret]:
        for account in self.accounts.values():
            for secret in account.secrets:
                if secret.value == value:
                    return account, secret
        raise ValueError("the secret must be one of this sandbox's service accounts")

    def add_cluster(
        self,
        name: str,
        size: str = "M10",
        tags: Mapping[str, str] | None = None,
        project: int = 0,
        paused: bool = False,
    ) -> str:
        """
        Create a cluster that is ready, in the project with this number, and return the project's id.

        :param size: instance size, as ``M10``; ``M0``, ``M2`` and ``M5`` refuse changes, ``FLEX`` makes a flex cluster
        :param tags: its tags
        :param paused: True for a paused cluster
        """
        with self.lock:
            cluster = make(project, name, self.clock(), size, dict(tags or {}))
            cluster.paused_since = self.clock() if paused else None
            self.clusters.setdefault(project, {})[name] = cluster
            return cluster.group_id

    def issue(self, client_id: str, secret: str, lifetime: float) -> str:
        """Issue an access token that expires after ``lifetime`` seconds."""
        with self.lock:
            token = Token(new_token(), client_id, secret, self.clock() + lifetime)
            self._tokens[token.value] = token
            self._issued[token.value] = None
            self._tally["issued"] += 1
            return token.value

    def owner(self, token: str) -> Account | None:
        """Return the account of an active token; None for any other string."""
        with self.lock:
            found = self._tokens.get(token)
            return self.accounts[found.client_id] if found and self.clock() < found.expires_at else None

    def active(self, client_id: str | None = None) -> int:
        """Count the active tokens, of one account or of all."""
        with self.lock:
            now = self.clock()
            self._tokens = {value: token for value, token in self._tokens.items() if now < token.expires_at}
            return sum(client_id in (None, token.client_id) for token in self._tokens.values())

    @property
    def issued(self) -> tuple[str, ...]:
        """Every token ever issued, so that a test can search for them. No page shows them."""
        with self.lock:
            return tuple(self._issued)

    def is_active(self, token: str) -> bool:
        return self.owner(token) is not None

    def revoke(self, token: str) -> None:
        """Revoke a token as another client would, without counting it. A ValueError if it was never issued."""
        with self.lock:
            if token not in self._issued:
                raise ValueError("the token must be one that this sandbox issued")
            self._tokens.pop(token, None)

    def expire(self, token: str) -> None:
        """Let a token expire now. A client cannot tell it from a revoked one. A ValueError if it was never issued."""
        self.revoke(token)

    def fail_next(
        self,
        endpoint: str,
        times: int = 1,
        status: int | None = None,
        body: bytes | str = b"",
        headers: Mapping[str, str] | None = None,
        kind: str = "answer",
        seconds: float | None = None,
        error_code: str = "",
        parameters: Sequence[Any] = (),
        method: str | None = None,
        path: str = "",
    ) -> None:
        """
        Give the next requests to an endpoint a fault. Faults that are queued there already come first.

        :param endpoint: ``token``, ``revoke`` or ``api``
        :param times: how many requests

        The other parameters are those of :class:`~airflow_provider_atlas.sandbox.faults.Fault`.
        """
        body = body.encode() if isinstance(body, str) else body
        fault = Fault(kind, status, body, dict(headers or {}), seconds, error_code, tuple(parameters), method, path)
        if endpoint not in self.faults:
            raise ValueError(f"endpoint must be one of {', '.join(ENDPOINTS)}")
        if times < 1:
            raise ValueError("times must be at least 1")
        with self.lock:
            self.faults[endpoint].extend([fault] * times)

    def refuse_next(
        self, error_code: str, times: int = 1, method: str | None = None, path: str = "", parameters: Sequence[Any] = ()
    ) -> None:
        """
        Refuse the next requests to the Administration API with one of Atlas's error codes and its status.

        The parameters are those of ``fail_next``, which takes other statuses and other faults as well.
        """
        self.fail_next("api", times, error_code=error_code, method=method, path=path, parameters=parameters)

    def take_fault(self, endpoint: str, request: AtlasRequest) -> Fault | None:
        """Return the first fault that is queued for this request, and remove it."""
        with self.lock:
            for fault in self.faults[endpoint]:
                if fault.method in (None, request.method) and fault.path in request.path:
                    self.faults[endpoint].remove(fault)
                    self.count("faults")
                    return fault
        return None
