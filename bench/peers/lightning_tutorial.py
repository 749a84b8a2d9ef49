"""The Lightning tutorial's LitMNIST with a Trainer as it comes: bar, logger, checkpoints, validation.

Upstream, whose lines this follows, "A more complete MNIST Lightning Module Example":
  https://lightning.ai/docs/pytorch/stable/notebooks/lightning_examples/mnist-hello-world.html
  https://github.com/Lightning-AI/tutorials/blob/main/lightning_examples/mnist-hello-world/hello-world.py

Deviations, each because the comparison needs it:
  net         784-100-10 with ReLU, the net compared, instead of 784-64-64-10 with dropout 0.1
  package     pytorch_lightning instead of lightning: the same code under its other name
  data        read from --root, never downloaded; the loaders take --workers
  files       the logs go into a directory that is thrown away
  trainer     accelerator cpu; with --world 2 strategy ddp; --steps limits the batches
  measuring   a callback with the clock: training batches alone, the validation is off the clock

As upstream: batch 64 on a CPU, Adam 2e-4, 55,000 images in one order (its loader does not shuffle), 5,000
held out, torchmetrics, the test once at the end.

    python bench/peers/lightning_tutorial.py --root DIR --epochs 1
"""

# ruff: noqa: ARG002, D102 -- Lightning's hooks have its names and arguments

# ruff: noqa: INP001 -- a script, as payload/ has them; imports its neighbours by their short names

from __future__ import annotations

import gauge  # type: ignore[import-not-found]  # isort: skip  # its clock starts before the imports

import tempfile
from typing import TYPE_CHECKING, Any

import pytorch_lightning as lightning
import torch
from pytorch_lightning.loggers import CSVLogger
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 -- as upstream writes it
from torch.utils.data import DataLoader, random_split
from torchmetrics import Accuracy
from torchvision import transforms
from torchvision.datasets import MNIST

if TYPE_CHECKING:
    import argparse


class LitMNIST(lightning.LightningModule):  # type: ignore[misc]  # Lightning has no types
    """The tutorial's module with the data in it."""

    def __init__(self, data_dir: str, batch_size: int, workers: int, learning_rate: float = 2e-4) -> None:
        super().__init__()
        self.data_dir, self.batch_size, self.workers = data_dir, batch_size, workers
        self.learning_rate = learning_rate
        self.transform = transforms.Compose(
            [transforms.ToTensor(), transforms.Normalize((gauge.MEAN,), (gauge.STD,))]
        )
        self.model = nn.Sequential(nn.Flatten(), nn.Linear(784, 100), nn.ReLU(), nn.Linear(100, 10))
        self.val_accuracy = Accuracy(task="multiclass", num_classes=10)
        self.test_accuracy = Accuracy(task="multiclass", num_classes=10)

    def forward(self, x: Tensor) -> Tensor:
        return F.log_softmax(self.model(x), dim=1)

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        x, y = batch
        return F.nll_loss(self(x), y)

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        self._judge(batch, "val", self.val_accuracy)

    def test_step(self, batch: Any, batch_idx: int) -> None:
        self._judge(batch, "test", self.test_accuracy)

    def _judge(self, batch: Any, stage: str, metric: Any) -> None:
        x, y = batch
        logits = self(x)
        metric.update(torch.argmax(logits, dim=1), y)
        self.log(f"{stage}_loss", F.nll_loss(logits, y), prog_bar=True)
        self.log(f"{stage}_acc", metric, prog_bar=True)

    def configure_optimizers(self) -> Any:
        return torch.optim.Adam(self.parameters(), lr=self.learning_rate)

    def setup(self, stage: str | None = None) -> None:
        if stage == "fit":
            full = MNIST(self.data_dir, train=True, transform=self.transform)
            self.mnist_train, self.mnist_val = random_split(full, [55_000, 5_000])
        if stage == "test":
            self.mnist_test = MNIST(self.data_dir, train=False, transform=self.transform)

    def train_dataloader(self) -> Any:
        return DataLoader(self.mnist_train, batch_size=self.batch_size, num_workers=self.workers)

    def val_dataloader(self) -> Any:
        return DataLoader(self.mnist_val, batch_size=self.batch_size, num_workers=self.workers)

    def test_dataloader(self) -> Any:
        return DataLoader(self.mnist_test, batch_size=self.batch_size, num_workers=self.workers)


class Timer(lightning.Callback):  # type: ignore[misc]  # as above
    """Training batches on the clock, validation off it."""

    def __init__(self, clock: gauge.Clock) -> None:
        self.clock = clock

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        self.clock.begin()

    def on_train_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.clock.step(len(batch[1]))

    def on_validation_start(self, trainer: Any, pl_module: Any) -> None:
        if not trainer.sanity_checking:
            self.clock.end()


def run(options: argparse.Namespace, logs: str) -> None:
    """Fit and test. All ranks run this; Lightning starts those beside the first."""
    if options.threads:
        torch.set_num_threads(options.threads)
    lightning.seed_everything(options.seed)
    clock = gauge.Clock(options.started_s)
    limit = options.steps or 1.0
    trainer = lightning.Trainer(
        accelerator="cpu",
        devices=options.world,
        max_epochs=options.epochs,
        logger=CSVLogger(save_dir=logs),
        callbacks=[Timer(clock)],
        strategy="ddp" if options.world > 1 else "auto",
        limit_train_batches=limit,
        limit_val_batches=limit,
    )
    model = LitMNIST(options.root, options.batch, options.workers)
    trainer.fit(model)
    peak = torch.tensor(gauge.peak_rss_bytes())
    if options.world > 1:
        torch.distributed.all_reduce(peak, op=torch.distributed.ReduceOp.MAX)
    clock.point(options.epochs, trainer.test(model, verbose=False)[0]["test_acc"], is_last=True)
    if trainer.is_global_zero:
        gauge.say(gauge.result(options, clock, int(peak), precision="32-true"))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        run(gauge.arguments(__doc__, epochs=3, batch=64, world=1), place)
