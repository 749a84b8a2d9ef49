"""look: what one node is and has, as a line of JSON for the script. Changes nothing.

{"rank": 1, "host": "node2", "address": "10.1.0.2", "interface": "ib0", "gpus": 4, "held": […], "free": […]}
"""

from __future__ import annotations

import json
import os
import platform
import socket
import subprocess
from pathlib import Path
from typing import Any, Sequence

from .. import machine
from ..checkpoints import Keeper
from ..engines import WITH_SERVICE
from . import places

BLOCKS = 8  # of ports that are tried
_FIRST_PORT, _PORTS = 21_100, 10_000  # below the system's own outgoing ports, above Ray's
TALK = (
    300  # this far above a block's first port nodes answer each other; below it TensorFlow's servers listen
)
_FIRST_SERVICE, _SERVICE_PORTS, SERVICE_BLOCKS = 11_000, 1_000, 10  # of Ray: below all of those
_PYTHON_S = 120.0  # to start from a cold file system


def main(words: Sequence[str]) -> int:
    """Print the line."""
    rank = int(os.environ["SLURM_NODEID"])
    print(json.dumps(found(rank, os.environ[places.OURS + "ADDRESSES"].split())), flush=True)
    return 0


def found(rank: int, addresses: Sequence[str]) -> dict[str, Any]:
    """What this node tells; `problem` says why it can't take part."""
    address = own_address(rank, addresses)
    gpus = machine.gpus()
    told = {
        "rank": rank, "host": os.environ.get("SLURMD_NODENAME") or socket.gethostname(), "address": address,
        "interface": machine.interface_of(address), "gpus": len(gpus),
        "cpus": machine.cpus(), "free": free_blocks(rank, address), "held": _held(rank), "problem": "",
        "free_services": [],
    }  # fmt: skip
    try:
        told["free_services"] = free_services(places.prepared()["engine"], address)
        told["problem"] = python_problem(Path(places.prepared()["environment"]))
    except (OSError, ValueError) as error:
        told["problem"] = f"what was prepared is not to be seen there: {error}"
    if len(addresses) > 1 and _is_loopback(address):
        told["problem"] = (
            f"the address of {told['host']} is {address} there, which no other node reaches: "
            "its NodeAddr in slurm.conf, or its name in DNS, must be an address of the cluster's network"
        )
    return told


def own_address(rank: int, addresses: Sequence[str]) -> str:
    """The address that Slurm knows, where an interface here has it; else that of the route to another.

    Where NodeAddr is a name, Debian's /etc/hosts makes 127.0.1.1 of it on that node: no other reaches it.
    """
    known = addresses[rank]
    if machine.interface_of(known) and (len(addresses) == 1 or not _is_loopback(known)):
        return known
    others = [addresses[0], *reversed(addresses)]
    others = [each for each in others if each != known and not _is_loopback(each)]
    try:
        return machine.route_address(others[0]) if others else known
    except OSError:
        return known


def _is_loopback(address: str) -> bool:
    return address.startswith("127.")


def first_port(block: int) -> int:
    """Of a block; the job's number and the attempt decide where the blocks begin."""
    number = (
        int(os.environ["SLURM_JOB_ID"]) * 31 + int(os.environ.get(places.OURS + "TRY", "0")) * BLOCKS + block
    )
    return _FIRST_PORT + number * 643 % _PORTS


def free_blocks(rank: int, address: str) -> list[int]:
    """Blocks in which this node could listen on its own ports."""
    return [
        block
        for block in range(BLOCKS)
        if all(_is_free(address, first_port(block) + offset) for offset in (rank, TALK))
    ]


def first_service_port(block: int) -> int:
    """Of a thousand that what runs beside the ranks has; jobs in a row begin with different ones."""
    number = int(os.environ["SLURM_JOB_ID"]) + block
    return _FIRST_SERVICE + number % SERVICE_BLOCKS * _SERVICE_PORTS


def free_services(engine: str, address: str) -> list[int]:
    """Blocks in which nobody listens on this node; only Ray needs any."""
    if engine not in WITH_SERVICE:
        return []
    firsts = map(first_service_port, range(SERVICE_BLOCKS))
    return [
        block
        for block, first in enumerate(firsts)
        if all(_is_free(address, first + offset) for offset in range(_SERVICE_PORTS))
    ]


def _is_free(address: str, port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((address, port))
        except OSError:
            return False
    return True


def _held(rank: int) -> list[list[Any]]:
    """Checkpoints; where all see the same files, one node reads them."""
    directory = places.run_directory() / "kept"
    if rank and os.environ.get(places.OURS + "SHARED") == "yes":
        return []
    return Keeper(directory).held() if directory.is_dir() else []


def python_problem(environment: Path) -> str:
    """Why the environment's Python does not start on this node; empty when it does."""
    wanted, here = places.prepared()["kind"].split("-")[1], platform.machine()
    if wanted != here:
        return f"it is {here}, and the environment was made for {wanted}"
    command = [str(environment / "bin/python"), "-c", "import ssl, ctypes"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_PYTHON_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"the environment's Python does not start there: {error}"
    said = done.stderr.strip().splitlines()
    return (
        f"the environment's Python does not start there: {said[-1] if said else done.returncode}"
        if done.returncode
        else ""
    )
