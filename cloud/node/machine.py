"""What a node can find out about itself without changing anything: metadata, address, hardware."""

from __future__ import annotations

import contextlib
import fcntl
import http.client
import json
import os
import platform
import shutil
import socket
import struct
import subprocess
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable

from .console import node_name

ODD = (TimeoutError, KeyError, ValueError, TypeError, AttributeError, OverflowError)  # of `identity`
METADATA_URL = "http://169.254.169.254"  # the link-local address of every OpenStack's metadata service
_SIOCGIFADDR = 0x8915  # <linux/sockios.h>
_SIOCGIFMTU = 0x8921


@dataclass(frozen=True)
class Identity:
    """Who this node is, told by the server's metadata."""

    rank: int
    nnodes: int
    server: str
    """The server's uuid."""
    address: str
    """Private IPv4 address; empty when the metadata does not say."""
    rerun: int = 0
    """Counts the runs that were asked for after the first one."""
    ref: str = ""
    """What this run trains instead of the job's ref; empty for that one."""
    args: str = ""
    """Arguments of this run; empty for the job's, blank for none."""

    @property
    def name(self) -> str:
        """`master` or `worker-<rank>`."""
        return node_name(self.rank)

    @property
    def is_master(self) -> bool:
        """Whether this is rank 0."""
        return self.rank == 0


def identity(base_url: str, deadline: float, waiting: Callable[[str], None]) -> Identity:
    """Ask the metadata service until it answers.

    Raises TimeoutError after `deadline` (time.monotonic() seconds), KeyError when the server has no rank.
    """
    document: dict[str, Any] = json.loads(
        _get(base_url + "/openstack/latest/meta_data.json", deadline, waiting)
    )
    meta = document["meta"]
    try:
        address = (
            _get(base_url + "/latest/meta-data/local-ipv4", time.monotonic() + 5, waiting).decode().strip()
        )
    except TimeoutError:
        address = ""
    return Identity(
        int(meta["hotrun_rank"]), int(meta["hotrun_workers"]) + 1, document.get("uuid", ""), address,
        int(float(meta.get("hotrun_rerun") or 0)), meta.get("hotrun_ref", ""), meta.get("hotrun_args", ""),
    )  # fmt: skip


def glance() -> Identity | None:
    """Who the metadata say this node is now; None where they don't answer."""
    try:
        return identity(metadata_url(), 0.0, lambda _: None)
    except ODD:
        return None


def metadata_url() -> str:
    """Where the metadata service answers."""
    return os.environ.get("HOTRUN_METADATA_URL", METADATA_URL)


def host_key(root: Path) -> str:
    """This machine's public ssh host key without its comment, the best kind that it has; empty without."""
    for kind in ("ed25519", "ecdsa", "rsa"):
        with contextlib.suppress(OSError):
            return " ".join((root / f"etc/ssh/ssh_host_{kind}_key.pub").read_text().split()[:2])
    return ""


def route_address(target: str) -> str:
    """The local address from which `target` is reached; no packet is sent. Raises OSError without a route."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect((target, 9))
        return str(probe.getsockname()[0])


def interface_of(address: str) -> str:
    """The network interface that holds `address`, or empty."""
    if address.startswith("127."):
        return "lo"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        for _, name in socket.if_nameindex():
            try:
                packed = fcntl.ioctl(probe.fileno(), _SIOCGIFADDR, struct.pack("256s", name.encode()[:15]))
            except OSError:  # an interface without an address
                continue
            if socket.inet_ntoa(packed[20:24]) == address:
                return name
    return ""


def mtu_of(interface: str) -> int:
    """The largest packet of an interface in bytes, 0 when unknown. Asked of the socket's own network."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            packed = fcntl.ioctl(probe.fileno(), _SIOCGIFMTU, struct.pack("256s", interface.encode()[:15]))
        except OSError:
            return 0
    return int(struct.unpack_from("i", packed, 16)[0])


def has_default_route() -> bool:
    """Whether the kernel has a default IPv4 route."""
    try:
        lines = Path("/proc/net/route").read_text().splitlines()[1:]
    except OSError:
        return True  # can't be known here
    return any(line.split()[1] == "00000000" for line in lines if line.strip())


def cpus() -> int:
    """Cores that this node may use: HOTRUN_CPUS, else those the kernel allows."""
    given = os.environ.get("HOTRUN_CPUS", "")
    return int(given) if given.isdigit() and int(given) > 0 else len(os.sched_getaffinity(0))


def gpus(deadline: float = 0.0, waiting: Callable[[str], None] = lambda _: None) -> list[str]:
    """NVIDIA GPUs by name, as nvidia-smi lists them; none without a working driver.

    Where there is a card, its driver may still be loading: it is waited for until `deadline`.
    As many as CUDA_VISIBLE_DEVICES names where it is set: torch sees no others, nvidia-smi does.
    """
    program, shown = shutil.which("nvidia-smi"), os.environ.get("CUDA_VISIBLE_DEVICES")
    names = _listed(program) if program else []
    while program and not names and time.monotonic() < deadline and _has_card():
        waiting("waiting for nvidia-smi: the driver does not answer yet")
        time.sleep(_DRIVER_PAUSE_S)
        names = _listed(program)
    return names[: sum(each not in ("", "-1") for each in shown.split(","))] if shown else names


def _listed(program: str) -> list[str]:
    try:
        listed = subprocess.run([program, "-L"], capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return [line for line in listed.stdout.splitlines() if line.startswith("GPU ") and not listed.returncode]


def _has_card() -> bool:
    """Whether an NVIDIA device is on the PCI bus."""
    return any(path.read_text().strip() == "0x10de" for path in _PCI.glob("*/vendor"))


_PCI = Path("/sys/bus/pci/devices")
_DRIVER_PAUSE_S = 3.0


def kind(gpu_names: list[str]) -> str:
    """Nodes of one kind share a lock: processor or GPU, architecture, Python."""
    version = ".".join(platform.python_version_tuple()[:2])
    return f"{'gpu' if gpu_names else 'cpu'}-{platform.machine()}-py{version}"


def uptime_s() -> float:
    """Seconds since this machine booted, 0 when unknown."""
    try:
        return float(Path("/proc/uptime").read_text().split()[0])
    except OSError:
        return 0.0


def _get(url: str, deadline: float, waiting: Callable[[str], None]) -> bytes:
    while True:
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return bytes(answer.read())
        except (OSError, http.client.HTTPException) as error:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{url}: {error}") from error
            waiting(f"waiting for the metadata service ({error})")
            time.sleep(1.0)
