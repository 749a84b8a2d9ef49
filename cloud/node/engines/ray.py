"""Ray: a head on the master, every other machine joins it, the program is the driver on the master.

All ports but those of torch's own process group are pinned. Nothing is ever ended with `ray stop`, which
would end every Ray of a machine: the service is a child of the node program, and is swept with it.
"""

from __future__ import annotations

import hashlib
import socket
from pathlib import Path

from ..failure import StageFailed
from ..job import Job
from ..recognise import Recognition
from . import Launch, Place, network_environment, program

_PORTS = (  # from 6380 on, or from `service_ports`
    "node-manager", "object-manager", "runtime-env-agent", "dashboard-agent-grpc", "dashboard-agent-listen",
    "metrics-export",
)  # fmt: skip
_LONGEST_PLACE = 38  # of its files, but for a rank: names of sockets are long, and may have 107 bytes


def launch(job: Job, recognition: Recognition, place: Place) -> Launch:
    """`ray start --block` on every machine, and on the master the program with the user's arguments.

    Raises StageFailed where several machines share the ports of one computer, without room for objects, and
    for a port of this machine that another program has: Ray says less of it, and later.
    """
    if place.nnodes > 1 and place.addresses[0].startswith("127."):
        what = "at level process Ray's machines would share their ports"
        raise StageFailed("level-not-possible", what, fix="rehearse with --level namespace")
    free = place.shared_memory_bytes
    if free < 100 << 20:  # Ray refuses a store of less than 80 MB
        what = f"/dev/shm has {free >> 20} MB free, and Ray needs 100"
        raise StageFailed("shared-memory-short", what, fix="choose a flavor with more memory")
    first = place.service_ports or 6380
    heads = [] if place.node_rank else [place.master_port, first + 998]
    for port in (*range(first, first + len(_PORTS)), *heads):
        try:
            socket.create_server(("", port)).close()
        except OSError as error:
            raise StageFailed("port-taken", f"port {port} can't be used: {error}") from error
    head = f"{place.addresses[0]}:{place.master_port}"
    environment = {
        "RAY_ADDRESS": head, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": _token(job),
        "RAY_USAGE_STATS_ENABLED": "0", "WORLD_SIZE": str(place.world_size), **network_environment(place),
    }  # fmt: skip
    files = directory(place.run, place.node_rank)
    return Launch(() if place.rank else program(job), environment, _start(place, first, head, files), files)


def _start(place: Place, first: int, head: str, files: str) -> tuple[str, ...]:
    """The words of `ray start`: its ports from `first` on, at most 2 GiB of objects."""
    cpus = place.nproc + max(1, (place.threads - 1) * place.nproc)  # one for each rank, one to read data
    words = ["-m", "ray.scripts.scripts", "start", "--block"]
    words += ["--node-ip-address", place.addresses[place.node_rank], f"--num-cpus={cpus}"]
    # Ray would take a third of the memory.
    words += [f"--object-store-memory={min(2 << 30, place.shared_memory_bytes * 8 // 10)}"]
    words += [f"--{name}-port={port}" for port, name in enumerate((*_PORTS, "min-worker"), first)]
    words += [f"--max-worker-port={first + 997}", "--temp-dir", files]
    if place.node_rank:
        return *words, "--address", head
    dashboard = first + 999 if place.service_ports else 8265
    words += ["--head", f"--port={place.master_port}", "--dashboard-host=127.0.0.1"]
    # Ray Client's server would take 10001; without its packages there is none, and Ray refuses the flag.
    for _ in Path(place.environment).glob("lib/python3*/site-packages/grpc"):
        words.append(f"--ray-client-server-port={first + 998}")
    return *words, f"--dashboard-port={dashboard}"


def directory(run: str, node_rank: int) -> str:
    """Where Ray has its files on a machine, its sockets too; short, and no other's where /tmp is shared."""
    return f"{f'/tmp/ray-{run}'[:_LONGEST_PLACE]}-{node_rank}"


def _token(job: Job) -> str:
    """The same on all machines of a stack, and on no other's."""
    return hashlib.sha256(f"{job.secret}/ray".encode()).hexdigest()
