"""Outcomes -> docs/faults.md: what each fault led to, measured by the run that writes the page."""

from __future__ import annotations

import datetime as dt
import os
import platform
from typing import TYPE_CHECKING

from cloud import __version__
from tests.faults.program import EVERY, PAUSE_S, STEPS, TORCH
from tests.faults.rehearsed import AT_ONCE

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.faults.rehearsed import Outcome

_HEAD = """# Faults

What happens to a run when something goes wrong, tried with `hotrun rehearse --fault …` (docs/rehearsal.md). Each row is
a rehearsal of a master and a worker, two where worker-2 is named, with a small torch program: {steps} steps of
{pause_s:g} s, a checkpoint every {every} steps.

*Recovered* means exit code 0, all ranks proven, and the weights of a run without faults to the last bit; no option is
needed for it, `--restarts 1` is the default. Seconds run from the fault, or from the start where it was there before, to
the verdict, or to the moment at which training began again.

Written by `make faults` on {date}: hotrun {version}, {torch}, Python {python}, Linux {kernel}, {cores} cores, up to
{at_once} rehearsals at once.

| fault | level | what was reported | seconds | |
|---|---|---|---:|---|
"""


def write(path: Path, outcomes: Sequence[Outcome]) -> None:
    """Write the page; a row that this computer can't do says so."""
    head = _HEAD.format(
        steps=STEPS, pause_s=PAUSE_S, every=EVERY,
        date=dt.datetime.now(dt.UTC).date(), version=__version__, torch=TORCH.replace("==", " "),
        python=platform.python_version(), kernel=platform.release().partition("-")[0],
        cores=len(os.sched_getaffinity(0)), at_once=sum(AT_ONCE.values()),
    )  # fmt: skip
    path.write_text(head + "".join(f"{_line(outcome)}\n" for outcome in outcomes), encoding="utf-8")


def _line(outcome: Outcome) -> str:
    row = outcome.row
    fault = " ".join(f"`{each}`" for each in row.faults) or "the program raises the same exception twice"
    seconds = "" if outcome.seconds is None else f"{outcome.seconds:.0f}"
    if not outcome.document:
        return f"| {fault} | {row.level} | not possible on this computer | | |"
    if outcome.exit_code == 0:
        told = "; ".join(outcome.recoveries) or "nothing: the ranks waited, and nobody had to begin again"
        return f"| {fault} | {row.level} | {told} | {seconds if outcome.recoveries else ''} | recovered |"
    first = outcome.errors[0]
    told = f"`{first['code']}` {first['what']}".replace("|", "\\|")
    return f"| {fault} | {row.level} | {told} | {seconds} | failed by name |"
