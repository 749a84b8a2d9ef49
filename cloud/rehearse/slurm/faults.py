"""Faults on nodes of a Slurm cluster: read and done as on machines; what can't be is refused by name."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from cloud.errors import Problem, ProblemsFound
from cloud.rehearse import faults
from cloud.rehearse.inject import Injector

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cloud.rehearse.faults import Fault
    from cloud.rehearse.slurm.cluster import Cluster

POSSIBLE = ("kill-rank", "kill", "lose", "stop", "unplug")
_WHY_NOT = {
    "kill-program": "there the node program is a step of Slurm's own; kill-rank or kill shows its loss",
    "missing": "Slurm starts no job on nodes that it lacks; lose:MACHINE@train takes one away",
    "bad-commit": "all nodes run the one checkout that was prepared",
    "bad-clock": "munge itself keeps nodes with another time out of a cluster",
}
_NETWORK = "a template's own machines can: generate with --target heat and rehearse that"
_SLURMS_NAME = re.compile(r"(:)node([1-9]\d*)(?=@|$)")


def read(texts: Sequence[str], names: Sequence[str]) -> tuple[Fault, ...]:
    """The faults asked for, on `master`, `worker-1` … or node1, node2 …

    Raises RequestError for what is not understood, ProblemsFound for what a Slurm cluster can't show.
    """

    def ours(match: re.Match[str]) -> str:
        rank = int(match[2])
        return f":{names[rank - 1]}" if rank <= len(names) else match[0]

    found = faults.read([_SLURMS_NAME.sub(ours, text) for text in texts], names)
    problems = [
        Problem(code="fault-not-possible", where="flag --fault",
                what=f"{fault.text}: not on nodes of Slurm, {_WHY_NOT.get(fault.kind, _NETWORK)}")
        for fault in found if fault.kind not in POSSIBLE
    ]  # fmt: skip
    if problems:
        raise ProblemsFound(*problems)
    return found


class Nodes:
    """The cluster as the part of a `Level` that these faults touch."""

    name, reason = "namespace", ""

    def __init__(self, cluster: Cluster, slurms: dict[str, str]) -> None:
        self._cluster, self._slurms = cluster, slurms

    def processes(self, name: str) -> set[int]:
        """See `Level`."""
        return self._cluster.processes(self._slurms[name])

    def link(self, name: str, up: bool) -> None:
        """See `Level`."""
        self._cluster.link(self._slurms[name], up=up)


def injector(asked: Sequence[Fault], cluster: Cluster, slurms: dict[str, str]) -> Injector:
    """Who does them; `slurms` has Slurm's name of each machine."""
    return Injector(asked, Nodes(cluster, slurms), ())  # type: ignore[arg-type]
