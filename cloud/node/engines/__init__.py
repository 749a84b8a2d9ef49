"""One file per engine, all alike: `launch(job, recognition, place) -> Launch`. Pure.

To add one: a module with that function, and its name in ENGINES. It is asked once for each rank of a node.
"""

from __future__ import annotations

import importlib
import json
import shlex
from dataclasses import dataclass, field
from typing import Callable, Optional

from ..adapt import settings
from ..job import Job
from ..recognise import Recognition


@dataclass(frozen=True)
class Place:
    """Where one rank stands in the cluster."""

    node_rank: int
    nnodes: int
    nproc: int
    """Ranks on each node."""
    addresses: tuple[str, ...]
    """Private addresses of all nodes, the master's first."""
    master_port: int
    run: str
    attempt: int
    has_gpu: bool
    threads: int
    """Cores for each rank."""
    interface: str
    local_rank: int = 0
    resume: str = ""
    """The checkpoint to go on from, a file; empty for none."""
    reads_resume: bool = False
    """Whether the program that wrote it finds it by itself: it left a manifest of its own."""
    shared_memory_bytes: int = 1 << 40
    """Free in /dev/shm."""
    environment: str = ""
    """Directory of the program's Python environment; empty where nobody knows."""
    service_ports: int = 0
    """First of a thousand ports for what runs beside the ranks; 0 for its usual ones."""

    @property
    def rank(self) -> int:
        """Among all ranks."""
        return self.node_rank * self.nproc + self.local_rank

    @property
    def world_size(self) -> int:
        """Ranks in all."""
        return self.nnodes * self.nproc


@dataclass(frozen=True)
class Launch:
    """What to start for one rank, and beside it."""

    arguments: tuple[str, ...]
    """Of the interpreter; empty: no program of its own, the rank ends with the program of rank 0."""
    environment: dict[str, str] = field(default_factory=dict)
    """All that the engine defines; the service has it too."""
    service: tuple[str, ...] = ()
    """Of the interpreter: what runs beside the ranks of a node; that of its first rank is started.

    The master's begins first, the others' when it listens on `master_port`.
    """
    scratch: str = ""
    """A directory of the service's own, gone when it has ended; empty for none."""


def torchrun_environment(place: Place) -> dict[str, str]:
    """The variables that torchrun sets for a rank (torch/distributed/elastic/agent, static rendezvous)."""
    return {
        "MASTER_ADDR": place.addresses[0],
        "MASTER_PORT": str(place.master_port),
        "RANK": str(place.rank),
        "WORLD_SIZE": str(place.world_size),
        "LOCAL_RANK": str(place.local_rank),
        "LOCAL_WORLD_SIZE": str(place.nproc),
        "GROUP_RANK": str(place.node_rank),
        "GROUP_WORLD_SIZE": str(place.nnodes),
        "NODE_RANK": str(place.node_rank),
        "ROLE_RANK": str(place.rank),
        "ROLE_WORLD_SIZE": str(place.world_size),
        "ROLE_NAME": "default",
        "TORCHELASTIC_RUN_ID": place.run,
        "TORCHELASTIC_RESTART_COUNT": str(place.attempt - 1),
        "TORCHELASTIC_MAX_RESTARTS": "0",
        "TORCHELASTIC_USE_AGENT_STORE": "False",
        **network_environment(place),
    }


def network_environment(place: Place) -> dict[str, str]:
    """Cores and interface, as torch's libraries read them."""
    return {
        "OMP_NUM_THREADS": str(place.threads),
        "GLOO_SOCKET_IFNAME": place.interface,
        "NCCL_SOCKET_IFNAME": "=" + place.interface,
    }


def program(job: Job, *before: str) -> tuple[str, ...]:
    """Arguments of the interpreter: the entrypoint, `before`, then the user's own words."""
    return (job.entrypoint, *before, *shlex.split(job.args))


def trainer_settings(place: Place) -> dict[str, str]:
    """What a Lightning Trainer must be told about the cluster."""
    wanted = settings(place.nnodes, place.nproc, place.has_gpu)
    return {name: str(value) for name, value in wanted.items()}


def trainer_variables(place: Place) -> dict[str, str]:
    """The same as variables: a Trainer fills from them what the script did not pass.

    Fabric takes its own even where the script passed something (lightning_fabric/connector.py), so it gets
    only the two without which it trains alone.
    """
    found = {f"PL_TRAINER_{name.upper()}": value for name, value in trainer_settings(place).items()}
    return {**found, "LT_NUM_NODES": str(place.nnodes), "LT_DEVICES": str(place.nproc)}


def adapting(job: Job, place: Place) -> dict[str, str]:
    """What makes `hotrun_adapt` overrule hard-coded settings, where that was asked for."""
    wanted = settings(place.nnodes, place.nproc, place.has_gpu)
    return {"HOTRUN_ADAPT": json.dumps(wanted)} if job.adapt == "yes" else {}


ENGINES = {
    "lightning-cli": "lightning", "lightning": "lightning", "torch": "torch", "ray": "ray",
    "tensorflow": "tensorflow", "python": "python",
}  # fmt: skip
WITH_SERVICE = ("ray",)  # something listens beside the ranks, on ports of its own
ONE_RANK_A_NODE = ("tensorflow",)  # one process there has all GPUs of its node


def launcher(engine: str) -> Optional[Callable[[Job, Recognition, Place], Launch]]:
    """An engine's `launch`; None where the archive came without it."""
    try:
        module = importlib.import_module(f"{__package__}.{ENGINES[engine]}")
    except (ModuleNotFoundError, KeyError):
        return None
    return getattr(module, "launch")  # type: ignore[no-any-return]  # noqa: B009 - a name that stays
