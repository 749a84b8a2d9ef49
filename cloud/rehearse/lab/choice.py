"""Which level a rehearsal has: the one that was asked for, else namespace where it works, else process."""

from __future__ import annotations

import ipaddress
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cloud.errors import Problem, ProblemsFound
from cloud.rehearse import addresses
from cloud.rehearse.lab import CantDo, Unavailable
from cloud.rehearse.lab.namespace import Namespace
from cloud.rehearse.lab.process import Process
from cloud.rehearse.lab.site import Site

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from cloud.rehearse.lab import Level

DEFAULT_CIDR = "10.8.0.0/23"  # as `Network.cidr` of cloud/model.py, for templates that have no such parameter
LOST = "ports, firewall, cable cuts, slow links"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a level is opened with."""

    level: str
    """namespace, process or auto."""
    names: Sequence[str]
    stack: str
    tag: str
    cidr: str
    group: Sequence[Mapping[str, Any]] | None
    where: str
    roots: Mapping[str, Path]
    directory: Path
    together: Sequence[Path]
    """Directories between which hard links are made."""
    kept: Sequence[Path]
    local: Sequence[str]
    """Settings that lead machines to this computer's own loopback."""


def opened(wanted: Wanted, say: Callable[[str], None]) -> Level:
    """Open the level; where nobody asked for process and it has to be, `say` why.

    Raises ProblemsFound (`level-not-possible`) when namespace was asked for and does not work.
    """
    reason = ""
    if wanted.level == "namespace" and wanted.local:
        say(f"machines can't reach this computer's loopback, where {', '.join(wanted.local)} leads")
    if wanted.level == "auto" and wanted.local:
        reason = f"{', '.join(wanted.local)} leads to this computer's loopback"
    elif wanted.level != "process":
        try:
            return _namespace(wanted)
        except Unavailable as unavailable:
            reason = str(unavailable)
    if wanted.level == "namespace":
        what = f"level namespace does not work here: {reason}"
        fix = "rehearse with --level process"
        raise ProblemsFound(Problem(code="level-not-possible", what=what, where="flag --level", fix=fix))
    if reason:
        say(f"level process, so that {LOST} are not shown: {reason}")
    return Process(len(wanted.names), wanted.tag, dict(wanted.roots), reason)


def probe() -> str:
    """Why level namespace does not work here, found by doing it; empty when it does."""
    network = addresses.Subnet(ipaddress.IPv4Network(DEFAULT_CIDR), 1)
    with tempfile.TemporaryDirectory(prefix="hotrun-") as name:
        site = Site(network=network, names=["master"], group=[], where="", directory=Path(name))
        try:
            level = Namespace(site, stack="probe", tag="probe", roots={})
        except Unavailable as unavailable:
            return str(unavailable)
        try:
            level.shape("100mbit")
        except CantDo as cant:
            return str(cant)
        finally:
            level.close()
    return ""


def _namespace(wanted: Wanted) -> Namespace:
    network = addresses.Subnet(ipaddress.IPv4Network(wanted.cidr), len(wanted.names))
    site = Site(
        network=network, names=wanted.names, group=wanted.group, where=wanted.where,
        directory=wanted.directory,
    )  # fmt: skip
    return Namespace(
        site, stack=wanted.stack, tag=wanted.tag, roots=wanted.roots, together=wanted.together,
        kept=wanted.kept,
    )  # fmt: skip
