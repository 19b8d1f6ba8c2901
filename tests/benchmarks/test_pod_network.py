"""The pods' network: a server on the loopback interface sees each pod's address, or one; nothing outlives a kill."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

NEW_NAMESPACE = ["unshare", "--map-root-user", "--net"]


def possible() -> bool:
    if not all(map(shutil.which, ("unshare", "nsenter", "ip", "nft", "sysctl"))):
        return False
    return not subprocess.run([*NEW_NAMESPACE, "nft", "add", "table", "ip", "x"], capture_output=True).returncode


pytestmark = pytest.mark.skipif(not possible(), reason="needs iproute2, nftables and the right to use them")

CONNECT = "import socket, sys; socket.create_connection(('127.0.0.1', int(sys.argv[1])), 10)"
LOOK = f"""
import json, socket, subprocess, sys, time
from benchmarks.pod_network import PodNetwork

def seen():
    for pid in network.pids:
        command = ["nsenter", f"--net=/proc/{{pid}}/ns/net", sys.executable, "-c", {CONNECT!r}, str(port)]
        subprocess.run(command, check=True)
        connection, peer = server.accept()
        connection.close()
        yield peer[0]

with PodNetwork(3) as network:
    server = socket.create_server(("127.0.0.1", 0))
    port = server.getsockname()[1]
    each = list(seen())
    network.one_address()
    print(json.dumps({{"pids": network.pids, "each": each, "one": list(seen())}}), flush=True)
    time.sleep(60)
"""


def test_server_sees_each_pod_s_address_then_one_and_a_kill_leaves_no_namespace():
    process = subprocess.Popen([*NEW_NAMESPACE, sys.executable, "-c", LOOK], stdout=subprocess.PIPE)
    try:
        found = json.loads(process.stdout.readline())
        assert found["each"] == ["198.19.0.10", "198.19.0.11", "198.19.0.12"]
        assert found["one"] == ["198.18.0.2"] * 3
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    deadline = time.monotonic() + 10
    while left := [pid for pid in found["pids"] if Path(f"/proc/{pid}").exists()]:
        assert time.monotonic() < deadline, left
        time.sleep(0.05)
