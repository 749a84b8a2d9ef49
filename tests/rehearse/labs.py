"""Labs for tests: opened for real, with machines that run a few lines of bash; and who stands outside of them."""

from __future__ import annotations

import ipaddress
import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cloud.rehearse import addresses
from cloud.rehearse.lab import choice
from cloud.rehearse.lab.namespace import Namespace
from cloud.rehearse.lab.site import Site
from cloud.rehearse.prepare import Node

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

RULES = [
    {"protocol": "tcp", "port_range_min": 22, "port_range_max": 22, "remote_ip_prefix": "0.0.0.0/0"},
    {"remote_mode": "remote_group_id"},
]
TAG = "t" * 32
OUTSIDE = "10.8.1.200"
_LISTEN = """
import selectors, socket, sys
chosen = selectors.DefaultSelector()
for port in sys.argv[1:]:
    chosen.register(socket.create_server(("0.0.0.0", int(port))), selectors.EVENT_READ)
print("ready", flush=True)
while True:
    for key, _ in chosen.select():
        connection, _ = key.fileobj.accept()
        connection.sendall(b"here")
        connection.close()
"""
_CONNECT = """
import socket, sys
try:
    with socket.create_connection((sys.argv[1], int(sys.argv[2])), 1.5) as connection:
        connection.settimeout(1.5)
        sys.exit(connection.recv(4) != b"here")
except OSError as error:
    sys.exit(f"{type(error).__name__}: {error}")
"""


def needed() -> None:
    """Skip a test where namespaces don't work; where that could be mended, for a reason that CI does not accept."""
    reason = choice.probe()
    if reason:
        is_mendable = os.geteuid() == 0 or "apt install" in reason
        pytest.skip(
            f"{'no level namespace' if is_mendable else 'user namespaces are not allowed here'}: {reason}"
        )


@contextmanager
def opened(
    directory: Path, workers: int = 1, group: Sequence[dict[str, Any]] | None = tuple(RULES)
) -> Iterator[Namespace]:
    """A lab with a master and workers, whose roots are below `directory`."""
    names = ["master", *(f"worker-{rank}" for rank in range(1, workers + 1))]
    roots = {name: directory / name for name in names}
    for root in roots.values():
        (root / "tmp").mkdir(parents=True)
    network = addresses.Subnet(ipaddress.IPv4Network("10.8.0.0/23"), len(names))
    site = Site(network=network, names=names, group=group, where="t.yml:1", directory=directory / "lab")
    level = Namespace(
        site, stack="digits", tag=TAG, roots=roots, together=[directory], kept=[Path(sys.prefix)]
    )
    try:
        yield level
    finally:
        level.close()


def node(level: Namespace, directory: Path, name: str, script: str) -> Node:
    """A machine that runs a few lines of bash."""
    root = directory / name
    user_data = root / "user_data"
    user_data.write_text(script)
    names = ["master", "worker-1", "worker-2"]
    environment = {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOTRUN_ROOT": str(root),
        "HOTRUN_REHEARSAL": TAG, "TMPDIR": str(root / "tmp"),
    }  # fmt: skip
    return Node(
        name=name, address=level.network.node(names.index(name)), root=root, user_data=user_data,
        environment=environment,
    )  # fmt: skip


def start(level: Namespace, machine: Node) -> subprocess.Popen[str]:
    """Start a machine as a session does."""
    return subprocess.Popen(
        level.argv(machine), env=machine.environment, cwd=machine.root, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
    )  # fmt: skip


def run(level: Namespace, directory: Path, name: str, script: str) -> tuple[int, str]:
    """Exit code and output of a machine that runs a script."""
    process = start(level, node(level, directory, name, script))
    shown, _ = process.communicate(timeout=60)
    return process.returncode, shown


@contextmanager
def listening(level: Namespace, name: str, *ports: int) -> Iterator[None]:
    """A machine's network in which something listens at these ports."""
    command = [*level.inside(name), sys.executable, "-I", "-c", _LISTEN, *map(str, ports)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        assert server.stdout.readline() == "ready\n"
        try:
            yield
        finally:
            server.kill()


def reached(level: Namespace, name: str | None, address: str, port: int) -> str:
    """Empty when a connection from there is answered, else what went wrong."""
    command = [*level.inside(name), sys.executable, "-I", "-c", _CONNECT, address, str(port)]
    return subprocess.run(command, capture_output=True, text=True, check=False).stderr.strip()


def stranger(level: Namespace, directory: Path) -> str:
    """Put somebody who is no member on the bridge; return the name for `inside`."""
    place = directory / "lab/net/stranger"
    script = f"""set -e
touch {place}
unshare --net={place} true
ip link add tapx type veth peer name ens3 netns {place}
ip link set tapx master br0 up
nsenter --net={place} ip link set lo up
nsenter --net={place} ip addr add {OUTSIDE}/23 dev ens3
nsenter --net={place} ip link set ens3 up
"""
    subprocess.run([*level.inside(), "sh", "-c", script], check=True)
    return "stranger"


def own_address() -> str:
    """An address of this computer that is not its loopback, or empty."""
    import socket

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return ""
        return str(probe.getsockname()[0])


def below_a_lab() -> set[str]:
    """Command lines of processes on this computer that carry the tag of these tests, or are a lab."""
    found = set()
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and int(entry.name) != os.getpid():
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                tagged = f"HOTRUN_REHEARSAL={TAG}".encode() in (entry / "environ").read_bytes()
                if tagged:
                    found.add(line)
        except OSError:
            continue
    return found
