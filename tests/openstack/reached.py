"""A stack whose machines can be logged in to: Heat, Nova and Neutron are real, and so is an sshd at each address.

Nothing trains: the master's signals are played, with the host keys of these sshds. The machines' paths and
their login are those of a cloud's image, in a mount namespace of each sshd's own.
"""

from __future__ import annotations

import json
import shlex
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cloud.node import job as jobs
from cloud.node import signals
from tests.openstack.projects import Project

RUN = "20260101-120000-abcd"
LOGIN = "ubuntu"
_WAIT_S = 600.0  # a lab that others use too


@dataclass
class Reached:
    """The stack `name`; what its machines have lies below `place`."""

    project: Project
    name: str
    place: Path
    addresses: dict[str, str] = field(default_factory=dict)
    """Of the machines inside the cluster."""
    master_id: str = ""
    floating: str = ""

    @property
    def key(self) -> Path:
        """The private key that opens all machines."""
        return self.place / "key"

    def root(self, machine: str) -> Path:
        """What a machine's /var/lib and /var/log lie in."""
        return self.place / machine

    def tell(self, name: str, data: dict[str, Any]) -> None:
        """Signal as the master does."""
        notes: list[str] = []
        the_job = jobs.read(json.dumps(self.project.job(self.master_id)))
        document = {"server": self.master_id, "run": RUN, **data}
        sent = signals.send(the_job, name, ok=True, reason="played", data=document, note=notes.append)
        assert sent, notes

    def tell_gate(self) -> None:
        """Every machine passed the gate, with the host keys of today."""
        machines = [
            [name, address, " ".join((self.root(name) / "host.pub").read_text().split()[:2])]
            for name, address in self.addresses.items()
        ]
        self.tell("gate", {"state": "running", "problems": [], "machines": machines})

    def new_key(self, machine: str) -> None:
        """Make a host key."""
        place = self.root(machine)
        place.mkdir(parents=True, exist_ok=True)
        for path in place.glob("host*"):
            path.unlink()
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(place / "host")]
        subprocess.run(command, check=True)

    def log(self, machine: str, stage: str, text: str) -> None:
        """Append to a log of a machine."""
        path = self.root(machine) / "log/hotrun" / f"{stage}.log"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a") as file:
            file.write(text)

    def training(self) -> Path:
        """The master has a run that goes on; return the directory of its own files."""
        runs = self.root("master") / "lib/hotrun/runs"
        (runs / RUN / "1-here/results").mkdir(parents=True)
        (runs / "current.json").write_text(json.dumps({"run": RUN, "memory": {"attempt": 1}}))
        return runs / RUN / "1-here"

    def judged(self, files: dict[str, bytes]) -> None:
        """The master has judged its run."""
        from cloud.node.store import Store

        runs = self.root("master") / "lib/hotrun/runs"
        directory = runs / RUN / "1"
        status = {"schema": 1, "run": RUN, "attempt": 1, "state": "done", "result": {"accuracy": 0.9}}
        for name, content in {**files, "status.json": json.dumps(status).encode()}.items():
            (directory / name).parent.mkdir(parents=True, exist_ok=True)
            (directory / name).write_bytes(content)
        Store(directory, directory.parent / "shared").write_manifest()
        (runs / "latest").write_text(f"{RUN}/1\n")
        (runs / "current.json").unlink(missing_ok=True)

    @contextmanager
    def sshd(self, machine: str) -> Iterator[None]:
        """An sshd at the machine's addresses, while the block runs."""
        place = self.root(machine)
        for folder in ("lib/hotrun", "log/hotrun", "home"):
            (place / folder).mkdir(parents=True, exist_ok=True)
        own = [self.addresses[machine], *([self.floating] if machine == "master" else [])]
        config = [
            *(f"ListenAddress {each}:22" for each in own), f"HostKey {place / 'host'}",
            f"AuthorizedKeysFile {self.key}.pub", "UsePAM no", "UseDNS no", "StrictModes no", "PidFile none",
            "PermitRootLogin prohibit-password", "PasswordAuthentication no",
        ]  # fmt: skip
        (place / "sshd_config").write_text("\n".join(config) + "\n")
        for name, line in (
            ("passwd", f"{LOGIN}:x:0:0::{place}/home:/bin/bash"),
            ("shadow", f"{LOGIN}:*:19000::::::"),
        ):
            (place / name).write_text(f"{Path('/etc', name).read_text().rstrip()}\n{line}\n")
        there = shlex.quote(str(place))
        script = (
            "set -e; for one in passwd shadow; do mount --bind %s/$one /etc/$one; done; "
            "mount --bind %s/lib /var/lib; mount --bind %s/log /var/log; exec /usr/sbin/sshd -D -e -f %s/sshd_config"
        ) % ((there,) * 4)
        Path("/run/sshd").mkdir(exist_ok=True)
        for each in own:
            subprocess.run(["ip", "addr", "add", f"{each}/32", "dev", "lo"], check=True)
        process = subprocess.Popen(
            ["unshare", "--mount", "sh", "-c", script], stderr=(place / "sshd.log").open("wb")
        )
        try:
            _listens(own[-1], process)
            yield
        finally:
            process.terminate()
            process.wait()
            for each in own:
                subprocess.run(["ip", "addr", "del", f"{each}/32", "dev", "lo"], check=True)


@contextmanager
def reached(
    project: Project, template: Path, place: Path, *, cidr: str, workers: int = 1
) -> Iterator[Reached]:
    """A stack with an sshd for each machine; its master has said nothing yet."""
    found = Reached(project, "digits", place)
    place.mkdir()
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(found.key)], check=True)
    values = {"workers": workers, "external_network": "public", "network_cidr": cidr}
    words = [word for name, value in values.items() for word in ("--parameter", f"{name}={value}")]
    project.openstack("stack", "create", "-t", str(template), *words, found.name)
    stack, servers = _active(project, found.name, workers + 1)
    found.master_id = servers[0].id
    found.floating = str(stack.outputs["floating_ip"])
    for number, server in enumerate(servers):
        found.addresses[f"worker-{number}" if number else "master"] = server.addresses[0]
    with ExitStack() as opened:
        for machine in found.addresses:
            found.new_key(machine)
            opened.enter_context(found.sshd(machine))
        yield found


def _active(project: Project, name: str, count: int) -> Any:
    """The stack and its machines, once Nova has made them and Heat knows the master's address."""
    until = time.monotonic() + _WAIT_S
    while True:
        stack = project.cloud.stack(name)
        assert stack is not None
        servers = project.cloud.servers(stack)
        if len(servers) == count and all(each.status == "ACTIVE" for each in servers):
            stack = project.cloud.stack(name)
            if stack is not None and stack.outputs.get("floating_ip"):
                return stack, servers
        assert time.monotonic() < until, f"{stack.status}: {stack.reason}"
        time.sleep(2)


def _listens(address: str, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 20
    while True:
        with socket.socket() as probe:
            if not probe.connect_ex((address, 22)):
                return
        assert process.poll() is None, "sshd ended"
        assert time.monotonic() < until, "sshd did not start"
        time.sleep(0.1)
