"""Requests per second through ``AtlasSession``, compared with a plain ``requests.Session``; memory of ``paginate``.

Run ``python -m benchmarks.session``. Both request the same small response from the same server, in turn, in many rounds
in one process. The median of the rounds' ratios is printed, and then the memory while 100,000 results are read page by
page. The server is a minimal one in its own process: the sandbox takes longer to respond than either session takes to
send a request, and would hide the difference.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import requests

from airflow_provider_atlas.api.session import AtlasSession
from airflow_provider_atlas.hooks.service_account import AtlasServiceAccountHook
from airflow_provider_atlas.oauth.token import AccessToken
from airflow_provider_atlas.oauth.transport import Transport
from airflow_provider_atlas.sandbox import Sandbox

ROUNDS, CALLS, RESULTS = 21, 200, 100_000

SERVER = """
import asyncio
class Response(asyncio.Protocol):
    def connection_made(self, transport): self.transport = transport
    def data_received(self, data):
        if data.endswith(b"\\r\\n\\r\\n"):
            self.transport.write(b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\n{}")
async def main():
    server = await asyncio.get_running_loop().create_server(Response, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()
asyncio.run(main())
"""


class Fixed:
    """A source whose token is always valid, to measure the cost of the session and not of the cache."""

    def __init__(self) -> None:
        now = datetime.now(UTC)
        self.token = AccessToken("t" * 1000, "Bearer", now, now + timedelta(hours=1))

    def get(self, max_wait: float) -> AccessToken:
        return self.token

    def replace(self, refused: AccessToken, max_wait: float) -> None:
        return None


def rate(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    for _ in range(CALLS):
        call()
    return CALLS / (time.perf_counter() - started)


def compare(url: str) -> float:
    bare, source = requests.Session(), Fixed()
    bare.headers.update({"Authorization": f"Bearer {source.token.value}", "Accept": "application/json"})
    ours = AtlasSession(url, lambda: source, transport=Transport(), api_version="2025-03-12", max_wait=300)
    rounds = [
        (
            rate(lambda: ours.get("/api/atlas/v2/groups")),
            rate(lambda: bare.get(f"{url}/api/atlas/v2/groups", timeout=30)),
        )
        for _ in range(ROUNDS)
    ]
    ratio = statistics.median(mine / theirs for mine, theirs in rounds)
    for name, column in (("AtlasSession", 0), ("requests.Session", 1)):
        print(f"{name:<20}{statistics.median(row[column] for row in rounds):>10.0f} requests/s (median of {ROUNDS})")
    print(f"{'ratio':<20}{ratio:>10.2f}")
    return ratio


def memory() -> None:
    with Sandbox(page_total=RESULTS) as sandbox:
        hook = AtlasServiceAccountHook(
            client_id=sandbox.client_id, client_secret=sandbox.client_secret, base_url=sandbox.url
        )
        peaks: list[int] = []
        tracemalloc.start()
        for number, _ in enumerate(hook.paginate("/api/atlas/v2/groups"), 1):
            if number % (RESULTS // 10) == 0:
                peaks.append(tracemalloc.get_traced_memory()[1])
                tracemalloc.reset_peak()
        tracemalloc.stop()
    print(
        f"paginate over {RESULTS:,} results, peak of each tenth, KiB: " + json.dumps([peak // 1024 for peak in peaks])
    )


def main() -> int:
    with subprocess.Popen([sys.executable, "-c", SERVER], stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            ratio = compare(f"http://127.0.0.1:{int(server.stdout.readline())}")
        finally:
            server.kill()
    memory()
    return 0 if ratio >= 0.9 else 1


if __name__ == "__main__":
    sys.exit(main())
