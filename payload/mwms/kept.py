"""A worker's own checkpoints, numpy's zip with a manifest each; the one that all workers go on from."""

from __future__ import annotations

import io
import json
import os
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from keep.checkpoints import Checkpoint, CheckpointError, complete, verified

from mwms.together import number_of

if TYPE_CHECKING:
    from keep.checkpoints import Run, Say
    from keep.durable import HashedFile
    from numpy.typing import NDArray

    from mwms.cluster import Cluster
    from mwms.together import Together

ABOUT = "about"  # the array with the JSON of all that is no array
OFFERED = 16  # of a worker's checkpoints, the newest: they keep two, and one more while they write
_UNREADABLE = (OSError, ValueError, EOFError, LookupError, AttributeError, TypeError, zipfile.BadZipFile)


def write(state: dict[str, Any], file: HashedFile) -> None:
    """For keep.checkpoints.save: arrays as numpy's zip, the same bytes for the same state on every worker."""
    arrays = {name: value for name, value in state.items() if isinstance(value, np.ndarray)}
    about = json.dumps({name: value for name, value in state.items() if name not in arrays})
    content = io.BytesIO()
    everything: dict[str, Any] = {**arrays, ABOUT: np.frombuffer(about.encode(), np.uint8)}
    np.savez(content, **everything)
    file.write(content.getvalue())


def read(path: Path) -> dict[str, Any]:
    """What `write` wrote; numbers and words only, nothing in it is executed. Raises CheckpointError."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as content:
            arrays: dict[str, NDArray[Any]] = {name: content[name] for name in content.files}
        return {**json.loads(arrays.pop(ABOUT).tobytes()), **arrays}
    except _UNREADABLE as error:
        reason = (str(error).strip().splitlines() or [""])[0]
        raise CheckpointError(f"{path} can't be loaded: {type(error).__name__}: {reason}") from error


def directory_of(run_dir: Path, cluster: Cluster) -> Path:
    """Where this worker keeps its checkpoints: hotrun's directory, which each node has for itself, else below
    the run's directory, in a folder of its own.
    """
    given = os.environ.get("HOTRUN_CHECKPOINT_DIR")
    if given and os.environ.get("HOTRUN_NODE_RANK", "") == str(cluster.index):
        return Path(given)
    base = Path(given) if given else run_dir / "checkpoints"
    return base / f"worker-{cluster.index}" if cluster.index else base


def agreed(together: Together, resume: str, directory: Path, run: Run, say: Say) -> Checkpoint | None:
    """The newest checkpoint that every worker holds, this worker's file of it; None to start anew. A barrier.

    Raises CheckpointError on every worker where one of them can't read what it was told to.
    """
    mine = together.alike(lambda: held(resume, directory, run, say))
    offers = [number for each in mine for number in (float(each.step), number_of(each.sha256))]
    rows = together.rows(offers + [-1.0] * (2 * OFFERED - len(offers)))
    sets = [{(int(step), number) for step, number in row.reshape(-1, 2) if step >= 0} for row in rows]
    common = set.intersection(*sets)
    if not common:
        _say_why_not(resume, directory, [{step for step, _ in each} for each in sets], say)
        return None
    chosen = max(common)
    found = next(each for each in mine if (each.step, number_of(each.sha256)) == chosen)
    say(f"resuming from step {found.step:,} (epoch {found.epoch})" + _spread(chosen, sets, together.cluster))
    return found


def held(resume: str, directory: Path, run: Run, say: Say) -> list[Checkpoint]:
    """This worker's whole checkpoints of this run, the newest first. No collective. Raises CheckpointError.

    `resume` is `never`: none. `auto`: those in `directory`, and what HOTRUN_RESUME_FROM names. Else a file,
    or a directory with some.
    """
    if resume in ("", "never"):
        return []
    if resume != "auto":
        return _named(Path(resume).expanduser(), "--resume", run, say)
    found = list(complete(directory, run, say))
    given = os.environ.get("HOTRUN_RESUME_FROM", "")
    if given and (found == [] or Path(given).exists()):
        found += _named(Path(given).expanduser(), "HOTRUN_RESUME_FROM", run, say)
    return sorted(found, key=lambda each: each.step, reverse=True)[:OFFERED]


def _named(path: Path, key: str, run: Run, say: Say) -> list[Checkpoint]:
    if not path.exists():
        raise CheckpointError(f"{key} {path}: there is no such file")
    try:
        found = list(complete(path, run, say)) if path.is_dir() else [verified(path, run)]
    except CheckpointError as error:
        raise CheckpointError(f"{key}: {error}") from error
    if not found:
        raise CheckpointError(f"{key} {path}: no complete checkpoint of this run is there")
    return found[:OFFERED]


def _say_why_not(resume: str, directory: Path, steps: list[set[int]], say: Say) -> None:
    if any(steps):
        held_by = "; ".join(f"worker {index} holds {_steps(each)}" for index, each in enumerate(steps))
        say(f"no checkpoint is held by all {len(steps)} workers ({held_by}): the training starts anew")
    elif resume == "auto":
        say(f"nothing to resume from in {directory}: the training starts anew")


def _spread(chosen: tuple[int, float], sets: list[set[tuple[int, float]]], cluster: Cluster) -> str:
    """`, the newest that all 2 workers hold; worker 1 (ADDRESS) also holds step 860`."""
    if len(sets) == 1:
        return ""
    more = [f"{cluster.called(index)} also holds {_steps({step for step, _ in each if step > chosen[0]})}"
            for index, each in enumerate(sets) if max(each)[0] > chosen[0]]  # fmt: skip
    return f", the newest that all {len(sets)} workers hold" + "".join(f"; {text}" for text in more)


def _steps(steps: set[int]) -> str:
    if not steps:
        return "none"
    return f"step{'s' * (len(steps) > 1)} " + " and ".join(f"{step:,}" for step in sorted(steps))
