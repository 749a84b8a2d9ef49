"""What happens around Lightning's training: start, epochs, averages and shares, checkpoints.

Each is a callback of its own; lit/start.py lists them in the order in which they act: LocalSGD, Balance,
Report, then Checkpoints (lit/saving.py). Rank 0 prints and writes.
"""

# ruff: noqa: ARG002, D102 -- Lightning's hooks have its names and arguments

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from ranks import local_sgd
from ranks.exact import broadcast_buffers, gather_numbers
from ranks.order import shares_by_speed
from ranks.tally import Score, Tally
from show.outcome import row
from show.report import Journal, ReportError, progress

if TYPE_CHECKING:
    from pathlib import Path


class Report(Callback):  # type: ignore[misc]  # Lightning has no types
    """Times the epochs, adds up what the ranks counted, and keeps the journal."""

    def __init__(self, run_dir: Path, started: float) -> None:
        self.run_dir, self.started = run_dir, started
        self.journal: Journal | None = None
        self.images = 0
        self.start_seconds: float | None = None
        self.failure: Exception | None = None
        """Of rank 0, which alone writes."""
        self._rows: list[dict[str, Any]] = []
        self._trained: tuple[Score, float] | None = None
        self._judged: Score | None = None
        self._training = Tally(torch.device("cpu"))
        self._began = 0.0
        self._bar = progress(0, 0, 0, is_shown=False)

    def state_dict(self) -> dict[str, Any]:
        return {"rows": self.journal.plain() if self.journal else self._rows, "images": self.images}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._rows, self.images = state_dict["rows"], state_dict["images"]

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.is_global_zero:
            self.journal = Journal(self.run_dir, trainer.max_epochs, self._rows)
            self.journal.text("configuration", trainer.datamodule.run.markdown)
        self._start(trainer, pl_module)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.global_step:  # an epoch that is resumed in its middle has no start
            self._start(trainer, pl_module)

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        if self.start_seconds is None:
            self.start_seconds = time.perf_counter() - self.started
        self._bar.update()
        if trainer.is_last_batch:
            self._close(pl_module)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._training, pl_module.tally = pl_module.tally, Tally(pl_module.device)
        broadcast_buffers(pl_module)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._judged, pl_module.tally = pl_module.tally.total(), self._training

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        score, seconds = self._trained or self._close(
            pl_module
        )  # by --trainer.max_time it ends in its middle
        self.images += score.count
        if self.journal is None:
            return
        epoch = row(trainer.current_epoch + 1, score, self._judged, seconds, net=pl_module.net,
                    optimizer=trainer.optimizers[0])  # fmt: skip
        try:
            self.journal.add(epoch)
        except ReportError as error:
            self.failure = error  # told to all ranks by Checkpoints

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.journal is None and trainer.is_global_zero:  # every epoch was done before this process
            self.journal = Journal(self.run_dir, trainer.max_epochs, self._rows)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self._bar.close()

    def _close(self, module: LightningModule) -> tuple[Score, float]:
        """End the training part of an epoch; the sum over the ranks waits for the slowest, and a GPU."""
        self._bar.close()
        score = module.tally.total()
        self._trained = score, time.perf_counter() - self._began
        return self._trained

    def _start(self, trainer: Trainer, module: LightningModule) -> None:
        self._bar.close()
        self._bar = progress(trainer.current_epoch + 1, trainer.max_epochs, trainer.num_training_batches,
                             is_shown=self.journal is not None)  # fmt: skip
        module.tally = Tally(module.device)
        self._trained = self._judged = None
        self._began = time.perf_counter()


class LocalSGD(Callback):  # type: ignore[misc]  # as above
    """Averages parameters every `steps` optimizer steps, in place of gradients in every one."""

    def __init__(self, steps: int) -> None:
        self.steps, self._averaged = steps, 0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._averaged = trainer.global_step
        if trainer.world_size > 1:
            trainer.strategy.model.require_backward_grad_sync = False  # what DDP's no_sync() sets

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        if trainer.is_last_batch or trainer.global_step - self._averaged >= self.steps:
            local_sgd.average_parameters(pl_module)
            self._averaged = trainer.global_step
        if trainer.is_last_batch:
            local_sgd.average_moments(trainer.optimizers[0])

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._averaged != trainer.global_step:  # stopped within an epoch
            local_sgd.average_parameters(pl_module)
            local_sgd.average_moments(trainer.optimizers[0])


class Balance(Callback):  # type: ignore[misc]  # as above
    """Cuts the next epoch's steps after the speed of each rank, measured where it waits for no other."""

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        if trainer.is_last_batch:
            tally = pl_module.tally
            speeds = [row[0] for row in gather_numbers([tally.forward_count / max(tally.forward_s, 1e-9)])]
            trainer.datamodule.shares = shares_by_speed(speeds)
            if trainer.is_global_zero and trainer.current_epoch + 1 < trainer.max_epochs:
                shares = ", ".join(f"{100 * share:.0f} %" for share in trainer.datamodule.shares)
                print(f"shares of the ranks in the next epoch: {shares}", flush=True)
