"""TensorFlow: TF_CONFIG names all machines and which one this is; MultiWorkerMirroredStrategy reads it. Pure.

One process on each machine has all its GPUs. Every machine has a port of its own, as the server of TensorFlow
listens on all addresses, and machines of a rehearsal may share a computer.
"""

from __future__ import annotations

import json

from ..job import Job
from ..recognise import Recognition
from . import Launch, Place, network_environment, program

# A ping after 310 s without an answer: gRPC's own servers hang up on whom they hear sooner than every 300 s.
_KEEPALIVE = "grpc.keepalive_time_ms=310000"


def launch(job: Job, recognition: Recognition, place: Place) -> Launch:
    """The program with the user's arguments; a machine that stands alone needs no TF_CONFIG."""
    workers = [f"{address}:{place.master_port + rank}" for rank, address in enumerate(place.addresses)]
    task = {"type": "worker", "index": place.node_rank}
    environment = {
        "TF_CPP_MIN_LOG_LEVEL": "1", "TF_NUM_INTRAOP_THREADS": str(place.threads),
        "TF_GRPC_DEFAULT_OPTIONS": _KEEPALIVE, **network_environment(place),
    }  # fmt: skip
    if place.nnodes > 1:
        environment["TF_CONFIG"] = json.dumps({"cluster": {"worker": workers}, "task": task})
    return Launch(program(job), environment)
