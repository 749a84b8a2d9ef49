"""A trained net of torch -> predictions.csv, model.ckpt, result.json, pictures, the last lines.

All ranks call `finish`, since all of them predict; rank 0 writes. result.json comes last.
`row` is for the end of each epoch.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from keep.weights import prefixed, save_model
from pictures import draw_in_child
from ranks.exact import checksum
from ranks.predict import predict

from show.report import Epoch, write_file
from show.result import end, say_goodbye, say_predicted, summary

if TYPE_CHECKING:
    from pathlib import Path

    import torch
    from data import DataSet
    from ranks.predictions import Predictions
    from ranks.tally import Score
    from recipe import Run
    from torch import nn
    from torch.optim import Optimizer

    from show.report import Journal
    from show.result import Training


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
    end(journal, result)
    draw_in_child(run_dir, dataset.files.test_images, dataset.spec.classes)
    say_goodbye(run_dir, result, len(dataset.test), time.perf_counter() - began)


def write_predictions(
    run_dir: Path, net: nn.Module, dataset: DataSet, *, device: torch.device, rank: int, world: int
) -> None:
    """Predict the test images over all ranks, and let rank 0 write predictions.csv. All ranks; a barrier."""
    predictions = _predicted(run_dir, net, dataset, device=device, rank=rank, world=world)
    if rank == 0:
        say_predicted(run_dir, predictions.accuracy, len(dataset.test))


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
