"""What a rehearsed cluster is -> its slurm.conf and gres.conf. Pure.

Both lie in /etc/slurm as the lab sees it, where `sbatch` and `srun` look on any cluster.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

HOME = "/etc/slurm"  # where Debian's Slurm looks; the lab mounts its own over this computer's
LOGIN = "login"  # host name of the machine with slurmctld, where one types sbatch
REQUEUE_S = 15  # how long a requeued job waits; Slurm's own is 120 s (AuthInfo's cred_expire, slurm.conf(5))
LOST_S = 20  # silence after which a node is down; Slurm's own is 300 s (SlurmdTimeout)
GRACE_S = 30  # from SIGTERM to SIGKILL, as Slurm's own (KillWait)
_GRES = "gpu"


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """A cluster."""

    nodes: Mapping[str, str]
    """Name -> address."""
    login: str
    """Address of the machine with slurmctld."""
    state: Path
    """Directory for its logs and what it remembers."""
    cpus: int = 1
    memory_mb: int = 1000
    gpus: int = 0
    """GPUs that each node claims to have."""
    partitions: tuple[str, ...] = ("main",)
    """The first one is the default."""
    features: tuple[str, ...] = ()
    """What jobs may ask for with --constraint."""


def slurm_conf(layout: Layout) -> str:
    """Every line of slurm.conf; no accounting, no cgroups, one job per node at a time."""
    settings = {
        "ClusterName": "rehearsal", "SlurmctldHost": f"{LOGIN}({layout.login})",
        "SlurmUser": "root", "SlurmdUser": "root",
        "AuthType": "auth/munge", "CredType": "cred/munge",
        "AuthInfo": f"socket={HOME}/munge.socket,cred_expire={REQUEUE_S}",
        "StateSaveLocation": layout.state / "slurmctld", "SlurmdSpoolDir": layout.state / "slurmd-%n",
        "SlurmctldPidFile": layout.state / "slurmctld.pid", "SlurmdPidFile": layout.state / "slurmd-%n.pid",
        "SlurmctldPort": 6817, "SlurmdPort": 6818, "SlurmdTimeout": LOST_S, "KillWait": GRACE_S,
        "ProctrackType": "proctrack/linuxproc", "TaskPlugin": "task/none",
        "JobAcctGatherType": "jobacct_gather/none", "AccountingStorageType": "accounting_storage/none",
        "JobCompType": "jobcomp/none", "MpiDefault": "none", "SwitchType": "switch/none",
        "SelectType": "select/linear", "ReturnToService": 2, "MinJobAge": 3600, "InactiveLimit": 0,
        "MessageTimeout": 60, "BatchStartTimeout": 60, "UnkillableStepTimeout": 120,
        "SchedulerType": "sched/builtin", "SchedulerParameters": "batch_sched_delay=1,sched_interval=2",
        "SlurmdParameters": "config_overrides", "PropagateResourceLimits": "NONE",
    }  # fmt: skip
    if layout.gpus:
        settings |= {"GresTypes": _GRES, "SelectType": "select/cons_tres"}  # what knows --gpus-per-node
    lines = [f"{key}={value}" for key, value in settings.items()]
    lines += [_node(name, address, layout) for name, address in layout.nodes.items()]
    lines += [
        f"PartitionName={name} Nodes=ALL Default={'NO' if number else 'YES'} MaxTime=INFINITE State=UP"
        for number, name in enumerate(layout.partitions)
    ]
    return "\n".join(lines) + "\n"


def gres_conf(layout: Layout) -> str:
    """GPUs that can be asked for; behind them are empty files, as slurmd counts no others."""
    return f"Name={_GRES} File={layout.state}/gpu[1-{layout.gpus}]\n" if layout.gpus else ""


def _node(name: str, address: str, layout: Layout) -> str:
    parts = [
        f"NodeName={name} NodeHostname={name} NodeAddr={address}",
        f"CPUs={layout.cpus} RealMemory={layout.memory_mb} State=UNKNOWN",
    ]
    if layout.gpus:
        parts.append(f"Gres={_GRES}:{layout.gpus}")
    if layout.features:
        parts.append(f"Features={','.join(layout.features)}")
    return " ".join(parts)
