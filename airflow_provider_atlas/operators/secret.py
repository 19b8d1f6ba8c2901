"""Rotate the client secret of a connection as a task."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowSkipException, BaseOperator

from airflow_provider_atlas.frames import cleared
from airflow_provider_atlas.hooks.service_account import AtlasServiceAccountHook
from airflow_provider_atlas.stores import SecretStore

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context


class RotateClientSecretOperator(BaseOperator):
    """
    Replace the client secret of a connection, in Atlas and in the store that the connection is read from.

    A run first finishes or undoes what an earlier run left, then deletes secrets that nobody uses any more, then
    creates and stores a new secret if the one in use expires soon. Nothing to do is a skip. Returns ``secret_id`` and
    ``expires_at`` of the secret in use, and ``retired``, the ids of the deleted ones; never a secret.

    .. seealso:: MongoDB Atlas documentation, "Service Accounts": at most two secrets; a new one leaves 7 days to the
        other.

    :param store: a :class:`~airflow_provider_atlas.stores.SecretStore`, or a function of ``conn_id``, ``client_id``,
        the new and the previous secret that stores the new one. While it raises, it is called again for a minute.
    :param org_id: the organization that the service account belongs to, or
    :param project_id: the project. One of the two.
    :param expires_after: lifetime of a new secret, in whole hours. The organization limits it.
    :param rotate_before: rotate when the secret in use expires within this time.
    :param admin_conn_id: connection of another service account, for accounts that may not manage their own secrets.
    :param atlas_conn_id: the connection whose client secret is rotated.
    :raises ClientSecretsInUse: if both slots are taken, and it is not certain which of the secrets nobody uses.
    :raises SecretNotStored: if the store accepts the new secret and the connection keeps the old one.
    """

    template_fields: Sequence[str] = ("org_id", "project_id", "admin_conn_id", "atlas_conn_id")

    def __init__(
        self,
        *,
        store: SecretStore | Callable[[str, str, str, str], object],
        org_id: str | None = None,
        project_id: str | None = None,
        expires_after: timedelta = timedelta(days=90),
        rotate_before: timedelta = timedelta(days=14),
        admin_conn_id: str | None = None,
        atlas_conn_id: str = AtlasServiceAccountHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if expires_after % timedelta(hours=1):
            raise ValueError("expires_after must be whole hours, as Atlas counts a secret's lifetime")
        if expires_after <= rotate_before:
            raise ValueError("expires_after must be longer than rotate_before: else each run would rotate")
        self.store = store
        self.org_id = org_id
        self.project_id = project_id
        self.expires_after = expires_after
        self.rotate_before = rotate_before
        self.admin_conn_id = admin_conn_id
        self.atlas_conn_id = atlas_conn_id

    @cleared
    def execute(self, context: Context) -> dict[str, Any]:
        from airflow_provider_atlas.hooks.client_secrets import ClientSecrets
        from airflow_provider_atlas.hooks.rotation import Rotation

        client_id = AtlasServiceAccountHook(self.atlas_conn_id).settings.account.client_id
        with AtlasServiceAccountHook(self.admin_conn_id or self.atlas_conn_id) as admin:
            result = Rotation(
                self.atlas_conn_id,
                lambda: AtlasServiceAccountHook(self.atlas_conn_id).settings,
                ClientSecrets(admin.run, client_id, org_id=self.org_id, project_id=self.project_id),
                self.store if isinstance(self.store, SecretStore) else _Function(self.store),
                valid_for=self.expires_after,
                rotate_before=self.rotate_before,
            ).run()
        if result is None:
            raise AirflowSkipException("The client secret is valid for long enough, and there is none to delete.")
        return result


class _Function:
    """A function as a store. Whether it works is known only once it is called."""

    def __init__(self, write: Callable[[str, str, str, str], object]) -> None:
        self._write = write

    def check(self, conn_id: str, client_id: str) -> None:
        """See ``SecretStore``."""

    def write(self, conn_id: str, client_id: str, new: str, previous: str) -> None:
        """See ``SecretStore``."""
        self._write(conn_id, client_id, new, previous)
