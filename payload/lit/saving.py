"""Checkpoints of a training with Lightning: made by rank 0 alone, gone on from by all."""

# ruff: noqa: ARG002, D102 -- Lightning's hooks have its names and arguments

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING, Any

from keep.checkpoints import CheckpointError, save
from keep.resume import start
from pytorch_lightning import Callback, LightningModule, Trainer
from ranks.exact import raise_together

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from keep.every import Every

    from lit.callbacks import Report


class Checkpoints(Callback):  # type: ignore[misc]  # Lightning has no types
    """Goes on from the newest checkpoint that any rank has, and makes new ones.

    What rank 0 fails to write it tells the others at the end of the epoch, so that none waits for it.
    """

    def __init__(  # noqa: PLR0917  # each is another thing, and all are needed
        self,
        report: Report,
        directory: Path,
        every: Every,
        keep: int,
        resume: str,
        say: Callable[[str], None],
    ) -> None:
        self.report, self.directory, self.every, self.keep = report, directory, every, keep
        self.resume, self.say = resume, say
        self.resumed_from: int | None = None
        self.parts = 1
        """Backward passes per step."""
        self._saved_at, self._saved_step = 0.0, 0

    def state_dict(self) -> dict[str, Any]:
        return {"parts": self.parts}

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.parts = trainer.datamodule.run.parts
        path = start(self.resume, self.directory, trainer.datamodule.run.fingerprint, self.say)
        if path:
            try:
                self._restore(trainer, path)
            except (RuntimeError, KeyError) as error:
                reason = str(error).strip().splitlines()[-1].strip()
                raise CheckpointError(f"{path} is of another net or program: {reason}") from error
        self._saved_at = time.monotonic()

    def _restore(self, trainer: Trainer, path: Path) -> None:
        """Load the checkpoint; Lightning takes the rest of the state from it when `on_fit_start` returns."""
        # NOTE: what Lightning does at this point where a strategy restores late. Its ckpt_path would have to
        # be known before the ranks have met.
        connector = trainer._checkpoint_connector  # noqa: SLF001
        connector._restore_modules_and_callbacks(path, weights_only=True)  # noqa: SLF001
        content = connector._loaded_checkpoint  # noqa: SLF001
        self.resumed_from = content["global_step"] or None
        # Lightning counts backward passes, and this run may make another number of them per step.
        theirs = content.get("callbacks", {}).get("Checkpoints", {}).get("parts", self.parts)
        progress = content["loops"]["fit_loop"]["epoch_loop.batch_progress"]
        shift = progress["current"]["ready"] // theirs * (self.parts - theirs)
        for counts in (progress["total"], progress["current"]):
            for key in counts:
                counts[key] += shift

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """End at once on SIGTERM: Lightning's handler waits for ranks that may wait for this one."""

        def end(*_: object) -> None:
            if trainer.strategy.launcher is not None:
                trainer.strategy.launcher.kill(signal.SIGTERM)
            os._exit(128 + signal.SIGTERM)

        signal.signal(signal.SIGTERM, end)

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        # Not while ranks' weights differ, nor within a step: half of its gradients would be in no checkpoint.
        ready = trainer.fit_loop.epoch_loop.batch_progress.current.ready
        is_between = trainer.is_last_batch or trainer.datamodule.run.local_sgd or ready % self.parts
        if not is_between and trainer.is_global_zero and trainer.global_step != self._saved_step:
            self._save_if_due(trainer, epoch=trainer.current_epoch, has_ended=False)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.is_global_zero and trainer.is_last_batch:  # not where it was stopped in its middle
            self._save_if_due(trainer, epoch=trainer.current_epoch + 1, has_ended=True)
        raise_together(self.report.failure)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        if isinstance(exception, KeyboardInterrupt) and trainer.is_global_zero:
            kept = "nothing is kept"
            if self._saved_step:
                kept = (
                    f"step {self._saved_step} is kept in {self.directory}, --resume auto goes on from there"
                )
            self.say(f"interrupted in step {trainer.global_step}; {kept}")

    def _save_if_due(self, trainer: Trainer, *, epoch: int, has_ended: bool) -> None:
        waited_s = time.monotonic() - self._saved_at
        is_last = has_ended and epoch == trainer.max_epochs
        is_due = self.every.is_due(epoch_ended=has_ended, epoch=epoch, seconds=waited_s)
        if self.report.failure or not (is_last or is_due):
            return
        # NOTE: Trainer.save_checkpoint is a barrier for all ranks; its state is made by this method.
        state = trainer._checkpoint_connector.dump_checkpoint(weights_only=False)  # noqa: SLF001
        try:
            save(self.directory, state, step=trainer.global_step, epoch=epoch, keep=self.keep,
                 run=trainer.datamodule.run.fingerprint)  # fmt: skip
        except CheckpointError as error:
            self.report.failure = error
        self._saved_at, self._saved_step = time.monotonic(), trainer.global_step
