"""Looks at Nova again and again, and lets a machine run for every active server of a project.

ACTIVE: a machine starts, on the root that the server had before, if any. It ends by itself: the server is powered
off; started again in Nova, the machine boots again. SHUTOFF or ERROR: its machine is ended. Gone: its machine is
ended at once and its root removed.
"""

from __future__ import annotations

import os
import secrets
import shutil
import threading
import time
import traceback
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from keystoneauth1.exceptions import ClientException

from cloud.rehearse import environment, roots, source
from tests.openstack.machines import warm
from tests.openstack.machines.asks import OFF, Asks, Plug, Server
from tests.openstack.machines.cluster import Cluster
from tests.openstack.machines.floating import Floating
from tests.openstack.machines.machine import RESTART_S, Machine
from tests.openstack.machines.namespaces import outside

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.openstack.machines.place import Place

_END_S = 90.0


@dataclass
class _Known:
    """A server that has or had a machine."""

    server: Server
    plug: Plug
    machine: Machine
    is_off: bool = field(default=False)


class Watch:
    """The machines of one project."""

    def __init__(
        self, admin: object, project_id: str, place: Place, repositories: Mapping[str, Path]
    ) -> None:
        self.place = place
        self._asks = Asks(admin, project_id)
        self._known: dict[str, _Known] = {}
        self._clusters: dict[str, tuple[Cluster, Floating]] = {}
        self._tag = secrets.token_hex(16)
        place.logs.mkdir(parents=True, exist_ok=True)
        self._gitconfig = place.directory / "gitconfig"
        _write_gitconfig(self._gitconfig, repositories)
        self._repositories = list(repositories.values())
        self._uv_cache = roots.uv_cache(os.environ, place.directory, self._say)
        self._path = environment.search_path(os.environ, self._say)
        self._cloud = os.open(place.namespace, os.O_RDONLY | os.O_CLOEXEC)
        self._world = outside(place.namespace)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="machines")
        self.failure: Exception | None = None

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def close(self) -> None:
        """End all machines; raise what ended the watching, if anything did."""
        self._ended.set()
        self._thread.join(_END_S)
        for server_id in list(self._known):
            self._known.pop(server_id).machine.end()
        for cluster, _ in self._clusters.values():
            cluster.close()
        self._clusters.clear()
        for descriptor in (self._cloud, self._world):
            os.close(descriptor)
        if self.failure is not None:
            raise self.failure

    @property
    def running(self) -> dict[str, str]:
        """Server id -> name, of those whose machine runs."""
        return {key: each.machine.name for key, each in self._known.items() if each.machine.is_running}

    def log(self, name: str) -> str:
        """The consoles of all servers that had this name, oldest first."""
        paths = sorted(self.place.logs.glob(f"{name}-*.log"), key=lambda path: path.stat().st_mtime)
        return "".join(path.read_text(errors="replace") for path in paths)

    def _run(self) -> None:
        while not self._ended.is_set():
            try:
                self._look()
            except ClientException as error:  # an API that stumbles is asked again
                self._say(f"the cloud: {error}")
            except Exception as error:  # noqa: BLE001 - told at the end
                traceback.print_exc()
                self.failure = error
                return
            self._ended.wait(self.place.poll_s)

    def _look(self) -> None:
        servers = {server.id: server for server in self._asks.servers()}
        for server_id in self._known.keys() - servers.keys():
            self._remove(server_id)
        for server in sorted(servers.values(), key=lambda each: each.rank):
            known = self._known.get(server.id)
            if known is None:
                if server.status == "ACTIVE":
                    self._make(server)
            else:
                self._keep(known, server)
        self._lead()

    def _make(self, server: Server) -> None:
        plug = self._asks.plug(server.id)
        if plug is None:
            return
        if plug.network_id not in self._clusters:
            cluster = Cluster(plug, self.place, cloud=self._cloud, world=self._world)
            self._clusters[plug.network_id] = (
                cluster, Floating(cluster, self.place, plug.network_id[:8])
            )  # fmt: skip
        self._clusters[plug.network_id][0].plug(server, plug)
        machine = Machine(server.name, self.place.root(server.id), self.place.log(server.name, server.id))
        self._known[server.id] = _Known(server, plug, machine)
        self._boot(self._known[server.id])

    def _keep(self, known: _Known, server: Server) -> None:
        machine = known.machine
        if server.status in OFF:
            if machine.is_running:
                self._say(f"{machine.name} is {server.status} in Nova")
                machine.end()
            known.is_off = True
        elif server.status != "ACTIVE" or server.is_changing:
            return
        elif known.is_off:
            if self._asks.last_action(server.id) == "start":
                known.is_off = False
                self._boot(known)
        elif machine.has_ended:
            self._ended_by_itself(known)

    def _ended_by_itself(self, known: _Known) -> None:
        machine = known.machine
        if machine.comes_back:
            if not machine.again_at:
                machine.again_at = time.monotonic() + RESTART_S
            elif time.monotonic() >= machine.again_at:
                machine.again_at = 0.0
                self._boot(known)
            return
        assert machine.process is not None
        self._say(f"{machine.name} ended with {machine.process.returncode}: powered off")
        machine.end()
        known.is_off = True
        self._asks.stop(known.server.id)

    def _boot(self, known: _Known) -> None:
        root = known.machine.root
        warm.lay(self.place.warm, root)
        cluster, _ = self._clusters[known.plug.network_id]
        near = [known.plug.gateway, known.plug.address, self.place.api, "169.254.169.254"]
        environ = environment.inherited(os.environ, near) | environment.of_node(
            root=root, metadata_url="http://169.254.169.254", tag=self._tag, cpus=self.place.cpus,
            gitconfig=self._gitconfig, uv_cache=self._uv_cache,
        )  # fmt: skip
        environ |= {"PATH": self._path, "HOTRUN_STAYS": "1"}
        together = (self.place.directory, self._uv_cache)
        known.machine.start(cluster.argv(known.server, environ, together, self._repositories), environ)
        self._say(f"{known.machine.name} boots at {known.plug.address}, server {known.server.id}")

    def _remove(self, server_id: str) -> None:
        known = self._known.pop(server_id)
        known.machine.end()
        warm.keep(known.machine.root, self.place.warm)
        self._say(f"{known.machine.name} is gone, server {server_id}")
        cluster, _ = self._clusters[known.plug.network_id]
        cluster.pull(server_id)
        if cluster.is_empty:
            cluster.close()
            del self._clusters[known.plug.network_id]
        shutil.rmtree(known.machine.root, ignore_errors=True)

    def _lead(self) -> None:
        """Let floating addresses lead where Neutron says."""
        if not self._known:
            return
        bound = self._asks.floating()
        ports = {each.plug.port_id: each.plug for each in self._known.values()}
        for network, (_, floating) in self._clusters.items():
            floating.lead({
                address: ports[port].address for address, port in bound.items()
                if port in ports and ports[port].network_id == network
            })  # fmt: skip

    def _say(self, text: str) -> None:
        line = f"{time.strftime('%H:%M:%S')} {text}\n"
        with (self.place.logs / "machines.log").open("a") as log:
            log.write(line)


def _write_gitconfig(path: Path, repositories: Mapping[str, Path]) -> None:
    texts = []
    for address, directory in repositories.items():
        source.gitconfig(path, address, source.Source(directory, ""))
        texts.append(path.read_text())
    path.write_text("".join(texts) or "[safe]\n\tdirectory = *\n")
