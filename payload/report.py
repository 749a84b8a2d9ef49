"""A training -> lines for a person, metrics.csv and result.json. Rank 0 prints and writes, all count."""

# ruff: noqa: ARG002, D102 -- Lightning's hooks have its names and arguments

from __future__ import annotations

import csv
import io
import json
import os
import platform
import sys
import time
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from mnist import replace
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Callable


class Tally:
    """Sums over the images that this rank has seen. `total` is the one collective."""

    def __init__(self, device: torch.device) -> None:
        # Loss, right answers, images: float32 counts exactly to 16,777,216, far above an epoch of one rank.
        self.sums = torch.zeros(3, device=device)

    def add(self, mean_loss: Tensor, count: int, correct: Tensor | int = 0) -> None:
        """Add a batch by its mean loss."""
        self.sums[0] += mean_loss.detach() * count
        self.sums[1] += correct
        self.sums[2] += count

    def total(self, trainer: Trainer) -> Score:
        """The score over all ranks: a barrier, all ranks must call it."""
        loss, correct, count = trainer.strategy.reduce(self.sums, reduce_op="sum").tolist()
        return Score(loss=loss / max(count, 1), accuracy=correct / max(count, 1), count=int(count))


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """What a pass over images came to, over all ranks."""

    loss: float
    accuracy: float
    """0 to 1."""
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Epoch:
    """A row of metrics.csv."""

    epoch: int
    train_loss: float
    val_accuracy: float | None
    """On the images held out; empty where none are."""
    seconds: float
    """Of the training steps alone."""
    images_per_second: float


class Report(Callback):  # type: ignore[misc]  # Lightning has no types
    """Times the epochs, adds up what the ranks counted, prints a line per epoch and keeps metrics.csv."""

    def __init__(self, run_dir: Path, configuration: Callable[[], str]) -> None:
        self.run_dir, self.configuration = run_dir, configuration
        self.epochs: list[Epoch] = []
        self.images = 0
        self.test: Score | None = None
        self._began = 0.0
        self._trained: tuple[Score, float] | None = None
        self._judged: Score | None = None

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.is_global_zero:
            print(self.configuration(), flush=True)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._start_tally(pl_module)
        self._trained = self._judged = None
        self._began = time.perf_counter()

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._end_training(trainer, pl_module)
        self._start_evaluation(pl_module)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._judged = self._tally(pl_module).total(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._end_training(trainer, pl_module)
        assert self._trained is not None
        score, seconds = self._trained
        self.images += score.count
        self.epochs.append(
            Epoch(epoch=trainer.current_epoch + 1, train_loss=score.loss, seconds=seconds,
                  val_accuracy=self._judged.accuracy if self._judged else None,
                  images_per_second=score.count / seconds)
        )  # fmt: skip
        if trainer.is_global_zero:
            print(line(self.epochs[-1], trainer.max_epochs), flush=True)
            write_metrics(self.run_dir / "metrics.csv", self.epochs)

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._start_evaluation(pl_module)

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.test = self._tally(pl_module).total(trainer)

    def _end_training(self, trainer: Trainer, module: LightningModule) -> None:
        """Close the training part of the epoch; the sum over the ranks waits for the slowest, and a GPU."""
        if self._trained is None:
            score = self._tally(module).total(trainer)
            self._trained = score, time.perf_counter() - self._began

    def _start_evaluation(self, module: LightningModule) -> None:
        """Count anew, after all ranks took rank 0's BatchNorm statistics: each has seen other images."""
        self._start_tally(module)
        if _is_distributed():
            for buffer in module.buffers():
                torch.distributed.broadcast(buffer, src=0)

    @staticmethod
    def _start_tally(module: LightningModule) -> None:
        module.tally = Tally(module.device)

    @staticmethod
    def _tally(module: LightningModule) -> Tally:
        tally = module.tally
        assert isinstance(tally, Tally)
        return tally


def line(epoch: Epoch, epochs: int | None) -> str:
    """`epoch 2/3  loss 0.112  accuracy 97.9 %  31,240 img/s`."""
    accuracy = "" if epoch.val_accuracy is None else f"  accuracy {epoch.val_accuracy:.1%}".replace("%", " %")
    return (f"epoch {epoch.epoch}/{epochs or '?'}  loss {epoch.train_loss:.3f}{accuracy}"
            f"  {epoch.images_per_second:,.0f} img/s")  # fmt: skip


def write_metrics(path: Path, epochs: list[Epoch]) -> None:
    """One row per epoch; whole at any time."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(Epoch.__dataclass_fields__), lineterminator="\n")
    writer.writeheader()
    for epoch in epochs:
        writer.writerow({key: round(value, 6) if isinstance(value, float) else value
                         for key, value in asdict(epoch).items()})  # fmt: skip
    replace(path, text.getvalue().encode())


def write_result(path: Path, result: dict[str, Any]) -> None:
    """result.json; its keys are a contract (docs/payload-contract.md)."""
    replace(path, (json.dumps(result, indent=2) + "\n").encode())


def versions() -> dict[str, str]:
    """What a figure depends on."""
    packages = {name: version(name) for name in ("torch", "torchvision", "pytorch-lightning", "numpy")}
    return {"python": platform.python_version(), **packages}


def backend() -> str:
    """gloo, nccl …; none for a process that trains by itself."""
    return torch.distributed.get_backend() if _is_distributed() else "none"


def _is_distributed() -> bool:
    return torch.distributed.is_available() and torch.distributed.is_initialized()


def peak_rss_bytes() -> int | None:
    """The most memory this process had resident, None where the system does not say.

    Linux's own figure first: getrusage's is inherited from a bigger parent.
    """
    status = Path("/proc/self/status")
    if status.exists():
        for row in status.read_text().splitlines():
            if row.startswith("VmHWM:"):
                return int(row.split()[1]) * 1024
    if sys.platform == "win32":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def run_directory(name: str) -> Path:
    """HOTRUN_RUN_DIR, else the next free ./runs/NAME-1, -2 …, made by this call."""
    given = os.environ.get("HOTRUN_RUN_DIR")
    if given:
        Path(given).mkdir(parents=True, exist_ok=True)
        return Path(given).resolve()
    number = 1
    while True:
        path = Path("runs", f"{name}-{number}").resolve()
        try:
            path.mkdir(parents=True)
        except FileExistsError:
            number += 1
        else:
            return path
