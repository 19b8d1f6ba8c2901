"""The rotation of a client secret: create, store, verify, and retire the old one in a later run.

Each step leaves a state from which the next run goes on, whatever ended this one. A new secret is shown once, so it is
lost if the run ends before the store has it. A lost secret takes one of the two slots, and is deleted by the next run.
What tells a lost secret from one in use is written into an Airflow Variable before and after the creation: the ids that
were there before, and which secret belongs to which id (Atlas documents no other mapping). It holds fingerprints only.

=============================  ========================================================================================
the run ends                   the next run
=============================  ========================================================================================
before the creation            starts anew
between creation and store     deletes the new secret, whose value is lost, and starts anew
after the store has it         verifies it and records it
before the old one is deleted  deletes it once it was not used for as long as a token lives
=============================  ========================================================================================

One run at a time: a claim (:mod:`airflow_provider_atlas.cache.claim`) keeps a second one out.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import mask_secret

from airflow_provider_atlas import metrics
from airflow_provider_atlas.cache.claim import Claim, read_surely
from airflow_provider_atlas.cache.refusals import SKEW
from airflow_provider_atlas.cache.variables import Variables, not_kept, rotation_names_for
from airflow_provider_atlas.exceptions import (
    AtlasApiError,
    AtlasError,
    ClientSecretsInUse,
    ConnectionNotFound,
    InvalidClient,
    RotatedElsewhere,
    RotationUnderWay,
    SecretNotStored,
    SecretStoreUnavailable,
    StoreUnavailable,
)
from airflow_provider_atlas.hooks.tokens import Tokens

if TYPE_CHECKING:
    from airflow_provider_atlas.hooks.client_secrets import ClientSecret, ClientSecrets
    from airflow_provider_atlas.hooks.settings import Settings
    from airflow_provider_atlas.oauth.account import ServiceAccount
    from airflow_provider_atlas.stores import SecretStore

log = logging.getLogger(__name__)

#: Seconds for which a run holds the claim. Nothing is deleted or stored after that.
HOLD = 300.0
#: Seconds for which the store may fail, and the new secret take to show in the connection and to be accepted by Atlas.
SETTLING = 60.0
#: Seconds that a write of the store may take. None begins later than that before the claim ends.
WRITE = 100.0
#: Seconds between two looks.
POLL = 2.0
#: A secret is unused once it was not used for so many seconds: its last token has expired, by every clock.
UNUSED = 3600.0 + SKEW


@dataclass
class Memory:
    """
    What earlier runs recorded about a service account. It holds no secret.

    :param known: the fingerprint of the secret that belongs to an id.
    :param rotated_at: when a run last ended a rotation, epoch seconds.
    :param before: the ids before a creation that has not ended yet; ``None`` if none has begun.
    :param began: when that creation began, epoch seconds.
    :param stored: fingerprint of the connection's secret at that time.
    :param conn_id: the connection through which the account is rotated.
    """

    known: dict[str, str] = field(default_factory=dict)
    rotated_at: float = 0.0
    before: list[str] | None = None
    began: float = 0.0
    stored: str = ""
    conn_id: str = ""

    @classmethod
    def parse(cls, text: str | None) -> Memory:
        """Read what is recorded; nothing, if it cannot be understood."""
        try:
            memory = cls(**json.loads(text or "{}"))
            dict.fromkeys((*memory.known.items(), *(memory.before or ())))
            return replace(memory, rotated_at=float(memory.rotated_at), began=float(memory.began))
        except (ValueError, TypeError, AttributeError, RecursionError):
            return cls()

    def current(self, account: ServiceAccount, secrets: list[ClientSecret]) -> ClientSecret | None:
        """Which secret in Atlas is the account's own: the recorded one, or the only one that can be, if it works."""
        mark = fingerprint(account)
        recorded = [secret for secret in secrets if self.known.get(secret.id) == mark]
        unknown = [secret for secret in secrets if secret.id not in self.known]
        possible = recorded or [secret for secret in unknown if not secret.has_expired()] or unknown
        return possible[0] if len(possible) == 1 else None


def fingerprint(account: ServiceAccount) -> str:
    """Identifies account and secret in the record."""
    return account.fingerprint[:16]


class Rotation:
    """
    One run of the rotation.

    :param conn_id: the connection whose client secret is rotated.
    :param read: reads it anew at each call.
    :param api: the client secrets in Atlas, as an account sees them that may change them.
    :param store: where the connection is read from.
    :param valid_for: lifetime of a new secret.
    :param rotate_before: rotate when the secret in use expires within this time.
    """

    def __init__(
        self,
        conn_id: str,
        read: Callable[[], Settings],
        api: ClientSecrets,
        store: SecretStore,
        *,
        valid_for: timedelta,
        rotate_before: timedelta,
    ) -> None:
        self._conn_id = conn_id
        self._read = read
        self._api = api
        self._store = store
        self._valid_for = valid_for
        self._rotate_before = rotate_before
        self._variables = Variables("Tells which client secret a connection has; keep it.")
        self._retired: list[str] = []

    def run(self) -> dict[str, Any] | None:
        """
        Finish or undo what an earlier run left, retire what nobody uses any more, rotate if it is due.

        :return: ``secret_id`` and ``expires_at`` of the secret in use, ``retired``; ``None`` if nothing was to do.
        :raises ClientSecretsInUse: if both slots are taken and it is not certain which secret nobody uses.
        :raises RotatedElsewhere: if the account is rotated through another connection.
        """
        self._names = rotation_names_for(self._read().account)
        with self._claimed() as self._claim:
            settings = self._read()  # another run may have stored a new secret while this one waited
            memory = Memory.parse(read_surely(self._variables, self._names.record, time.sleep))
            if memory.conn_id not in ("", self._conn_id):
                raise RotatedElsewhere(f"The service account is rotated through the connection {memory.conn_id}")
            finished = memory.before is not None and self._finish(memory, settings)
            secrets = self._api.read()
            current = memory.current(settings.account, secrets)
            if current is None:
                listed = " and ".join(map(str, secrets)) or "none in Atlas"
                raise ClientSecretsInUse(f"It is not known which client secret the connection holds: {listed}")
            self._know(memory, current, settings)
            secrets = self._retire(memory, current, secrets)
            due = current.left() <= self._rotate_before
            if due:
                others = " and ".join(str(secret) for secret in secrets if secret.id != current.id)
                if others:
                    raise ClientSecretsInUse(f"The connection holds {current.id}, and {others} takes the other slot")
                current = self._rotate(memory, settings, current)
            metrics.days_left(settings.account.client_id, current.left() / timedelta(days=1))
            if not (due or finished or self._retired):
                return None
            return {"secret_id": current.id, "expires_at": current.expires_at.isoformat(), "retired": self._retired}

    # What an earlier run left.

    def _finish(self, memory: Memory, settings: Settings) -> bool:
        """End a creation that an earlier run began; return whether its secret is in use now."""
        mark, secrets = fingerprint(settings.account), self._api.read()
        new = [secret for secret in secrets if secret.id not in (memory.before or ())]
        ours = [secret for secret in new if memory.known.get(secret.id) == mark]
        if ours:
            log.info("The client secret %s of an earlier run is stored; verifying it.", ours[0].id)
            self._verify(settings)
            self._end(memory, secrets)
            return True
        for secret in new:
            if self._is_lost(memory, secret, mark):
                if secret.id in memory.known:  # it may be stored after all, and not show here yet
                    self._write(settings.account, settings.account.client_secret)
                log.info("Deleting the client secret %s: an earlier run ended before it was stored.", secret.id)
                self._delete(secret.id)
                memory.known.pop(secret.id, None)
        self._end(memory, secrets, rotated=False)
        return False

    @staticmethod
    def _is_lost(memory: Memory, secret: ClientSecret, mark: str) -> bool:
        """
        Whether nobody can have the value of a secret: created by our request, never used, and not stored.

        If the connection has another secret than at that time, somebody has changed it by hand: it may be this one.
        """
        late = secret.created_at.timestamp() - memory.began
        return mark == memory.stored and secret.last_used_at is None and -SKEW < late < HOLD + SKEW

    def _retire(self, memory: Memory, current: ClientSecret, secrets: list[ClientSecret]) -> list[ClientSecret]:
        """Delete what nobody uses any more; return what is left."""
        for secret in secrets:
            if secret.id == current.id:
                continue
            if secret.has_expired():
                why = "it has expired"
            elif secret.id in memory.known and self._is_unused(memory, secret):
                why = "the connection has another one, and this one is no longer used"
            else:
                log.info("The client secret %s stays for now.", secret)
                continue
            log.info("Deleting the client secret %s: %s.", secret, why)
            self._delete(secret.id)
            self._retired.append(secret.id)
            memory.known.pop(secret.id, None)
        if self._retired:
            self._save(memory)
        return [secret for secret in secrets if secret.id not in self._retired]

    @staticmethod
    def _is_unused(memory: Memory, secret: ClientSecret) -> bool:
        last = max((secret.last_used_at or secret.created_at).timestamp(), memory.rotated_at)
        return time.time() - last > UNUSED

    # A new secret.

    def _rotate(self, memory: Memory, settings: Settings, old: ClientSecret) -> ClientSecret:
        account = settings.account
        self._guarded(lambda: self._store.check(self._conn_id, account.client_id))
        memory.known = {old.id: fingerprint(account)}
        memory.before, memory.began, memory.stored = [old.id], time.time(), fingerprint(account)
        self._save(memory)
        self._check_claim()
        try:
            new, value = self._api.create(self._valid_for)
        except AtlasApiError as error:
            # Nothing was created, except perhaps before a time-out (408).
            if error.status is not None and 400 <= error.status < 500 and error.status != 408:
                memory.before = None
                self._save(memory)
            raise
        # Before anything else sees it.
        mask_secret(value)
        after = account.with_secret("The new client secret", value)
        for text in after.secrets:
            mask_secret(text)
        log.info("Created the client secret %s. The one in use, %s, expires within 7 days.", new.id, old.id)
        memory.known[new.id] = fingerprint(after)
        self._save(memory)
        self._write(account, value)
        self._verify(self._read_back(after))
        self._end(memory, [old, new])
        log.info("The connection %s holds the client secret %s now.", self._conn_id, new.id)
        return new

    def _write(self, account: ServiceAccount, value: str) -> None:
        """Write a secret. Nobody else has a new one, so a store that fails is asked again for some time."""
        failure: AtlasError | None = None
        for _ in self._looks():
            try:
                self._check_claim(WRITE)
                self._guarded(lambda: self._store.write(self._conn_id, account.client_id, value, account.client_secret))
                return
            except (SecretStoreUnavailable, StoreUnavailable) as error:
                if failure is None:
                    log.warning("%s Trying again for %.0f s.", error, SETTLING)
                failure = error
        raise failure or SecretStoreUnavailable()

    def _read_back(self, after: ServiceAccount) -> Settings:
        """Read the connection until it shows the new secret."""
        for _ in self._looks():
            try:
                settings = self._read()
            except ConnectionNotFound:  # a secrets backend that failed once
                continue
            if settings.account == after:
                return settings
        raise SecretNotStored()

    def _verify(self, settings: Settings) -> None:
        """Try the new secret until Atlas accepts it."""
        failure = None
        for _ in self._looks():
            try:
                return self._try(settings)
            except InvalidClient as error:
                failure = error
        raise failure or InvalidClient()

    @staticmethod
    def _try(settings: Settings) -> None:
        """Request a token with the connection's secret and revoke it."""
        tokens = Tokens(settings)
        tokens.revoke_or_warn(tokens.generate(settings.max_wait), settings.max_wait)

    @staticmethod
    def _looks() -> Iterator[None]:
        end = time.monotonic() + SETTLING
        yield
        while time.monotonic() < end:
            time.sleep(POLL)
            yield

    # The record and the claim.

    def _know(self, memory: Memory, current: ClientSecret, settings: Settings) -> None:
        """Record, while it is certain, which secret is the connection's. One that has expired cannot be tried."""
        if memory.known.get(current.id) != fingerprint(settings.account):
            if not current.has_expired():
                self._try(settings)
            memory.known[current.id] = fingerprint(settings.account)
            self._save(memory)

    def _end(self, memory: Memory, secrets: list[ClientSecret], *, rotated: bool = True) -> None:
        """Record that no creation is under way."""
        ids = {secret.id for secret in secrets}
        memory.known = {key: mark for key, mark in memory.known.items() if key in ids}
        memory.before, memory.rotated_at = None, time.time() if rotated else memory.rotated_at
        self._save(memory)

    def _save(self, memory: Memory) -> None:
        self._check_claim()
        memory.conn_id = self._conn_id
        text = json.dumps(asdict(memory))
        self._variables.write(self._names.record, text)
        if self._variables.read(self._names.record) != text:
            raise not_kept(self._names.record)

    def _delete(self, secret_id: str) -> None:
        self._check_claim()
        self._api.delete(secret_id)

    @staticmethod
    def _guarded(call: Callable[[], object]) -> None:
        """Call a store. What it raises may quote the secret, so only its type is told."""
        try:
            call()
            return
        except AtlasError:
            raise
        except Exception as error:  # noqa: BLE001 - see above
            failure = type(error).__name__
        raise SecretStoreUnavailable(f"The store of the client secret cannot be written ({failure})")

    def _check_claim(self, seconds: float = 0.0) -> None:
        if not self._claim.stands(seconds):
            raise RotationUnderWay("This run took longer than it may, and another one may be under way")

    @contextmanager
    def _claimed(self) -> Iterator[Claim]:
        """Wait for another run, or until one that was killed would have ended."""
        claim = Claim(
            self._variables,
            self._names.claim,
            self._names.holder,
            clock=time.time,
            monotonic=time.monotonic,
            sleep=time.sleep,
        )
        end = time.monotonic() + HOLD + POLL
        while True:
            if not claim.look()[0]:
                with claim.held(HOLD) as ours:
                    if ours:
                        yield claim
                        with suppress(StoreUnavailable):  # it goes stale
                            claim.remove()
                        return
            if time.monotonic() > end:
                raise RotationUnderWay()
            time.sleep(POLL)
