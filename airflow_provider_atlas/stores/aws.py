"""AWS Secrets Manager, through the Amazon provider's hook."""

from __future__ import annotations

import json
from typing import Any

from airflow_provider_atlas.stores.shapes import load, replaced

#: Staging label of the version that :meth:`AwsSecretsManagerStore.check` writes. AWSCURRENT stays where it is.
CHECK_LABEL = "AIRFLOWCHECK"


class AwsSecretsManagerStore:
    """
    A secret in AWS Secrets Manager that Airflow's backend reads the connection from.

    Needs the extra ``aws``. The secret is an Airflow connection as JSON, or has the form that AWS rotates by itself
    (``clientId``, ``clientSecret``, ``orgId``; see :mod:`airflow_provider_atlas.stores.shapes`). Do not rotate a secret
    that AWS rotates: one of the two deletes what the other created.

    :param secret_id: name or ARN of the secret, such as ``airflow/connections/atlas_default``.
    :param aws_conn_id: connection of type ``aws``; needs ``GetSecretValue`` and ``PutSecretValue`` for the secret.
    :param region_name: instead of the connection's.
    """

    def __init__(self, secret_id: str, *, aws_conn_id: str = "aws_default", region_name: str | None = None) -> None:
        self.secret_id = secret_id
        self.aws_conn_id = aws_conn_id
        self.region_name = region_name

    def check(self, conn_id: str, client_id: str) -> None:
        """See ``SecretStore``. Writes a version with the same content and a label of its own."""
        entry = self._read()
        replaced(entry, client_id, "", "")
        self._write(entry, VersionStages=[CHECK_LABEL])

    def write(self, conn_id: str, client_id: str, new: str, previous: str) -> None:
        """See ``SecretStore``."""
        self._write(replaced(self._read(), client_id, new, previous))

    def _read(self) -> dict[str, Any]:
        return load(self._hook().get_secret(self.secret_id))

    def _write(self, entry: dict[str, Any], **stages: Any) -> None:
        self._hook().get_conn().put_secret_value(SecretId=self.secret_id, SecretString=json.dumps(entry), **stages)

    def _hook(self) -> Any:
        from airflow.providers.amazon.aws.hooks.secrets_manager import SecretsManagerHook
        from botocore.config import Config

        # Botocore's own five attempts of a minute could store a secret when the rotation's time is over.
        config = Config(connect_timeout=10, read_timeout=30, retries={"total_max_attempts": 1})
        hook: Any = SecretsManagerHook
        return hook(aws_conn_id=self.aws_conn_id, region_name=self.region_name, config=config)
