"""Pods without Kubernetes: network namespaces with an address each, behind a node that may hide them behind its own.

The whole network is in a network namespace of its own: Atlas's sandbox and Airflow on its loopback interface, a veth
pair to the node, a bridge to the pods. A connection that a pod makes to its own loopback interface leads to theirs.

A namespace has no name and exists while a process is in it. That process ends when this one does, in whatever way.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from contextlib import ExitStack
from typing import Self

#: Addresses for benchmarks of networks (RFC 2544).
UPLINK, BRIDGE = "198.18.0", "198.19.0"
TO_ATLAS = """
table ip pods {
    chain in { type nat hook prerouting priority dstnat; iifname "to-node" meta l4proto tcp dnat to 127.0.0.1; }
}"""
FROM_POD = f"""
table ip pods {{
    chain out {{ type nat hook output priority -100; ip daddr 127.0.0.1 meta l4proto tcp dnat to {UPLINK}.1; }}
    chain post {{ type nat hook postrouting priority srcnat; oifname "eth0" masquerade; }}
}}"""
NAT = """
table ip pods {
    chain post { type nat hook postrouting priority srcnat; oifname "uplink" masquerade; }
}"""


def enter(module: str) -> None:
    """Run this program's module again in a new network namespace, unless it is in one. Needs root, ip and nft."""
    if [name for _, name in socket.if_nameindex()] == ["lo"]:
        return
    command = ["unshare", "--map-root-user", "--net", sys.executable, "-m", module, *sys.argv[1:]]
    os.execvp(command[0], command)  # noqa: S606 - no shell


class PodNetwork:
    """
    A context manager around the node and its pods.

    :param pods: how many.

    `pids` are processes in the namespace of each pod, for `nsenter`.
    """

    def __init__(self, pods: int) -> None:
        self.pids: list[int] = []
        self._count = pods
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with self._stack:
            self._node = self._namespace()
            _run(None, "ip link set lo up")
            _run(None, f"ip link add to-node type veth peer name uplink netns {self._node}")
            _run(None, f"ip address add {UPLINK}.1/24 dev to-node", "ip link set to-node up")
            _run(None, f"ip route add {BRIDGE}.0/24 via {UPLINK}.2")
            _run(None, "sysctl -q -w net.ipv4.conf.to-node.route_localnet=1", "nft -f -", text=TO_ATLAS)
            _run(self._node, f"ip address add {UPLINK}.2/24 dev uplink", "ip link set uplink up")
            _run(self._node, "ip link add pods type bridge", f"ip address add {BRIDGE}.1/24 dev pods")
            _run(self._node, "ip link set pods up", f"ip route add default via {UPLINK}.1")
            _run(self._node, "sysctl -q -w net.ipv4.ip_forward=1")
            for number in range(self._count):
                self.pids.append(self._pod(f"{BRIDGE}.{10 + number}", f"pod{number}"))
            self._stack = self._stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def one_address(self) -> None:
        """From now on every pod has the node's address for others, as behind a NAT gateway."""
        _run(self._node, "nft -f -", text=NAT)

    def _pod(self, address: str, name: str) -> int:
        pod = self._namespace()
        _run(self._node, f"ip link add {name} master pods type veth peer name eth0 netns {pod}")
        _run(self._node, f"ip link set {name} up")
        _run(pod, "ip link set lo up", f"ip address add {address}/24 dev eth0", "ip link set eth0 up")
        _run(pod, f"ip route add default via {BRIDGE}.1", "sysctl -q -w net.ipv4.conf.all.route_localnet=1")
        _run(pod, "nft -f -", text=FROM_POD)
        return pod

    def _namespace(self) -> int:
        """A process that stays in a new namespace until its standard input ends."""
        command = ["unshare", "--net", "sh", "-c", "echo ready; exec cat"]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._stack.callback(process.communicate)
        assert process.stdout is not None
        process.stdout.readline()
        return process.pid


def _run(pid: int | None, *commands: str, text: str = "") -> None:
    """Run commands in the namespace of a process, or in this one's. The last one may read a text."""
    prefix = [] if pid is None else ["nsenter", f"--net=/proc/{pid}/ns/net"]
    for command in commands:
        subprocess.run(
            [*prefix, *command.split()], check=True, input=text if command == commands[-1] else "", text=True
        )
