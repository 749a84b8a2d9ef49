"""One file per engine, all alike: `launch(job, recognition, place) -> Launch`. Pure.

To add one: a module with that function, and a line in ENGINES.
"""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass, field
from typing import Callable

from ..adapt import settings
from ..job import Job
from ..recognise import Recognition


@dataclass(frozen=True)
class Place:
    """Where the ranks of one node stand in the cluster."""

    node_rank: int
    nnodes: int
    nproc: int
    """Ranks on each node."""
    master_address: str
    master_port: int
    run: str
    attempt: int
    has_gpu: bool
    threads: int
    """Cores for each rank."""
    interface: str
    resume: str = ""
    """The checkpoint to go on from, a file; empty for none."""
    reads_resume: bool = False
    """Whether the program that wrote it finds it by itself: it left a manifest of its own."""


@dataclass(frozen=True)
class Launch:
    """What to start for every rank of a node: arguments of the interpreter, and environment."""

    arguments: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=dict)


def torchrun_environment(place: Place, local_rank: int) -> dict[str, str]:
    """The variables that torchrun sets for a rank (torch/distributed/elastic/agent, static rendezvous)."""
    rank, world_size = place.node_rank * place.nproc + local_rank, place.nnodes * place.nproc
    return {
        "MASTER_ADDR": place.master_address,
        "MASTER_PORT": str(place.master_port),
        "RANK": str(rank),
        "WORLD_SIZE": str(world_size),
        "LOCAL_RANK": str(local_rank),
        "LOCAL_WORLD_SIZE": str(place.nproc),
        "GROUP_RANK": str(place.node_rank),
        "GROUP_WORLD_SIZE": str(place.nnodes),
        "NODE_RANK": str(place.node_rank),
        "ROLE_RANK": str(rank),
        "ROLE_WORLD_SIZE": str(world_size),
        "ROLE_NAME": "default",
        "TORCHELASTIC_RUN_ID": place.run,
        "TORCHELASTIC_RESTART_COUNT": str(place.attempt - 1),
        "TORCHELASTIC_MAX_RESTARTS": "0",
        "TORCHELASTIC_USE_AGENT_STORE": "False",
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


from . import lightning, python, torch  # noqa: E402 - they use what stands above

ENGINES: dict[str, Callable[[Job, Recognition, Place], Launch]] = {
    "lightning-cli": lightning.launch,
    "lightning": lightning.launch,
    "torch": torch.launch,
    "python": python.launch,
}
