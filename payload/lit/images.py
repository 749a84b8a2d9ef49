"""A data set in the shares of the ranks, for Lightning."""

# ruff: noqa: ARG002, D102 -- Lightning's hooks have its names and arguments

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import torch
from data import Batches, DataSet, load, prepare, root_directory
from pytorch_lightning import LightningDataModule
from ranks import order
from ranks.exact import raise_together
from sources.files import DataError
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from recipe import Run


class Images(LightningDataModule):  # type: ignore[misc]  # Lightning has no types
    """Training, validation and test images.

    Args:
        name: mnist, fashion-mnist, cifar10 or synthetic.
        root: directory that holds them or shall hold them; by default HOTRUN_DATA_DIR, else ./data.
        batch_size: training images per rank and backward pass, at most; by default the net's recipe's.
        validation: training images held out to judge by, the last ones; 0 trains on all.
        balance: equal parts for all ranks, or parts after the speed that each measured in the epoch before.
        normalise: bytes become floats on the device, after a quarter of the traffic to it, or on the host.
    """

    run: Run
    """Set when the ranks have met."""
    shares: list[float]
    """Of a global batch, one per rank; the same list on every rank."""

    def __init__(  # noqa: PLR0917  # LightningCLI names them
        self, name: str = "mnist", root: str = "", batch_size: int | None = None, validation: int = 5000,
        balance: Literal["equal", "measured"] = "equal", normalise: Literal["device", "host"] = "device",
    ) -> None:  # fmt: skip
        super().__init__()
        self.name, self.root, self.validation = name, root_directory(root), validation
        self.batch_size = batch_size or 0
        self.balance, self.normalised_on = balance, normalise
        self.seed = 0
        self._failure: DataError | None = None

    def prepare_data(self) -> None:
        """Runs on one rank of each node, while the others wait in a barrier."""
        try:
            prepare(self.name, self.root)
        except DataError as error:
            self._failure = error  # told to all ranks in `setup`

    def setup(self, stage: str) -> None:
        """Map the files. Every rank runs this; a barrier, as all take the seed from rank 0."""
        try:
            if self._failure is None:
                self.dataset: DataSet = load(self.name, self.root, self.validation)
        except DataError as error:
            self._failure = error
        raise_together(self._failure)
        self.seed = int(self._trainer.strategy.broadcast(torch.initial_seed()))
        self.shares = [1.0] * self._trainer.world_size

    def train_dataloader(self) -> Batches:
        trainer, table, run = self._trainer, self.dataset.train, self.run
        steps = order.steps_per_epoch(len(table), run.global_batch)

        def indices() -> Sequence[tuple[Tensor, float]]:
            permutation = order.epoch_order(len(table), run.seed, trainer.current_epoch)
            batches = order.rank_batches(permutation, steps, shares=self.shares, rank=trainer.global_rank,
                                         micro_batches=run.parts)  # fmt: skip
            # Where an epoch is resumed in its middle, Lightning counts on, but begins the loader anew.
            return batches[trainer.fit_loop.epoch_loop.batch_progress.current.ready :]

        return Resumable(table, indices, steps * run.parts)

    def val_dataloader(self) -> Batches:
        """This rank's chunks; an empty one where it has none: without a batch Lightning skips hooks."""
        trainer, table = self._trainer, self.dataset.held_out
        chunks = order.judged_chunks(len(table), trainer.world_size, trainer.global_rank) or [(0, 0)]
        parts = [(torch.arange(first, end), 1.0) for first, end in chunks]
        return Batches(table, lambda: parts, len(parts))

    def predict_dataloader(self) -> Batches:
        """One empty batch: ranks/predict.py reads the test images itself, in chunks of its own."""
        return Batches(self.dataset.test, lambda: [(torch.arange(0), 1.0)], 1)

    def on_before_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        return self._normalised(batch) if self.normalised_on == "host" else batch

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        return self._normalised(batch) if self.normalised_on == "device" else batch

    def _normalised(self, batch: tuple[Tensor, Tensor, float]) -> tuple[Tensor, Tensor, float]:
        images, labels_N, weight = batch
        return self.dataset.normalise(images), labels_N, weight

    @property
    def _trainer(self) -> Any:
        assert self.trainer is not None
        return self.trainer


class Resumable(Batches):
    """Batches that need no state to go on in the middle of an epoch; Lightning asks for these methods."""

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        pass
