"""Machines behind a real sshd each, on loopback addresses: a master and workers with a root of their own."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from cloud.stack.shell import Shell
from cloud.stack.shell.config import Machine
from tests.ports import free_port

SSHD = "/usr/sbin/sshd"
USER = pwd.getpwuid(os.geteuid())
RUN = "20260101-120000-abcd"


@dataclass
class Host:
    """One machine."""

    name: str
    address: str
    place: Path
    port: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def root(self) -> Path:
        """What the machine's paths stand below."""
        return self.place / "root"

    @property
    def host_key(self) -> str:
        """As the gate signal has it."""
        return " ".join((self.place / "host.pub").read_text().split()[:2])

    def new_key(self) -> None:
        """Make a host key, as a machine that was replaced does."""
        for path in self.place.glob("host*"):
            path.unlink()
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.place / "host")]
        subprocess.run(command, check=True)

    def start(self) -> None:
        """Start its sshd and wait until it listens."""
        config = [
            f"Port {self.port}", f"ListenAddress {self.address}", f"HostKey {self.place / 'host'}",
            f"AuthorizedKeysFile {self.place / 'authorized'}", "UsePAM no", "StrictModes no", "PidFile none",
            "PermitRootLogin prohibit-password", "PasswordAuthentication no", "PrintMotd no", "UseDNS no",
        ]  # fmt: skip
        (self.place / "sshd_config").write_text("\n".join(config) + "\n")
        self.process = subprocess.Popen(
            [SSHD, "-D", "-e", "-f", str(self.place / "sshd_config")], stderr=subprocess.DEVNULL
        )
        until = time.monotonic() + 20
        while True:
            with socket.socket() as probe:
                if not probe.connect_ex((self.address, self.port)):
                    return
            assert time.monotonic() < until, "sshd did not start"
            time.sleep(0.05)

    def stop(self) -> None:
        """End its sshd; connections that are open stay."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait()
            self.process = None

    def judged(self, files: dict[str, bytes], *, attempt: int = 1, run: str = RUN) -> Path:
        """Lay out what a master has when its run was judged; return the attempt's directory."""
        from cloud.node.store import Store

        runs = self.root / "var/lib/hotrun/runs"
        directory = runs / run / str(attempt)
        status = {"schema": 1, "run": run, "attempt": attempt, "state": "done", "result": {"accuracy": 0.9}}
        for name, content in {**files, "status.json": json.dumps(status).encode()}.items():
            path = directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        Store(directory, directory.parent / "shared").write_manifest()
        (runs / "latest").write_text(f"{run}/{attempt}\n")
        (runs / "current.json").unlink(missing_ok=True)
        return directory

    def training(self, *, attempt: int = 1, run: str = RUN) -> Path:
        """Lay out what a master has while its run trains; return the directory of its own files."""
        runs = self.root / "var/lib/hotrun/runs"
        here = runs / run / f"{attempt}-here"
        (here / "results").mkdir(parents=True, exist_ok=True)
        (runs / "current.json").write_text(json.dumps({"run": run, "memory": {"attempt": attempt}}))
        return here

    def log(self, stage: str, text: str) -> None:
        """Append to the log of a stage."""
        path = self.root / "var/log/hotrun" / f"{stage}.log"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a") as file:
            file.write(text)


@dataclass
class Site:
    """All machines, and the key that opens them."""

    place: Path
    hosts: dict[str, Host] = field(default_factory=dict)

    @property
    def identity(self) -> Path:
        """The private key."""
        return self.place / "key"

    @property
    def master(self) -> Host:
        """The first of the hosts."""
        return self.hosts["master"]

    def machines(self) -> list[Machine]:
        """As the master reports them."""
        return [Machine(name=h.name, address=h.address, host_key=h.host_key) for h in self.hosts.values()]

    def shell(self, machines: list[Machine] | None = None, identity: Path | None = None) -> Shell:
        """Log in as this computer's user does."""
        return Shell(
            address=self.master.address, login=USER.pw_name, machines=self.machines() if machines is None else machines,
            identity=identity or self.identity, port=self.master.port,
            roots={host.name: str(host.root) for host in self.hosts.values()},
        )  # fmt: skip


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """A master and two workers."""
    if not Path(SSHD).exists() or not shutil.which("ssh"):
        pytest.skip("there is no sshd: apt install openssh-server")
    if Path(USER.pw_shell).name in {"nologin", "false"}:
        pytest.skip("this user may not log in: its shell is nologin")
    if os.geteuid() == 0:  # root's sshd wants it
        Path("/run/sshd").mkdir(exist_ok=True)
    found = Site(tmp_path / "a site")
    found.place.mkdir()
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(found.identity)]
    subprocess.run(command, check=True)
    port = free_port()
    for number, name in enumerate(("master", "worker-1", "worker-2")):
        place = tmp_path / name
        (place / "root").mkdir(parents=True)
        shutil.copy(found.identity.with_suffix(".pub"), place / "authorized")
        found.hosts[name] = host = Host(name, f"127.0.61.{2 + number}", place, port)
        host.new_key()
        host.start()
    try:
        yield found
    finally:
        for host in found.hosts.values():
            host.stop()
