"""The hostile server, and connections that lead to it."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from airflow_provider_atlas.hooks.service_account import AtlasServiceAccountHook
from tests.conftest import CLIENT_ID, CLIENT_SECRET

#: The connection's timeout in these tests; seconds.
TIMEOUT = 0.3
#: What a request to Atlas may take: to connect, and to respond; seconds.
STATED = 2 * TIMEOUT
#: For a machine that is busy; seconds.
SLACK = 5.0


@pytest.fixture(scope="session")
def ports() -> Iterator[dict[str, list[int]]]:
    """Two ports of each behaviour: for every request, and for the Administration API only."""
    root = Path(__file__).parents[2]
    command = [sys.executable, "-m", "tests.hostile.server"]
    with subprocess.Popen(command, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        yield json.loads(server.stdout.readline())
        server.kill()


@pytest.fixture(scope="session", autouse=True)
def loaded() -> None:
    """What a first call would import and start while it is timed."""
    import airflow_provider_atlas.api.session
    import airflow_provider_atlas.hooks.tokens
    import airflow_provider_atlas.oauth.bounded  # noqa: F401
    from airflow_provider_atlas.triggers.token import AtlasTokenTrigger

    now = time.time()
    trigger = AtlasTokenTrigger("none", moment=now, started=now, deadline=now + 0.5)

    async def event() -> list[object]:
        return [each async for each in trigger.run()]

    asyncio.run(event())


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Callable[..., AtlasServiceAccountHook]:
    """Store a connection to an Atlas URL, and make its hook."""

    def make(url: str, conn_id: str = "atlas_default", login: str = CLIENT_ID, **extra: object):
        extra = {"timeout": TIMEOUT, "max_wait": 0, **extra}
        conn = {"conn_type": "mongodbatlas", "host": url, "login": login, "password": CLIENT_SECRET, "extra": extra}
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(conn))
        return AtlasServiceAccountHook(conn_id)

    return make
