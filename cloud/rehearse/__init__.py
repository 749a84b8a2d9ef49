"""Plan -> nodes on this machine: the template's own user data runs here, byte for byte.

    resolve  ─►  place (level, roots, environment, source)  ─►  bash FILE per node
                                                                        │ console lines, signals
    Report  ◄─  kept (runs/NAME)  ◄─  follow  ◄─────────────────────────┘

Nothing is rendered a second time, no node inherits this environment, and everything that was started
is ended: by the session, or by its guardian when the session itself is killed.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from cloud.errors import Problem, ProblemsFound, RequestError
from cloud.request.rules import shown

if TYPE_CHECKING:  # the parts below need Linux; `generate` and `check` must load anywhere
    from collections.abc import Mapping

    from cloud.plan import Plan
    from cloud.rehearse.report import Report
    from cloud.rehearse.screen import Ui

LEVELS = ("auto", "namespace", "process")


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How to rehearse."""

    workers: int | None = None
    """Machines beside the master, instead of the template's own number."""
    source: Path | None = None
    """Directory that stands in for the repository's address."""
    name: str | None = None
    """Name of the directory for the results; the repository's name and a number when not given."""
    level: str = "auto"
    """What a machine is: namespace, process, or auto for the first of them that works here."""
    faults: tuple[str, ...] = ()
    """What goes wrong, as typed: `kill:worker-1@train`."""
    cpu_shares: tuple[str, ...] = ()
    """`20%` of a core for every machine, `worker-1=20%` for one."""
    fresh: bool = False
    """Whether to make new node roots instead of those that earlier rehearsals left."""
    runs_dir: Path = Path("runs")
    """Directory for the results of all runs."""
    cpus: int | None = None
    """Cores of each machine; this machine's cores divided by the machines when not given."""
    template: str = "template.yml"
    """The template's path as the person typed it, for messages."""
    hold: Mapping[str, float] = field(default_factory=dict)
    """Seconds by which single machines start late, by name."""

    def __post_init__(self) -> None:
        if self.level not in LEVELS:
            what = f"level is {shown(self.level)}, but it is one of {', '.join(LEVELS)}"
            raise RequestError(Problem(code="choice-unknown", what=what, where="flag --level"))


def rehearse(plan: Plan, options: Options, ui: Ui) -> Report:
    """Run the template's nodes on this machine and keep what they made below `runs_dir`.

    Raises ProblemsFound or RequestError for what is known before anything starts; a run that failed,
    passed its deadline or was interrupted is a `Report` with that exit code.
    """
    if sys.platform != "linux":
        what = f"rehearse needs Linux (/proc, 127.0.0.0/8); this is {sys.platform}"
        fix = "run it in a Linux container or virtual machine"
        raise ProblemsFound(Problem(code="rehearsal-needs-linux", what=what, fix=fix))
    from cloud.rehearse.session import rehearse as run_session

    return run_session(plan, options, ui)


__all__ = ["LEVELS", "Options", "rehearse"]
