"""A trained net -> predictions.csv, result.json, pictures, the last lines. The same for every trainer here.

All ranks call `finish`, since all of them predict; rank 0 writes. result.json comes last.
`row` is for the end of each epoch.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keep.resume import unfinished
from keep.weights import prefixed, save_model
from machine.available import peak_rss_bytes
from pictures import draw_in_child
from ranks.exact import checksum
from ranks.predict import Predictions, predict

from show.report import Epoch, Journal, run_directory, versions, write_file, write_result

if TYPE_CHECKING:
    import torch
    from data import DataSet
    from ranks.tally import Score
    from recipe import Run
    from torch import nn
    from torch.optim import Optimizer


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """What a training came to, before the test images are looked at."""

    steps: int
    """Optimizer steps, those before a resume included."""
    images: int
    """Images trained by all ranks in all epochs."""
    start_seconds: float | None
    """From the start of the interpreter to the end of the first step."""
    resumed_from: int | None = None
    """The step that this process went on from."""


def finish(  # noqa: PLR0917  # each is another thing, and all are needed
    run: Run, training: Training, net: nn.Module, dataset: DataSet, journal: Journal | None, run_dir: Path, *,
    device: torch.device, rank: int, began: float,
) -> None:  # fmt: skip
    """Predict the test images once, over all ranks; then rank 0, which has the journal, writes.

    `began` is time.perf_counter() at the start of the program.
    """
    dataset.train.let_go()
    predictions = _predicted(run_dir, net, dataset, device=device, rank=rank, world=run.world)
    if journal is None:
        return
    save_model(run_dir / "model.ckpt", prefixed(net), run)
    result = summary(run, training, journal, predictions, checksum(net.state_dict()))
    journal.text("result", "\n".join(f"- {key}: {value}" for key, value in result.items()))
    journal.close()
    write_result(run_dir / "result.json", result)
    draw_in_child(run_dir, dataset.files.test_images, dataset.spec.classes)
    say_goodbye(run_dir, result, len(dataset.test), time.perf_counter() - began)


def summary(
    run: Run, training: Training, journal: Journal, predictions: Predictions, weights: str
) -> dict[str, Any]:
    """The content of result.json (docs/payload-contract.md)."""
    rows = journal.rows
    seconds = sum(row.seconds for row in rows)
    return {
        "world_size": run.world,
        "backend": run.backend,
        "epochs": len(rows),
        "global_batch_size": run.global_batch,
        "train_seconds": round(seconds, 3),
        "images_per_second": round(training.images / seconds) if seconds else None,
        "train_loss": rows[-1].train_loss if rows else None,
        "test_accuracy": predictions.accuracy,
        "precision": run.precision,
        "net": run.net,
        "data": run.data,
        "seed": run.seed,
        "versions": versions(),
        "peak_rss_bytes": peak_rss_bytes(),
        "steps": training.steps,
        "start_seconds": training.start_seconds and round(training.start_seconds, 3),
        "resumed_from_step": training.resumed_from,
        "test_loss": predictions.loss,
        "weights_sha256": weights,
    }


def say_goodbye(run_dir: Path, result: dict[str, Any], count: int, seconds: float) -> None:
    """The last lines for a person."""
    print(f"test accuracy {100 * result['test_accuracy']:.2f} % of {count:,} images")
    print(f"epochs {result['epochs']} in {result['train_seconds']:.1f} s, with start and end {seconds:.1f} s")
    print(f"weights {result['weights_sha256'][:16]}…")
    shown = (
        "result.json",
        "metrics.csv",
        "predictions.csv",
        "loss.png",
        "accuracy.png",
        "confusion.png",
        "mistakes.png",
    )
    names = [name for name in shown if (run_dir / name).exists()]
    print(f"{run_dir}{os.sep}  {'  '.join(names)}", flush=True)


def write_predictions(
    run_dir: Path, net: nn.Module, dataset: DataSet, *, device: torch.device, rank: int, world: int
) -> None:
    """Predict the test images over all ranks, and let rank 0 write predictions.csv. All ranks; a barrier."""
    predictions = _predicted(run_dir, net, dataset, device=device, rank=rank, world=world)
    if rank == 0:
        print(f"test accuracy {100 * predictions.accuracy:.2f} % of {len(dataset.test):,} images")
        print(f"{run_dir / 'predictions.csv'}", flush=True)


def _predicted(
    run_dir: Path, net: nn.Module, dataset: DataSet, *, device: torch.device, rank: int, world: int
) -> Predictions:
    """On every rank; rank 0 has them in predictions.csv too."""
    predictions = predict(
        net.to(device), dataset.test, dataset.normalise, device=device, rank=rank, world=world
    )
    if rank == 0:
        write_file(run_dir / "predictions.csv", predictions.csv())
    return predictions


def row(
    number: int, score: Score, judged: Score | None, seconds: float, *, net: nn.Module, optimizer: Optimizer
) -> Epoch:
    """The epoch that has just ended, for the journal; `number` from 1."""
    return Epoch(
        epoch=number, train_loss=score.loss, seconds=seconds, images_per_second=score.count / seconds,
        val_loss=judged.loss if judged else None, val_accuracy=judged.accuracy if judged else None,
        learning_rate=float(optimizer.param_groups[0]["lr"]), weights_sha256=checksum(net.state_dict()),
    )  # fmt: skip


def checkpoints_of(run_dir: Path) -> Path:
    """Where this rank keeps checkpoints: below its own run directory, on another machine than rank 0's."""
    own = os.environ.get("HOTRUN_CHECKPOINT_DIR")
    return Path(own) if own else Path(os.environ.get("HOTRUN_RUN_DIR") or run_dir) / "checkpoints"


def directory_of(run: Run, resume: str) -> Path:
    """For rank 0: HOTRUN_RUN_DIR; with --resume auto a killed run's place; else a new ./runs/NAME-K."""
    name = f"{run.data}-{run.net}"
    if resume == "auto" and not os.environ.get("HOTRUN_RUN_DIR"):
        killed = unfinished(Path("runs").resolve(), name, run.fingerprint)
        if killed:
            return killed
    return run_directory(name)
