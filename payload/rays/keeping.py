"""Epochs that ended -> checkpoints on the driver's machine, and back from there to every worker.

Train workers call these, all of them at once; one, the writer, has the driver's disk. No storage is shared.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ray
import ray.train
import torch.distributed as dist
from keep.checkpoints import CheckpointError, newest, read, save
from keep.resume import choose
from ranks.exact import device_of_group, raise_together

if TYPE_CHECKING:
    from argparse import Namespace

    from plain.state import State
    from recipe import Run


def rank_at(node: str) -> int:
    """The lowest rank on a machine, by Ray's id of it: the writer. A barrier."""
    nodes: list[str] = [ray.get_runtime_context().get_node_id()]
    if dist.is_initialized():
        nodes *= dist.get_world_size()
        dist.all_gather_object(nodes, nodes[0])
    return nodes.index(node)  # rays.cluster.placement has put one there


def report(run: Run, state: State, steps: int, keeps: Path, options: Namespace, *, is_kept: bool) -> None:
    """Tell Ray of the epoch: a barrier. The rank that sits on the driver's machine writes a checkpoint there.

    Ray gets that rank's alone. One reported by a rank of another machine would need storage that all share,
    and rank 0 may be on any machine.
    """
    metrics, failure = dict(state.rows[-1]), None
    with tempfile.TemporaryDirectory() as place:
        checkpoint = None
        if is_kept:
            try:
                content, step = state.checkpoint(steps, state.rows), state.epoch * steps
                kept = save(keeps, content, step=step, epoch=state.epoch, run=run.fingerprint,
                            keep=options.keep_checkpoints)  # fmt: skip
                for path in (kept.path, kept.path.with_suffix(".json")):
                    Path(place, path.name).write_bytes(path.read_bytes())
                checkpoint = ray.train.Checkpoint.from_directory(place)
            except CheckpointError as error:
                failure = error
        raise_together(failure)
        ray.train.report(metrics, checkpoint=checkpoint)


def going_on(config: dict[str, Any], keeps: Path, run: Run, say: Any) -> dict[str, Any] | None:
    """What to go on from, on the driver's machine: Ray's where Ray itself began again, else as asked for."""
    reported = ray.train.get_checkpoint()
    if reported:
        with reported.as_directory() as place:
            found = newest(Path(place), run.fingerprint, say)
            content = read(found.path) if found else None
    else:
        os.environ["HOTRUN_RESUME_FROM"] = config[
            "resume_from"
        ]  # the driver's, not that of the machine's Ray
        found = choose(config["options"].resume, keeps, run.fingerprint, say)
        content = read(found.path) if found else None
    if found:
        say(f"resuming from step {found.step:,} (epoch {found.epoch})")
    elif config["options"].resume == "auto":
        say(f"nothing to resume from in {keeps}: the training starts anew")
    return content


def from_writer(writer: int, make: Any) -> Any:
    """What one rank makes, or raises, on every rank."""
    told: list[Any] = [None]
    if ray.train.get_context().get_world_rank() == writer:
        try:
            told = [make()]
        except (CheckpointError, OSError) as error:
            told = [CheckpointError(str(error))]
    if dist.is_initialized():
        dist.broadcast_object_list(told, src=writer, device=device_of_group())
    if isinstance(told[0], Exception):
        raise told[0]
    return told[0]
