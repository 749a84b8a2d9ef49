"""What happens around Lightning's training: start, epochs, averages and shares, checkpoints.

Each is a callback of its own; `main.py` lists them in the order in which they act. Rank 0 prints and writes.
"""

# ruff: noqa: ARG002, D102 -- Lightning's hooks have its names and arguments

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from keep.checkpoints import save
from keep.resume import start
from pytorch_lightning import Callback, LightningModule, Trainer
from ranks import local_sgd
from ranks.exact import broadcast_buffers, checksum, gather_numbers
from ranks.order import shares_by_speed
from ranks.tally import Score, Tally
from show.report import Epoch, Journal, progress

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from keep.every import Every


class Report(Callback):  # type: ignore[misc]  # Lightning has no types
    """Times the epochs, adds up what the ranks counted, and keeps the journal."""

    def __init__(self, run_dir: Path, started: float) -> None:
        self.run_dir, self.started = run_dir, started
        self.journal: Journal | None = None
        self.images = 0
        self.start_seconds: float | None = None
        self._rows: list[dict[str, Any]] = []
        self._trained: tuple[Score, float] | None = None
        self._judged: Score | None = None
        self._began = 0.0
        self._bar = progress(0, 0, 0, is_shown=False)

    def state_dict(self) -> dict[str, Any]:
        return {"rows": self.journal.plain() if self.journal else self._rows, "images": self.images}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._rows, self.images = state_dict["rows"], state_dict["images"]

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.is_global_zero:
            self.journal = Journal(self.run_dir, trainer.max_epochs, self._rows)
            self.journal.text("configuration", str(trainer.datamodule.run).replace("\n", "\n\n"))
        self._start(trainer, pl_module)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.global_step:  # an epoch that is resumed in its middle has no start
            self._start(trainer, pl_module)

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        if self.start_seconds is None:
            self.start_seconds = time.perf_counter() - self.started
        self._bar.update()
        if trainer.is_last_batch:
            self._bar.close()
            # Closes the training part of the epoch; the sum over the ranks waits for the slowest, and a GPU.
            score = pl_module.tally.total()
            self._trained = score, time.perf_counter() - self._began

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        pl_module.tally = Tally(pl_module.device)
        broadcast_buffers(pl_module)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._judged = pl_module.tally.total()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        assert self._trained is not None
        score, seconds = self._trained
        self.images += score.count
        if self.journal:
            judged, rates = self._judged, trainer.optimizers[0].param_groups[0]
            self.journal.add(
                Epoch(epoch=trainer.current_epoch + 1, train_loss=score.loss, seconds=seconds,
                      val_loss=judged.loss if judged else None,
                      val_accuracy=judged.accuracy if judged else None,
                      images_per_second=score.count / seconds, learning_rate=float(rates["lr"]),
                      weights_sha256=checksum(pl_module.net.state_dict()))
            )  # fmt: skip

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self._bar.close()

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


class Balance(Callback):  # type: ignore[misc]  # as above
    """Cuts the next epoch's steps after the speed of each rank, measured where it waits for no other."""

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        if trainer.is_last_batch:
            tally = pl_module.tally
            speeds = [row[0] for row in gather_numbers([tally.count / max(tally.forward_s, 1e-9)])]
            trainer.datamodule.shares = shares_by_speed(speeds)
            if trainer.is_global_zero and trainer.current_epoch + 1 < trainer.max_epochs:
                shares = ", ".join(f"{100 * share:.0f} %" for share in trainer.datamodule.shares)
                print(f"shares of the ranks in the next epoch: {shares}", flush=True)


class Checkpoints(Callback):  # type: ignore[misc]  # as above
    """Goes on from the newest checkpoint that any rank has, and makes new ones; rank 0 writes, alone."""

    was_interrupted = False
    """By Ctrl-C, which Lightning turns into exit code 1."""

    def __init__(
        self, directory: Path, every: Every, keep: int, resume: str, say: Callable[[str], None]
    ) -> None:
        self.directory, self.every, self.keep, self.resume, self.say = directory, every, keep, resume, say
        self.resumed_from: int | None = None
        self._saved_at, self._saved_step = 0.0, 0

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        path = start(self.resume, self.directory, trainer.datamodule.run.fingerprint, self.say)
        if path:
            # NOTE: what Lightning does at this point where a strategy restores late; the rest of the state
            # follows when this hook returns. Its ckpt_path must be known before the ranks have met.
            trainer._checkpoint_connector._restore_modules_and_callbacks(path, weights_only=True)  # noqa: SLF001
        self._saved_at = time.monotonic()

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.resumed_from = trainer.global_step or None

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        # Not while ranks' weights differ, nor within a step: half of its gradients would be in no checkpoint.
        ready = trainer.fit_loop.epoch_loop.batch_progress.current.ready
        is_within = ready % trainer.accumulate_grad_batches
        is_between = trainer.is_last_batch or trainer.datamodule.run.local_sgd or is_within
        if not is_between and trainer.is_global_zero and trainer.global_step != self._saved_step:
            self._save_if_due(trainer, epoch=trainer.current_epoch, has_ended=False)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.is_global_zero:
            self._save_if_due(trainer, epoch=trainer.current_epoch + 1, has_ended=True)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        if isinstance(exception, KeyboardInterrupt):
            Checkpoints.was_interrupted = True
            if trainer.is_global_zero:
                kept = (
                    f"step {self._saved_step} is kept in {self.directory}"
                    if self._saved_step
                    else "nothing is kept"
                )
                self.say(
                    f"interrupted in step {trainer.global_step}; {kept}; --resume auto goes on from there"
                )

    def _save_if_due(self, trainer: Trainer, *, epoch: int, has_ended: bool) -> None:
        waited_s = time.monotonic() - self._saved_at
        is_last = has_ended and epoch == trainer.max_epochs
        if not (is_last or self.every.is_due(epoch_ended=has_ended, epoch=epoch, seconds=waited_s)):
            return
        # NOTE: Trainer.save_checkpoint is a barrier for all ranks; its state is made by this method.
        state = trainer._checkpoint_connector.dump_checkpoint(weights_only=False)  # noqa: SLF001
        save(self.directory, state, step=trainer.global_step, epoch=epoch, keep=self.keep,
             run=trainer.datamodule.run.fingerprint)  # fmt: skip
        self._saved_at, self._saved_step = time.monotonic(), trainer.global_step
