"""Two network namespaces of our own with a cable of a given rate between them. Linux, root; ip and tc."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ADDRESSES = ("10.213.7.1", "10.213.7.2")  # seen in our namespaces alone
INTERFACE = "cable"
BURST_BYTES = 65_536  # what passes at full speed; 5 ms of 100 Mbit/s
QUEUE_MS = 50  # longer waiting packets are dropped, as a switch would


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One end of the cable."""

    namespace: str
    address: str

    def command(self, argv: list[str]) -> list[str]:
        """`argv`, run there."""
        return ["ip", "netns", "exec", self.namespace, *argv]


def missing() -> str:
    """Why there can be no such cable here; empty when there can. Found out by making one."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        return "network namespaces need root"
    lacking = [name for name in ("ip", "tc") if shutil.which(name) is None]
    if lacking:
        return f"{' and '.join(lacking)} not found (iproute2)"
    try:
        with cable("1gbit"):
            return ""
    except subprocess.CalledProcessError as error:
        return f"no network namespaces here: {(error.stderr or '').strip() or error}"


@contextlib.contextmanager
def cable(rate: str) -> Iterator[tuple[Node, Node]]:
    """Two nodes with a cable of `rate` (tc's words: 100mbit) in each direction; gone at the end.

    Raises subprocess.CalledProcessError where the system refuses.
    """
    first, second = nodes = tuple(
        Node(namespace=f"hotrun-bench-{os.getpid()}-{number}", address=address)
        for number, address in enumerate(ADDRESSES)
    )
    made = []
    try:
        for node in nodes:
            _ip("netns", "add", node.namespace)
            made.append(node)
        _ip("link", "add", INTERFACE, "netns", first.namespace, "type", "veth",
            "peer", "name", INTERFACE, "netns", second.namespace)  # fmt: skip
        for node in nodes:
            _ip("-n", node.namespace, "address", "add", f"{node.address}/24", "dev", INTERFACE)
            for interface in ("lo", INTERFACE):
                _ip("-n", node.namespace, "link", "set", interface, "up")
            _run("tc", "-n", node.namespace, "qdisc", "add", "dev", INTERFACE, "root", "tbf", "rate", rate,
                 "burst", f"{BURST_BYTES}b", "latency", f"{QUEUE_MS}ms")  # fmt: skip
        yield first, second
    finally:
        for node in made:  # the cable goes with its ends
            subprocess.run(["ip", "netns", "delete", node.namespace], check=False, capture_output=True)


def _ip(*arguments: str) -> None:
    _run("ip", *arguments)


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True)
