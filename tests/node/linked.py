"""A coordinator for two nodes on loopback, and links to it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from cloud.node.coordinator import Coordinator
from cloud.node.gang import Gang
from cloud.node.link import Link
from cloud.node.store import Store
from tests.ports import free_port

FACTS = {"commit": "c", "python": "3", "torch": "2", "ranks": 1, "port": 1}
SECRET = "the stack's"


class Cluster:
    """A coordinator for two nodes, and links to it."""

    def __init__(self, directory: Path) -> None:
        self.port = free_port()
        self.gates: list[Any] = []
        self.coordinator = Coordinator(
            address="127.0.0.1", port=self.port, secret=SECRET, gang=Gang(2, time.monotonic() + 60),
            store=Store(directory / "1", directory / "shared"), on_gate=self.gates.append,
            welcome={"t": "welcome", "run": "r", "nnodes": 2},
        )  # fmt: skip
        self.coordinator.start()
        self.links: list[Link] = []

    def join(self, rank: int, secret: str = SECRET) -> Link:
        """A node's link."""
        link = Link(
            "127.0.0.1", self.port, secret, {"rank": rank, "address": "127.0.0.1", "server": "", "pid": 0}, ""
        )
        self.links.append(link)
        return link

    def gathered(self) -> list[Link]:
        """The links of both nodes, which are ready and have reached each other."""
        links = [self.join(rank) for rank in range(2)]
        for link in links:
            link.send("ready", facts=FACTS)
        for link in links:
            link.wait("look", soon())
            link.send("seen", unreachable={})
        return links


def soon() -> float:
    """A deadline that a working machine never reaches."""
    return time.monotonic() + 20
