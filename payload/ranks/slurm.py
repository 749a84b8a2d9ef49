"""What `srun` tells a process -> the variables that torch reads, where no other launcher has set them.

Lightning reads Slurm's own (its SLURMEnvironment); this is for programs of plain torch.
"""

from __future__ import annotations

import re
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import MutableMapping

FIRST_PORT, PORTS = 20_000, 10_000  # a job's own one of these, as long as MASTER_PORT names none
_NEEDED = ("SLURM_STEP_ID", "SLURM_PROCID", "SLURM_LOCALID", "SLURM_STEP_NUM_TASKS")


def adopt(environ: MutableMapping[str, str]) -> bool:
    """Set RANK and its like from Slurm's; False where this is no task of several, or a launcher did."""
    if "RANK" in environ or not all(environ.get(name) for name in _NEEDED):
        return False
    if int(environ["SLURM_STEP_NUM_TASKS"]) < 2:
        return False
    on_node = re.match(r"\d+", environ.get("SLURM_STEP_TASKS_PER_NODE", "1"))
    found = {
        "RANK": environ["SLURM_PROCID"],
        "WORLD_SIZE": environ["SLURM_STEP_NUM_TASKS"],
        "LOCAL_RANK": environ["SLURM_LOCALID"],
        "LOCAL_WORLD_SIZE": on_node[0] if on_node else "1",
        "MASTER_ADDR": _first(environ),
        "MASTER_PORT": str(FIRST_PORT + int(environ.get("SLURM_JOB_ID", "0")) % PORTS),
    }
    for name, value in found.items():
        environ.setdefault(name, value)
    return True


def _first(environ: MutableMapping[str, str]) -> str:
    """The step's first node, by an address; where names mean nothing, the node that `srun` was typed on."""
    nodes = environ.get("SLURM_STEP_NODELIST", "")
    head = re.match(r"([^\[,]+)(?:\[(\d+))?", nodes)
    name = f"{head[1]}{head[2] or ''}" if head else ""
    try:
        return socket.gethostbyname(name) if name else environ.get("SLURM_LAUNCH_NODE_IPADDR", "127.0.0.1")
    except OSError:
        return environ.get("SLURM_LAUNCH_NODE_IPADDR", name)
