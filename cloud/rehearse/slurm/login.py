"""What is done on the login node, which is this computer itself: `bash job.sbatch --prepare`."""

from __future__ import annotations

import queue
from typing import TYPE_CHECKING

from cloud.errors import Problem
from cloud.rehearse import guardian
from cloud.rehearse.processes import Fleet

if TYPE_CHECKING:
    from cloud.rehearse.interrupts import Interrupts
    from cloud.rehearse.keep import Kept
    from cloud.rehearse.screen import Screen
    from cloud.rehearse.slurm.prepare import Prepared

NAME = "login"
_LOOK_S = 0.1
_TAIL = 20


def prepare(
    prepared: Prepared, kept: Kept, screen: Screen, interrupts: Interrupts, fetch: str = ""
) -> list[Problem]:
    """Run it to its end; what is wrong, or nothing. An interrupt ends it."""
    fleet, tail = Fleet(), []
    argv = ["bash", str(prepared.script), "--prepare", *prepared.words]
    argv += ["--in-place", str(prepared.in_place)] if prepared.in_place else []
    argv += ["--", "bash", "-c", fetch] if fetch else []
    screen.tell(f"{NAME}: {' '.join(argv)}")
    fleet.start(NAME, argv, prepared.environment, prepared.work.parent, kept.log(NAME))
    code = None
    while code is None:
        if interrupts.name:
            guardian.sweep(prepared.tag, is_urgent=lambda: interrupts.is_urgent)
            return []
        code = fleet.ended().get(NAME)
        if code is not None:
            fleet.finish_reading(NAME)
        try:
            line = fleet.lines.get(timeout=_LOOK_S)
            while True:
                tail.append(line.text)
                screen.line(NAME, line.text)
                line = fleet.lines.get_nowait()
        except queue.Empty:
            pass
    kept.event("prepared", exit_code=code)
    if code == 0:
        return []
    said = next((line for line in tail if line.startswith("not prepared:")), f"exit code {code}")
    what = f"bash {prepared.script.name} --prepare: {said.removeprefix('not prepared: ')}"
    return [Problem(code="slurm-not-prepared", what=what, node=NAME, log=tuple(tail[-_TAIL:]))]
