"""HashiCorp Vault and OpenBao, through the HashiCorp provider's hook."""

from __future__ import annotations

from typing import Any

from airflow_provider_atlas.exceptions import SecretStoreUnavailable
from airflow_provider_atlas.stores.shapes import load, replaced


class VaultStore:
    """
    A secret of a KV engine, version 2, that Airflow's Vault backend reads the connection from.

    Needs the extra ``vault``. The secret has the fields of a connection (``login``, ``password``, ``extra`` ...), not
    ``conn_uri``. A write that comes after somebody else's is refused by Vault's check-and-set.

    :param secret_path: of the secret in the engine, such as ``connections/atlas_default``.
    :param vault_conn_id: connection of type ``vault``; its schema is the mount point. Its token must be allowed to read
        and to update the secret.
    """

    def __init__(self, secret_path: str, *, vault_conn_id: str = "vault_default") -> None:
        self.secret_path = secret_path
        self.vault_conn_id = vault_conn_id

    def check(self, conn_id: str, client_id: str) -> None:
        """See ``SecretStore``. Writes a version with the same content."""
        hook, entry, version = self._read()
        replaced(entry, client_id, "", "")
        hook.create_or_update_secret(self.secret_path, entry, cas=version)

    def write(self, conn_id: str, client_id: str, new: str, previous: str) -> None:
        """See ``SecretStore``."""
        hook, entry, version = self._read()
        hook.create_or_update_secret(self.secret_path, replaced(entry, client_id, new, previous), cas=version)

    def _read(self) -> tuple[Any, dict[str, Any], int]:
        from airflow.providers.hashicorp.hooks.vault import VaultHook

        hook = VaultHook(vault_conn_id=self.vault_conn_id)
        found = hook.get_secret_including_metadata(self.secret_path)
        if not found:
            raise SecretStoreUnavailable("Vault has no secret at this path")
        return hook, load(found["data"]["data"]), int(found["data"]["metadata"]["version"])
