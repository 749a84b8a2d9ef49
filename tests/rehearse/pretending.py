"""A rehearsal of a fake template, and machines that fail."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cloud.rehearse import Options, rehearse
from tests.rehearse import fakes

if TYPE_CHECKING:
    from cloud.rehearse.report import Report


FAILS_ON_WORKER_1 = """
stage("environment", "begin")
if rank == 1:
    say("ERROR: No matching distribution found for torchh")
    stage("environment", "failed", s="0.4", code="requirement-not-found", what="torchh: no such package",
          where="requirements.txt:3", fix="correct line 3")
else:
    stage("environment", "stopped", s="0.4")
sys.exit(5)
"""


def run(
    behaviour: str, runs: Path, *, workers: int = 1, ui: fakes.Ui | None = None, **options: object
) -> Report:
    """Rehearse a fake template."""
    made = fakes.plan(behaviour, workers=workers)
    return rehearse(made, Options(level="process", runs_dir=runs, **options), ui or fakes.Ui())  # type: ignore[arg-type]
