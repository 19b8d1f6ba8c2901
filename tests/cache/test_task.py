"""Task scope: the hooks of one try of a task share a cache, and no other hook does."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from airflow_provider_atlas.cache import task
from airflow_provider_atlas.oauth.token import AccessToken
from tests.conftest import TOKEN

RUNNING = ("dag", "task", "run", -1, 1)


def test_hooks_with_the_same_task_and_account_share_a_cache(account):
    again = dataclasses.replace(account)
    assert task.cache_for(account, RUNNING, None) is task.cache_for(again, RUNNING, None)


@pytest.mark.parametrize("running", [("dag", "task", "run", -1, 2), ("dag", "task", "run", 0, 1), None])
def test_another_try_another_map_index_or_no_task_has_another_cache(account, running):
    assert task.cache_for(account, RUNNING, None) is not task.cache_for(account, running, None)


def test_another_secret_or_a_given_token_has_another_cache(account):
    caches = [
        task.cache_for(account, RUNNING, None),
        task.cache_for(dataclasses.replace(account, client_secret=account.client_secret + "0"), RUNNING, None),
        task.cache_for(account, RUNNING, "sealed"),
    ]
    assert len({id(cache) for cache in caches}) == 3


def test_expired_caches_of_earlier_tasks_are_dropped(account):
    long_ago = datetime(2020, 1, 1, tzinfo=UTC)
    old = task.cache_for(account, RUNNING, None)
    old.get(lambda need: AccessToken(TOKEN, "Bearer", long_ago, long_ago + timedelta(hours=1)))
    task.cache_for(account, None, None)
    assert old not in task._caches.values()


def test_a_revoked_token_is_dropped_from_every_cache(account):
    now = datetime.now(UTC)
    token = AccessToken(TOKEN, "Bearer", now, now + timedelta(hours=1))
    caches = [task.cache_for(account, running, None) for running in (RUNNING, None)]
    for cache in caches:
        cache.get(lambda need: token)
    task.forget(TOKEN)
    assert [cache._held for cache in caches] == [None, None]


def test_warnings_are_shared_within_a_task_and_dropped_when_another_task_runs():
    task.warnings_of(RUNNING).add("endpoint")
    assert task.warnings_of(RUNNING) == {"endpoint"}
    assert task.warnings_of(None) == set()
    assert task.warnings_of(RUNNING) == set()


def test_current_identifies_the_running_try_of_the_task(mocker):
    ti = SimpleNamespace(dag_id="dag", task_id="task", run_id="run", map_index=3, try_number=2)
    mocker.patch("airflow.providers.common.compat.sdk.get_current_context", return_value={"ti": ti}, create=True)
    assert task.current() == ("dag", "task", "run", 3, 2)


def test_current_is_none_outside_a_task():
    assert task.current() is None
