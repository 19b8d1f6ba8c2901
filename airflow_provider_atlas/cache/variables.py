"""Airflow Variables as the deployment scope needs them: names, read, write, remove; each failure is one type of error.

Variables are what every task on every worker of every executor can read and write, with no further service. They have
no compare-and-set and no expiry, and their content is encrypted with Airflow's Fernet key only where there is one.
"""

from __future__ import annotations

import hashlib
import logging
from typing import NamedTuple, Protocol

from airflow_provider_atlas.exceptions import StoreUnavailable
from airflow_provider_atlas.oauth.account import ServiceAccount

log = logging.getLogger(__name__)

_warned: set[str] = set()


def warn_once(message: str, level: int = logging.WARNING) -> None:
    """Log a line about the store, once in a process."""
    if message not in _warned:
        _warned.add(message)
        log.log(level, "%s", message)


def not_kept(name: str) -> StoreUnavailable:
    """The error for a Variable that was written and that no read confirms."""
    return StoreUnavailable(
        f"The Variable {name} does not keep what is written: an environment variable or a secrets backend may hide it"
    )


class Names(NamedTuple):
    """The Variables of one service account."""

    token: str
    claim: str
    holder: str


def names_for(account: ServiceAccount) -> Names:
    """
    The names of a service account's Variables; the same for each of its secrets.

    Airflow redacts the token's value because of its name. The others' must not be redacted: they hold no secret, and
    Airflow 3's API server keeps a mask of each value that it read under such a name, and gets slower with each.
    """
    suffix = _suffix(account)
    return Names(f"atlas_access_token_{suffix}", f"atlas_renewal_claim_{suffix}", f"atlas_renewal_holder_{suffix}")


class RotationNames(NamedTuple):
    """The Variables of the rotation of a service account's client secret. They hold no secret."""

    record: str
    claim: str
    holder: str


def rotation_names_for(account: ServiceAccount) -> RotationNames:
    """The names for a service account; the same for each of its secrets."""
    suffix = _suffix(account)
    return RotationNames(
        f"atlas_rotation_{suffix}", f"atlas_rotation_claim_{suffix}", f"atlas_rotation_holder_{suffix}"
    )


def _suffix(account: ServiceAccount) -> str:
    return hashlib.sha256(f"{account.base_url}\n{account.client_id}".encode()).hexdigest()[:12]


class Store(Protocol):
    """A place for texts by name, shared by everybody. All methods raise :class:`StoreUnavailable`."""

    def read(self, name: str) -> str | None:
        """The text, ``None`` if there is none."""

    def write(self, name: str, text: str) -> None:
        """Write, last one wins."""

    def remove(self, name: str) -> None:
        """Remove, if it is there."""


class Variables:
    """:class:`Store` on Airflow's Variables."""

    def __init__(self, description: str = "Holds sealed Atlas tokens, if any; remove it at will.") -> None:
        self._description = f"Written by airflow-provider-atlas. {description}"

    def read(self, name: str) -> str | None:
        """See :class:`Store`. On Airflow 3 a backend that fails reads as not found."""
        from airflow.providers.common.compat.sdk import Variable

        try:
            try:
                value = Variable.get(name, default=None)
            except TypeError:  # 2.11 has another name for it
                value = Variable.get(name, default_var=None)  # type: ignore[call-arg]
        except Exception as error:  # noqa: BLE001 - whatever the backend raises, and it may quote the value
            failure = type(error).__name__
        else:
            return None if value is None else str(value)
        raise StoreUnavailable(f"Airflow's Variables cannot be read ({failure})")

    def write(self, name: str, text: str) -> None:
        """See :class:`Store`."""
        from airflow.providers.common.compat.sdk import Variable

        try:
            Variable.set(name, text, description=self._description)
        except Exception as error:  # noqa: BLE001 - see above
            failure = type(error).__name__
        else:
            return
        raise StoreUnavailable(f"Airflow's Variables cannot be written ({failure})")

    def remove(self, name: str) -> None:
        """See :class:`Store`."""
        from airflow.providers.common.compat.sdk import Variable

        try:
            Variable.delete(name)
        except Exception as error:  # noqa: BLE001 - see above
            failure = type(error).__name__
        else:
            return
        raise StoreUnavailable(f"Airflow's Variables cannot be removed ({failure})")
