"""The client secrets of a service account, as the Administration API lists, creates and deletes them.

Atlas documents no mapping from a secret to its id or its masked value. Which one a connection holds is known if there
is one, or if a rotation has recorded it (``airflow_provider_atlas.hooks.rotation``).

Source: MongoDB Atlas Administration API, "Service Accounts".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow_provider_atlas.api.urls import fill
from airflow_provider_atlas.exceptions import AtlasApiError, InvalidCall

#: From so little time left on, the Test button warns.
SOON = timedelta(days=14)


@dataclass(frozen=True)
class ClientSecret:
    """
    What Atlas tells about a client secret. The secret itself is shown once, when it is created.

    :param id: 24 hexadecimal digits.
    :param created_at: aware UTC time.
    :param expires_at: aware UTC time.
    :param last_used_at: aware UTC time, ``None`` if it was not used yet.
    :param masked: the secret as Atlas masks it; may be empty.
    """

    id: str
    created_at: datetime
    expires_at: datetime
    last_used_at: datetime | None
    masked: str

    def left(self, now: datetime | None = None) -> timedelta:
        """How long it is still valid; negative once it has expired."""
        return self.expires_at - (now or datetime.now(UTC))

    def has_expired(self) -> bool:
        """Whether it is valid no longer."""
        return self.left() <= timedelta(0)

    def __str__(self) -> str:
        used = "never used" if self.last_used_at is None else f"last used {self.last_used_at:%Y-%m-%d %H:%M} UTC"
        return f"{self.id} (created {self.created_at:%Y-%m-%d}, expires {self.expires_at:%Y-%m-%d}, {used})"


class ClientSecrets:
    """
    The client secrets of one service account.

    :param run: calls the Administration API, as the hook's ``run`` does.
    :param client_id: of the service account.
    :param org_id: the organization that the service account belongs to, or
    :param project_id: the project. One of the two.
    """

    def __init__(
        self, run: Callable[..., Any], client_id: str, *, org_id: str | None = None, project_id: str | None = None
    ) -> None:
        if bool(org_id) == bool(project_id):
            raise InvalidCall("One of org_id and project_id is needed, and not both")
        owner = "orgs" if org_id else "groups"
        names = {"owner": org_id or project_id, "clientId": client_id}
        self._run = run
        self._endpoint = fill(f"/api/atlas/v2/{owner}/{{owner}}/serviceAccounts/{{clientId}}", names)

    def read(self) -> list[ClientSecret]:
        """All of them, the newest last. Expired ones are among them: they take one of the two slots."""
        body = self._run(self._endpoint)
        found = body.get("secrets", []) if isinstance(body, dict) else None
        if not isinstance(found, list):
            raise AtlasApiError("The response of the Administration API is not a service account")
        return sorted(map(_secret, found), key=lambda secret: secret.created_at)

    def create(self, valid_for: timedelta) -> tuple[ClientSecret, str]:
        """
        Create a client secret. Atlas cuts the lifetime of the other one to 7 days.

        :param valid_for: in whole hours.
        :return: what Atlas tells about it, and the secret itself.
        """
        hours = int(valid_for.total_seconds() // 3600)
        body = self._run(f"{self._endpoint}/secrets", "POST", json={"secretExpiresAfterHours": hours})
        if not (isinstance(body, dict) and isinstance(body.get("secret"), str)):
            raise AtlasApiError("The response of the Administration API is not a new client secret")
        return _secret(body), body["secret"]

    def delete(self, secret_id: str) -> None:
        """Delete a client secret, and with it its tokens. One that is gone already is no error."""
        try:
            self._run(fill(f"{self._endpoint}/secrets/{{secretId}}", {"secretId": secret_id}), "DELETE")
        except AtlasApiError as error:
            if error.status != 404:
                raise


def expiry_warning(run: Callable[..., Any], client_id: str) -> str:
    """
    A sentence for a service account whose last client secret expires soon; else, or if Atlas does not say, nothing.

    :param run: calls the Administration API.
    """
    try:
        (org,) = run("/api/atlas/v2/orgs")["results"]
        last = max(ClientSecrets(run, client_id, org_id=org["id"]).read(), key=lambda secret: secret.expires_at)
    except Exception:  # noqa: BLE001 - the account may not see it, or Atlas responds with something else
        return ""
    if last.left() >= SOON:
        return ""
    return f" Its client secret expires on {last.expires_at:%Y-%m-%d}, in {last.left().days} days: rotate it."


def _secret(body: Mapping[str, Any]) -> ClientSecret:
    try:
        used = body.get("lastUsedAt")
        return ClientSecret(
            str(body["id"]),
            _time(body["createdAt"]),
            _time(body["expiresAt"]),
            None if used is None else _time(used),
            str(body.get("maskedSecretValue") or ""),
        )
    except (AttributeError, KeyError, TypeError, ValueError):
        pass
    raise AtlasApiError("The response of the Administration API is not a client secret")


def _time(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).astimezone(UTC)
