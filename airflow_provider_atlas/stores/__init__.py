"""Where a rotated client secret is written: a protocol, and the stores that implement it.

A store is where the connection is read from: Airflow's own database or a secrets backend. Each implementation uses the
hook of the store's official provider, which is an extra of this package.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable


@runtime_checkable
class SecretStore(Protocol):
    """
    Holds the client secret of a connection. Whatever its methods raise, the rotation reports the type of it only.

    A store logs no secret and puts none into a process argument.
    """

    def check(self, conn_id: str, client_id: str) -> None:
        """
        Raise if the connection is not in this store, is another service account's, or cannot be written.

        Called before a secret is created.
        """

    def write(self, conn_id: str, client_id: str, new: str, previous: str) -> None:
        """
        Replace the client secret. If the previous one is written again, to undo a write, both are the same.

        :param conn_id: id of the connection that is read from this store.
        :param client_id: the service account's.
        :param new: the client secret from now on.
        :param previous: the one before, for the connection's extra ``previous_secret`` if the store has room for it.
        """
