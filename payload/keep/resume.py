"""What each machine has kept -> the one checkpoint that all ranks go on from. No Lightning.

Each rank names its choice, the highest step wins, and ranks without it receive its bytes over the process
group into their own directory. No storage needs to be shared; where it is, nothing is sent.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import socket
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import torch
import torch.distributed as dist
from sources.files import digest

from keep.checkpoints import Checkpoint, CheckpointError, Run, Say, declare, free_path, newest, read, verified
from keep.durable import beside, make_directory

if TYPE_CHECKING:
    from collections.abc import Iterator

PIECE_BYTES = 16 << 20  # of a broadcast: what sending costs a rank in memory, whatever the checkpoint's size
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")  # tells machines apart that have one host name


class MissingError(CheckpointError):
    """There is nothing at the path that --resume names: on this machine, others may have it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Offer:
    """What a rank has, as the others get to know it."""

    choice: Checkpoint | CheckpointError | None
    place: tuple[str, ...]
    """The machine and the directory, as the machine knows it: ranks with the same one see the same files."""


def start(resume: str, directory: Path, run: Run, say: Say) -> Path | None:
    """`choose` and `agree`: the file to go on from, or None to start anew. All ranks call it; a barrier.

    A rank whose choice fails tells the others first, so that all end with the same CheckpointError.
    """
    try:
        mine: Checkpoint | CheckpointError | None = choose(resume, directory, run, say)
    except CheckpointError as error:
        mine = error
    except OSError as error:
        mine = CheckpointError(f"{directory} or {resume}: {error.strerror or error}")
    path = agree(mine, directory, say)
    if path is None and resume == "auto" and _rank() == 0:
        say(f"nothing to resume from in {directory}: the training starts anew")
    return path


def choose(resume: str, directory: Path, run: Run, say: Say) -> Checkpoint | None:
    """This rank's checkpoint. No collective.

    `resume` is `never` or empty: none. `auto`: HOTRUN_RESUME_FROM or the newest complete one in
    `directory`, whichever has more steps. Else a file, or a directory with one: CheckpointError unless it
    is whole and of this run, MissingError if nothing is there.
    """
    if resume in ("", "never"):
        return None
    if resume != "auto":
        return _named(Path(resume).expanduser(), "--resume", run, say)
    given = os.environ.get("HOTRUN_RESUME_FROM", "")
    own = newest(directory, run, say)
    if not given:
        return own
    try:
        named = _named(Path(given).expanduser(), "HOTRUN_RESUME_FROM", run, say)
    except MissingError as error:
        if own is None:
            raise
        say(f"{error}")
        return own
    return own if own and own.step > named.step else named  # a restart goes on from its own later ones


def agree(mine: Checkpoint | CheckpointError | None, directory: Path, say: Say) -> Path | None:
    """The file that this rank goes on from; None where no rank has one. All ranks call it; a barrier.

    The highest step wins, the lowest rank that has it sends it. A rank without it gets it into `directory`;
    of ranks that share one, the lowest writes. Rank 0 says one line. CheckpointError on all ranks alike: for
    `mine` being one (a MissingError only if no rank has a checkpoint), where a copy can't be written.
    """
    offers: list[_Offer] = _exchanged(_Offer(choice=mine, place=_place(directory)))
    held = [(rank, offer.choice) for rank, offer in enumerate(offers) if isinstance(offer.choice, Checkpoint)]
    errors = [_at(rank, offers, str(offer.choice)) for rank, offer in enumerate(offers)
              if isinstance(offer.choice, CheckpointError)
              and not (held and isinstance(offer.choice, MissingError))]  # fmt: skip
    if errors:
        raise CheckpointError(errors[0])
    if not held:
        return None
    source, winner = max(held, key=lambda item: (item[1].step, -item[0]))
    holders = [rank for rank, checkpoint in held if checkpoint.sha256 == winner.sha256]
    lacking = [rank for rank in range(len(offers)) if rank not in holders]
    copy = _shared_out(winner, source, lacking, offers, directory) if lacking else directory
    if _rank() == 0:
        say(f"resuming from step {winner.step:,} (epoch {winner.epoch})" + _spread(holders, lacking))
    return mine.path if isinstance(mine, Checkpoint) and mine.sha256 == winner.sha256 else copy


def _named(path: Path, key: str, run: Run, say: Say) -> Checkpoint:
    """The checkpoint at a path that somebody gave by `key`."""
    if path.is_dir():
        found = newest(path, run, say)
        if found is None:
            raise MissingError(f"{key} {path}: no complete checkpoint of this run is there")
        return found
    if not path.exists():
        raise MissingError(f"{key} {path}: there is no such file")
    if path.with_suffix(".json").exists():
        try:
            return verified(path, run)
        except CheckpointError as error:
            raise CheckpointError(f"{key}: {error}") from error
    checkpoint = _undeclared(path, key, run)
    say(
        f"{path} has no manifest beside it: it loads, and is taken for what it says, step {checkpoint.step:,}"
    )
    return checkpoint


def _undeclared(path: Path, key: str, run: Run) -> Checkpoint:
    """A checkpoint that Lightning wrote by itself: from now on it counts as one of this run."""
    try:
        state = read(path)
    except CheckpointError as error:
        raise CheckpointError(f"{key}: {error}") from error
    step, epoch = state.get("global_step"), state.get("epoch")
    if not isinstance(step, int) or not isinstance(epoch, int):
        raise CheckpointError(f"{key} {path} is no checkpoint of a training: it has no global_step and epoch")
    return Checkpoint(path=path, bytes=path.stat().st_size, sha256=digest(path), step=step, epoch=epoch,
                      run=run)  # fmt: skip


def _place(directory: Path) -> tuple[str, ...]:
    """The machine, the nearest directory that exists, by number, and the way on from there."""
    machine = (socket.gethostname(), BOOT_ID.read_text().strip() if BOOT_ID.exists() else "")
    with contextlib.suppress(OSError):
        whole = directory.resolve()
        existing = next(path for path in (whole, *whole.parents) if path.exists())
        status = existing.stat()
        return (*machine, str(status.st_dev), str(status.st_ino), str(whole.relative_to(existing)))
    return (*machine, str(directory))


def _shared_out(
    winner: Checkpoint, source: int, lacking: list[int], offers: list[_Offer], directory: Path
) -> Path:
    """Send the winner's bytes to ranks that lack it; where it then lies in `directory`. A barrier."""
    writers = {offers[rank].place: rank for rank in reversed(lacking)}
    pieces, name, error = _pieces(winner, source), "", ""
    try:
        if _rank() in writers.values():
            name = _received(winner, pieces, directory)
    except OSError as failure:
        error = f"{directory}: a copy of {winner.path.name} can't be written: {failure.strerror or failure}"
    for _ in pieces:  # a broadcast needs every rank, also one that has no use for it or no space
        pass
    told = _exchanged((name, error))
    errors = [_at(rank, offers, text) for rank, (_, text) in enumerate(told) if text]
    if errors:
        raise CheckpointError(errors[0])
    writer = writers.get(offers[_rank()].place, _rank())
    return directory / str(told[writer][0])


def _pieces(winner: Checkpoint, source: int) -> Iterator[memoryview]:
    """The bytes of a file that rank `source` has, on all ranks. Each piece is valid until the next one.

    Never fails for a file that can't be read: zeros arrive instead, and the SHA-256 tells.
    """
    device = torch.device("cuda" if _is_distributed() and "nccl" in dist.get_backend() else "cpu")
    buffer = torch.zeros(min(PIECE_BYTES, winner.bytes), dtype=torch.uint8)
    with contextlib.ExitStack() as stack:
        file: BinaryIO = io.BytesIO()
        if _rank() == source:
            with contextlib.suppress(OSError):
                file = stack.enter_context(winner.path.open("rb"))
        for start in range(0, winner.bytes, PIECE_BYTES):
            piece = buffer[: winner.bytes - start]
            view = memoryview(piece.numpy().data)
            with contextlib.suppress(OSError):
                file.readinto(view)  # type: ignore[attr-defined]  # typeshed's BinaryIO lacks it
            sent = piece.to(device)
            dist.broadcast(sent, src=source)
            piece.copy_(sent)
            yield view


def _received(winner: Checkpoint, pieces: Iterator[memoryview], directory: Path) -> str:
    """Write the winner into `directory`, with a manifest; its name there. Raises OSError."""
    make_directory(directory)
    path = free_path(directory, winner.step)
    with beside(path) as file:
        for piece in pieces:
            file.write(piece)
        if file.digest.hexdigest() != winner.sha256:
            raise OSError(errno.EIO, "what arrived is not what was promised, its SHA-256 differs")
    declare(replace(winner, path=path))
    return path.name


def _exchanged(value: Any) -> list[Any]:
    """Every rank's value, by rank. A barrier."""
    if not _is_distributed():
        return [value]
    values: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(values, value)
    return values


def _spread(holders: list[int], lacking: list[int]) -> str:
    """`, held by rank 1, sent to 2 ranks`."""
    if not lacking:
        return f", held by all {len(holders)} ranks" if len(holders) > 1 else ""
    others = f" and {len(holders) - 1} more" if len(holders) > 1 else ""
    return f", held by rank {holders[0]}{others}, sent to {len(lacking)} rank{'s' * (len(lacking) > 1)}"


def _at(rank: int, offers: list[_Offer], text: str) -> str:
    return f"rank {rank} on {offers[rank].place[0]}: {text}" if len(offers) > 1 else text


def _is_distributed() -> bool:
    return dist.is_available() and dist.is_initialized()


def _rank() -> int:
    return dist.get_rank() if _is_distributed() else 0
