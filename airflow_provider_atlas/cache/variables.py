"""Airflow Variables as the deployment scope needs them: read, write, remove; any trouble is one type of error.

Variables are what every task on every worker of every executor can read and write, with no further service. They have
no compare-and-set and no expiry, and their content is encrypted with Airflow's Fernet key only where there is one.
"""

from __future__ import annotations

import logging
from typing import Protocol

from airflow_provider_atlas.exceptions import StoreUnavailable

log = logging.getLogger(__name__)

_warned: set[str] = set()


def warn_once(name: str, message: str) -> None:
    """Log a warning about a Variable, once in the life of the process."""
    if name not in _warned:
        _warned.add(name)
        log.warning("%s", message)


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

    description = "Written by airflow-provider-atlas. Holds sealed Atlas tokens, if any; remove it at will."

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
            Variable.set(name, text, description=self.description)
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
