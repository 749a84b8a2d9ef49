"""The way out of machines: the cloud is dialled in its namespace, all else where the world is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloud.rehearse.lab.gateway import Gateway
from tests.openstack.machines.namespaces import enter

if TYPE_CHECKING:
    import socket


class TwoWays(Gateway):
    """A gateway with two networks behind it; `cloud` and `world` are descriptors of theirs."""

    def __init__(
        self, connections: socket.socket, names: socket.socket, address: str, *,
        api: str, cloud: int, world: int,
    ) -> None:  # fmt: skip
        self._api, self._cloud, self._world = api, cloud, world
        super().__init__(connections, names, address)

    def _dial(self, target: tuple[str, int]) -> socket.socket:
        """Dial; each connection has a thread of its own, which stays in that network."""
        enter(self._cloud if target[0] == self._api else self._world)
        return super()._dial(target)

    def _ask(self, question: bytes, asker: tuple[str, int]) -> None:
        """Ask the resolvers; each question has a thread of its own, too."""
        enter(self._world)
        super()._ask(question, asker)
