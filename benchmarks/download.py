"""Memory and speed of ``hook.download``, compared with a loop over ``requests``.

Run ``python -m benchmarks.download``. A server in its own process sends files of 64 MiB and 2 GiB. Each download runs
in a process of its own, whose largest memory is read at its end; the speeds are medians of rounds in turn.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

SMALL, BIG, ROUNDS = 64 << 20, 2 << 30, 5

SERVER = """
import http.server, json
BLOCK = bytes(1 << 20)
class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_): pass
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send(json.dumps({"access_token": "a.b.c", "token_type": "Bearer", "expires_in": 3600}).encode(), 1)
    def do_GET(self):
        self.send(BLOCK, int(self.path.rpartition("/")[2]) // len(BLOCK))
    def send(self, block, times):
        self.send_response(200)
        self.send_header("Content-Length", str(len(block) * times))
        self.end_headers()
        for _ in range(times):
            self.wfile.write(block)
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_address[1], flush=True)
server.serve_forever()
"""

#: Both write the file and hash it.
OURS = """
from airflow_provider_atlas.hooks.service_account import AtlasServiceAccountHook
hook = AtlasServiceAccountHook(client_id="mdb_sa_id_x", client_secret="mdb_sa_sk_x", base_url=url)
hook.get_token()
start()
hook.download(f"/api/{size}", to)
"""
THEIRS = """
import hashlib, requests
from airflow_provider_atlas.hooks.service_account import AtlasServiceAccountHook
hook = AtlasServiceAccountHook(client_id="mdb_sa_id_x", client_secret="mdb_sa_sk_x", base_url=url)
hook.get_token()
start()
digest = hashlib.sha256()
with requests.get(f"{url}/api/{size}", stream=True, timeout=30) as response, open(to, "wb") as file:
    for piece in response.iter_content(1 << 18):
        file.write(piece)
        digest.update(piece)
"""
FRAME = """
import logging, resource, sys, time
logging.disable()
url, size, to = sys.argv[1], int(sys.argv[2]), sys.argv[3]
def start():
    global started
    started = time.perf_counter()
{code}
seconds = time.perf_counter() - started
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024, size / seconds / (1 << 20))
"""


def run(code: str, url: str, size: int, folder: str) -> tuple[int, float]:
    """Largest memory in MiB, and MiB a second."""
    to = Path(folder, "file")
    command = [sys.executable, "-c", FRAME.format(code=code), url, str(size), str(to)]
    printed = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env={**os.environ}).stdout
    assert to.stat().st_size == size
    assert os.listdir(folder) == ["file"]
    memory, speed = printed.split()[-2:]
    return int(memory), float(speed)


def main() -> int:
    with (
        subprocess.Popen([sys.executable, "-c", SERVER], stdout=subprocess.PIPE, text=True) as server,
        tempfile.TemporaryDirectory() as folder,
    ):
        try:
            assert server.stdout is not None
            url = f"http://127.0.0.1:{int(server.stdout.readline())}"
            rounds = [(run(OURS, url, SMALL, folder), run(THEIRS, url, SMALL, folder)) for _ in range(ROUNDS)]
            big = run(OURS, url, BIG, folder)
        finally:
            server.kill()
    ours, theirs = (statistics.median(row[column][1] for row in rounds) for column in (0, 1))
    memory = statistics.median(row[0][0] for row in rounds)
    print(f"hook.download        {ours:>8.0f} MiB/s (median of {ROUNDS})")
    print(f"requests and hashlib {theirs:>8.0f} MiB/s (median of {ROUNDS})")
    print(f"ratio                {statistics.median(mine[1] / other[1] for mine, other in rounds):>8.2f}")
    print(f"largest memory of the process: {memory:.0f} MiB for 64 MiB, {big[0]} MiB for 2 GiB at {big[1]:.0f} MiB/s")
    return 0 if big[0] - memory < 32 else 1


if __name__ == "__main__":
    sys.exit(main())
