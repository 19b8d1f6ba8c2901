"""Wait until the client secret of a connection expires soon."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseSensorOperator, PokeReturnValue

from airflow_provider_atlas import metrics
from airflow_provider_atlas.frames import cleared
from airflow_provider_atlas.hooks.service_account import AtlasServiceAccountHook

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

log = logging.getLogger(__name__)


class AtlasSecretExpirySensor(BaseSensorOperator):
    """
    True once the client secret in use expires within some time. Reports ``atlas.secret.days_left`` at each look.

    Its XCom has ``secret_id`` and ``expires_at``, ISO 8601 in UTC. If the service account has two secrets and no
    rotation has recorded which one the connection holds, it is the first of them to expire.

    :param within: how long before the expiry.
    :param org_id: the organization that the service account belongs to, or
    :param project_id: the project. One of the two.
    :param atlas_conn_id: id of the connection.
    :raises AtlasApiError: if the account may not see its secrets.
    """

    template_fields: Sequence[str] = ("org_id", "project_id", "atlas_conn_id")

    def __init__(
        self,
        *,
        within: timedelta = timedelta(days=14),
        org_id: str | None = None,
        project_id: str | None = None,
        atlas_conn_id: str = AtlasServiceAccountHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.within = within
        self.org_id = org_id
        self.project_id = project_id
        self.atlas_conn_id = atlas_conn_id

    @cleared
    def poke(self, context: Context) -> bool | PokeReturnValue:
        """Look once."""
        from airflow_provider_atlas.cache.variables import Variables, rotation_names_for
        from airflow_provider_atlas.exceptions import AtlasApiError, StoreUnavailable
        from airflow_provider_atlas.hooks.rotation import Memory

        with AtlasServiceAccountHook(self.atlas_conn_id) as hook:
            secrets = hook.client_secrets(self.org_id, self.project_id)
        account = hook.settings.account
        if not secrets:
            raise AtlasApiError("Atlas lists no client secret of the service account")
        try:
            memory = Memory.parse(Variables().read(rotation_names_for(account).record))
        except StoreUnavailable:
            memory = Memory()
        secret = memory.current(account, secrets) or min(secrets, key=lambda each: each.expires_at)
        left = secret.left()
        metrics.days_left(account.client_id, left / timedelta(days=1))
        if left > self.within:
            log.info("The client secret %s is valid for %d days.", secret.id, left.days)
            return False
        log.warning("The client secret %s expires on %s, in %d days.", secret.id, secret.expires_at, left.days)
        return PokeReturnValue(True, {"secret_id": secret.id, "expires_at": secret.expires_at.isoformat()})
