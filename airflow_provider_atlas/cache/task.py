"""The task scope: one token per task instance try and service account, in the memory of the task's process.

A worker runs one task in one forked process, but ``dag.test()`` and the triggerer run many tasks in one, so the try is
part of the key. So is the secret's fingerprint: Atlas revokes a deleted secret's tokens at once.
"""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

from airflow_provider_atlas.cache.memory import TokenCache

if TYPE_CHECKING:
    from collections.abc import Hashable

    from airflow_provider_atlas.oauth.account import ServiceAccount

_caches: dict[Hashable, TokenCache] = {}
_warnings: dict[Hashable, set[str]] = {}


def current() -> Hashable:
    """The task instance try that is running in this process; ``None`` outside a task."""
    from airflow.providers.common.compat.sdk import AirflowException, get_current_context

    with contextlib.suppress(RuntimeError, AirflowException):  # the second is 2.11's
        ti = get_current_context()["ti"]
        return ti.dag_id, ti.task_id, ti.run_id, ti.map_index, ti.try_number
    return None


def cache_for(account: ServiceAccount, running: Hashable, given: str | None = None) -> TokenCache:
    """
    The cache that all hooks of one task share.

    :param running: what :func:`current` returned.
    :param given: the sealed token that a hook was given; it shares nothing with hooks that request tokens.
    """
    key = account.fingerprint, running, given
    cache = _caches.get(key)
    if cache is None:
        # Of the tasks that ran in this process before, only tokens that are still valid are kept: memory stays flat.
        for old in [key for key, cache in list(_caches.items()) if cache.has_expired(time.time())]:
            _caches.pop(old, None)
        cache = _caches.setdefault(key, TokenCache())
    return cache


def warnings_of(running: Hashable) -> set[str]:
    """
    What a task has been told already, to be added to; that of the task before it is dropped.

    :param running: what :func:`current` returned.
    """
    if running not in _warnings:
        _warnings.clear()
    return _warnings.setdefault(running, set())


def forget(value: str) -> None:
    """Drop a token that was revoked from every cache of this process."""
    for cache in list(_caches.values()):
        cache.drop(value)
