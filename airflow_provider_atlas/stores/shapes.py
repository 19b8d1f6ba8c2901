"""The texts in which secrets managers hold the client secret of a connection, and how a rotation changes them.

- An Airflow connection as JSON: ``login``, ``password``, ``extra`` and more. The previous secret goes into the extra.
- What AWS Secrets Manager rotates by itself: ``clientId``, ``clientSecret``, ``orgId``. It has no room for a previous
  secret.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from airflow_provider_atlas.exceptions import SecretStoreUnavailable


def load(text: object) -> dict[str, Any]:
    """Read what a store holds."""
    try:
        entry = json.loads(text) if isinstance(text, str) else text
    except (ValueError, RecursionError):
        entry = None
    if isinstance(entry, Mapping):
        return dict(entry)
    raise SecretStoreUnavailable("The store must hold the connection as a JSON object, not as a URI or another text")


def replaced(entry: Mapping[str, Any], client_id: str, new: str, previous: str) -> dict[str, Any]:
    """
    The same entry with another client secret; all else is kept.

    :raises SecretStoreUnavailable: if it is no connection of this service account.
    """
    if "clientSecret" in entry:
        _check(entry.get("clientId"), client_id)
        return {**entry, "clientSecret": new}
    if "password" in entry:
        _check(entry.get("login"), client_id)
        return {**entry, "password": new, "extra": _with_previous(entry.get("extra"), previous)}
    raise SecretStoreUnavailable("The entry in the store must have password and login, or clientSecret and clientId")


def _check(found: object, client_id: str) -> None:
    if not is_same(found, client_id):
        raise SecretStoreUnavailable("The entry in the store must be of the same service account as the connection")


def is_same(login: object, client_id: str) -> bool:
    """Whether a login is the client id: a connection's fields are read without the white space around them."""
    return isinstance(login, str) and login.strip() == client_id


def _with_previous(extra: object, previous: str) -> Any:
    """The extra with the previous secret, as an object or as text, as it was."""
    content = {**(load(extra) if extra else {}), "previous_secret": previous}
    return json.dumps(content) if isinstance(extra, str) else content
