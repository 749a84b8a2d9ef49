"""Ray: a head on the master, every other machine joins it, the program is the driver on the master.

All ports but those of torch's own process group are pinned. Nothing is ever ended with `ray stop`, which
would end every Ray of a machine: the service is a child of the node program, and is swept with it.
"""

from __future__ import annotations

import hashlib
import socket
import time

from ..failure import StageFailed
from ..job import Job
from ..recognise import Recognition
from . import Launch, Place, network_environment, program

_PORTS = (  # from 6380 on, or from `service_ports`
    "node-manager", "object-manager", "runtime-env-agent", "dashboard-agent-grpc", "dashboard-agent-listen",
    "metrics-export", "min-worker",
)  # fmt: skip
_PATIENCE_S = 60  # with ports: what an attempt before this one had started may still be ending
_LONGEST_PLACE = 42  # of its files, as the names of its sockets are long, and 107 bytes are allowed


def launch(job: Job, recognition: Recognition, place: Place) -> Launch:
    """`ray start --block` on every machine, and on the master the program with the user's arguments.

    Raises StageFailed where several machines share the ports of one computer, without room for objects, and
    for a port of this machine that another program has: Ray says less of it, and later.
    """
    if place.nnodes > 1 and place.addresses[0].startswith("127."):
        what = "at level process Ray's machines would share their ports"
        raise StageFailed("level-not-possible", what, fix="rehearse with --level namespace")
    head = f"{place.addresses[0]}:{place.master_port}"
    cpus = place.nproc + max(1, (place.threads - 1) * place.nproc)  # one for each rank, one to read data
    words = ["-m", "ray.scripts.scripts", "start", "--block"]
    first = place.service_ports or 6380
    ports = [*range(first, first + 6)]
    words += ["--node-ip-address", place.addresses[place.node_rank], f"--num-cpus={cpus}"]
    free = place.shared_memory_bytes
    if free < 100 << 20:  # Ray refuses a store of less than 80 MB
        what = f"/dev/shm has {free >> 20} MB free, and Ray needs 100"
        raise StageFailed("shared-memory-short", what, fix="choose a flavor with more memory")
    # At most 2 GiB of objects; Ray would take a third of the memory.
    words += [f"--object-store-memory={min(2 << 30, free * 8 // 10)}"]
    words += [f"--max-worker-port={first + 998}"]
    words += [f"--{name}-port={port}" for port, name in enumerate(_PORTS, first)]
    words += ["--temp-dir", directory(place.run)]
    if place.node_rank:
        words += ["--address", head]
    else:
        ports += [place.master_port]
        words += ["--head", f"--port={place.master_port}", "--dashboard-host=127.0.0.1"]
        words += [f"--dashboard-port={first + 999 if place.service_ports else 8265}"]
    late = time.monotonic() + _PATIENCE_S
    while ports:
        try:
            socket.create_server(("", ports[-1])).close()
            ports.pop()
        except OSError as error:
            if time.monotonic() > late:
                raise StageFailed("port-taken", f"port {ports[-1]} can't be used: {error}") from error
            time.sleep(0.5)
    environment = {
        "RAY_ADDRESS": head, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": _token(job),
        "RAY_USAGE_STATS_ENABLED": "0", "WORLD_SIZE": str(place.world_size), **network_environment(place),
    }  # fmt: skip
    return Launch(() if place.rank else program(job), environment, tuple(words))


def directory(run: str) -> str:
    """Where Ray has its files on each machine; short, and on a disk of its own, as its sockets are there."""
    return f"/tmp/ray-{run}"[:_LONGEST_PLACE]


def _token(job: Job) -> str:
    """The same on all machines of a stack, and on no other's."""
    return hashlib.sha256(f"{job.secret}/ray".encode()).hexdigest()
