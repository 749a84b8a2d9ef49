"""A training's state -> a directory of checkpoints that survives SIGKILL and a full disk. No Lightning.

    step-000000430.ckpt     what torch.save wrote: beside first, fsync, renamed
    step-000000430.json     its manifest, written the same way afterwards: bytes, SHA-256, step, epoch, run

A checkpoint without its manifest is not complete, and nothing older goes before a newer one is. A step that
is saved once more becomes step-000000430-2, then the former goes. `run` is what a training is recognized by.
"""

from __future__ import annotations

import contextlib
import json
import pickle
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from sources.files import digest

from keep.durable import beside, make_directory, remove_abandoned, sync_directory

if TYPE_CHECKING:
    from pathlib import Path

    from keep.durable import HashedFile

JSON: TypeAlias = "bool | int | float | str | Sequence[JSON] | Mapping[str, JSON] | None"
Run: TypeAlias = "Mapping[str, JSON]"
Say: TypeAlias = Callable[[str], None]
Write: TypeAlias = "Callable[[dict[str, Any], HashedFile], None]"

SCHEMA = 1
ORPHAN_S = 60.0  # a manifest follows its file within milliseconds; this long, and its writer was killed
_UNREADABLE = (  # what torch.load raises for damaged files, found by damaging 1,500
    OSError, RuntimeError, ValueError, EOFError, LookupError, AttributeError, TypeError,
    pickle.UnpicklingError,
)  # fmt: skip
_NAME = re.compile(r"step-(\d{9,})(?:-(\d+))?\.(ckpt|json)")


class CheckpointError(RuntimeError):
    """A checkpoint can't be written, read or gone on from; the message is for the user."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A complete checkpoint, as its manifest tells it."""

    path: Path
    bytes: int
    sha256: str
    step: int
    """Optimizer steps done."""
    epoch: int
    """Epochs done."""
    run: Run
    """What it was trained with."""


def save(
    directory: Path, state: dict[str, Any], *, step: int, epoch: int, run: Run, keep: int,
    write: Write | None = None,
) -> Checkpoint:  # fmt: skip
    """Write a checkpoint and remove all but the newest `keep` of this run. On one rank; no collective.

    `write` puts the state into the file, by default as torch.save does. CheckpointError where it can't be
    written: nothing complete is lost then.
    """
    try:
        make_directory(directory)
        _sweep(directory, step)  # first, since what a killed writer left may be what fills the disk
        with beside(path := free_path(directory, step)) as file:
            (write or _torch_save)(state, file)
        checkpoint = Checkpoint(path=path, bytes=file.bytes, sha256=file.digest.hexdigest(), step=step,
                                epoch=epoch, run=run)  # fmt: skip
        declare(checkpoint)
    except OSError as error:
        raise CheckpointError(_failure(directory, step, run, error)) from error
    with contextlib.suppress(OSError):  # what is left over takes space, but is not wrong
        _prune(directory, checkpoint, max(keep, 1))
    return checkpoint


def _torch_save(state: dict[str, Any], file: HashedFile) -> None:
    import torch  # here, as payload/tensorflow_mwms.py has none

    torch.save(state, file.as_io())


def declare(checkpoint: Checkpoint) -> None:
    """Write the manifest, which makes a checkpoint complete. OSError where it can't be: the file goes too."""
    manifest = {
        "schema": SCHEMA, "file": checkpoint.path.name, "bytes": checkpoint.bytes,
        "sha256": checkpoint.sha256, "step": checkpoint.step, "epoch": checkpoint.epoch,
        "run": checkpoint.run,
    }  # fmt: skip
    try:
        with beside(checkpoint.path.with_suffix(".json")) as file:
            file.write((json.dumps(manifest, indent=2) + "\n").encode())
    except OSError:
        if not checkpoint.path.with_suffix(".json").exists():
            checkpoint.path.unlink(missing_ok=True)
        raise


def free_path(directory: Path, step: int) -> Path:
    """Where a checkpoint of `step` goes: a name that is newer than those of the same step."""
    numbers = [number for (found, number), _ in _listed(directory) if found == step]
    suffix = f"-{max(numbers) + 1}" if numbers else ""
    return directory / f"step-{step:09d}{suffix}.ckpt"


def complete(directory: Path, run: Run | None, say: Say) -> Iterator[Checkpoint]:
    """The complete checkpoints of `run` (None: of any), newest step first, their SHA-256 checked one by one.

    One that is damaged or of another run is passed over with a line through `say`. CheckpointError for a
    directory that can't be read; none that is not there.
    """
    try:
        found = _listed(directory)
    except OSError as error:
        raise CheckpointError(f"{directory} can't be read: {error.strerror or error}") from error
    for _, path in found:
        try:
            yield verified(path, run)
        except CheckpointError as error:
            say(f"{error}; passed over")


def newest(directory: Path, run: Run | None, say: Say) -> Checkpoint | None:
    """The first of `complete`."""
    return next(complete(directory, run, say), None)


def verified(path: Path, run: Run | None) -> Checkpoint:
    """The checkpoint in file `path`, whole and made by `run`. Raises CheckpointError, which says why not."""
    checkpoint = _declared(path)
    if run is not None and (difference := foreign(checkpoint.run, run)):
        raise CheckpointError(f"{path} {difference}")
    try:
        found = path.stat().st_size
        if found != checkpoint.bytes:
            raise CheckpointError(f"{path} is truncated: {found:,} of {checkpoint.bytes:,} bytes are there")
        sha256 = digest(path)
    except OSError as error:
        raise CheckpointError(f"{path} can't be read: {error.strerror or error}") from error
    if sha256 != checkpoint.sha256:
        raise CheckpointError(f"{path} is damaged: its SHA-256 is not the one in {path.stem}.json")
    return checkpoint


def foreign(theirs: Run, ours: Run) -> str:
    """How two runs differ, as words behind a file's name; empty when they are one."""
    made, wanted = (json.loads(json.dumps(run)) for run in (theirs, ours))  # tuples are lists in a manifest
    keys = [key for key in {**wanted, **made} if made.get(key) != wanted.get(key)]
    if not keys:
        return ""
    parts = [f"{key} {made.get(key, 'unknown')}, this run has {wanted.get(key, 'none')}" for key in keys]
    return "was made with " + "; ".join(parts)


def read(path: Path) -> dict[str, Any]:
    """Load a checkpoint onto the CPU: tensors and plain containers only, nothing in it is executed."""
    import torch

    try:
        state = torch.load(path, weights_only=True, map_location="cpu")
    except _UNREADABLE as error:
        reason = str(error).strip().splitlines() or [""]
        raise CheckpointError(f"{path} can't be loaded: {type(error).__name__}: {reason[0]}") from error
    if not isinstance(state, dict):
        raise CheckpointError(f"{path} is no checkpoint: it holds a {type(state).__name__}")
    return state


def _listed(directory: Path) -> list[tuple[tuple[int, int], Path]]:
    """((step, number within the step), path of the .ckpt), newest first; half of a pair is listed too."""
    try:
        names = [path.name for path in directory.iterdir()]
    except FileNotFoundError:
        return []
    found = {}
    for match in filter(None, map(_NAME.fullmatch, names)):
        step, number, _ = match.groups()
        found[int(step), int(number or 0)] = (directory / match.string).with_suffix(".ckpt")
    return sorted(found.items(), reverse=True)


def _declared(path: Path) -> Checkpoint:
    """What the manifest beside `path` says. Raises CheckpointError."""
    manifest = path.with_suffix(".json")
    try:
        content = json.loads(manifest.read_text())
        if content["schema"] != SCHEMA:
            raise CheckpointError(f"{manifest} has schema {content['schema']}, not {SCHEMA}")
        if content["file"] != path.name or not isinstance(content["run"], dict):
            raise CheckpointError(f"{manifest} is not the manifest of {path.name}")
        numbers = {key: int(content[key]) for key in ("bytes", "step", "epoch")}
        return Checkpoint(path=path, sha256=str(content["sha256"]), run=content["run"], **numbers)
    except FileNotFoundError:
        raise CheckpointError(f"{path} is incomplete: it has no manifest {manifest.name}") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{manifest} can't be read: {error}") from error


def _sweep(directory: Path, step: int) -> None:
    """Remove what killed writers left: partial files, and files up to `step` without a manifest."""
    remove_abandoned(directory, _NAME)
    for (found, _), path in _listed(directory):
        if found <= step and not path.with_suffix(".json").exists():
            with contextlib.suppress(FileNotFoundError):
                if time.time() - path.stat().st_mtime > ORPHAN_S:
                    path.unlink()


def _prune(directory: Path, kept: Checkpoint, keep: int) -> None:
    """Remove this run's checkpoints before `kept` but for `keep` - 1 of them. Others' and newer ones stay."""
    steps = {kept.step}
    for (step, _), path in _listed(directory):
        if step > kept.step or path == kept.path:
            continue
        try:
            checkpoint = _declared(path)
        except CheckpointError:
            continue
        if foreign(checkpoint.run, kept.run):
            continue
        is_whole = path.exists() and path.stat().st_size == checkpoint.bytes
        if is_whole and step not in steps and len(steps) < keep:
            steps.add(step)
            continue
        path.with_suffix(".json").unlink()  # first: a manifest must never promise a file that is gone
        path.unlink(missing_ok=True)
    sync_directory(directory)


def _failure(directory: Path, step: int, run: Run, error: OSError) -> str:
    """What a checkpoint that can't be written means, and how to go on."""
    try:
        last = newest(directory, run, lambda _: None)
    except CheckpointError:
        last = None
    kept = f"{last.path.name} is still complete" if last else "no other is there"
    return (
        f"{directory}: the checkpoint of step {step} can't be written: {error.strerror or error}; {kept}. "
        "Free space or choose another directory, then go on with --resume auto"
    )
