"""Where the files of a run are: its directory, and its checkpoints. Never imports torch."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from keep.checkpoints import newest

from show.report import run_directory

if TYPE_CHECKING:
    import keep.checkpoints
    from recipe import Run


def directory_of(run: Run, resume: str) -> Path:
    """For rank 0: HOTRUN_RUN_DIR; with --resume auto a killed run's place; else a new ./runs/NAME-K."""
    name = f"{run.data}-{run.net}"
    if resume == "auto" and not os.environ.get("HOTRUN_RUN_DIR"):
        killed = unfinished(Path("runs").resolve(), name, run.fingerprint)
        if killed:
            return killed
    return run_directory(name)


def unfinished(parent: Path, name: str, run: keep.checkpoints.Run | None = None) -> Path | None:
    """The latest PARENT/NAME-K that has a complete checkpoint (of `run`, if given) and no result.json."""
    numbered = [path for path in parent.glob(f"{name}-*") if path.name[len(name) + 1 :].isdecimal()]
    for path in sorted(numbered, key=lambda path: int(path.name[len(name) + 1 :]), reverse=True):
        is_open = path.is_dir() and not (path / "result.json").exists()
        if is_open and newest(path / "checkpoints", run, lambda _: None):
            return path
    return None


def checkpoints_of(run_dir: Path) -> Path:
    """Where this rank keeps checkpoints: below its own run directory, on another machine than rank 0's."""
    own = os.environ.get("HOTRUN_CHECKPOINT_DIR")
    return Path(own) if own else Path(os.environ.get("HOTRUN_RUN_DIR") or run_dir) / "checkpoints"
