"""A net with its loss and optimizer, for Lightning."""

# ruff: noqa: ARG002, D102 -- Lightning's hooks have its names and arguments

from __future__ import annotations

import time
from typing import Any

import torch
from data import SPECS, Batch
from nets import NETS, dropouts_of, reseed
from pytorch_lightning import LightningModule
from ranks.tally import Tally
from recipe import BETAS, recipe_of, scaled_lr, schedule
from torch import Tensor
from torch.nn.functional import cross_entropy


class Classifier(LightningModule):  # type: ignore[misc]  # Lightning has no types
    """A net that classifies images.

    Args:
        net: mlp-100 (784-100-10), dense-128, mlp-512, mlp-512-256-128 (dropout 0.2), lenet or resnet.
        data: the data set, which decides the shape of the input; taken from --data.name.
        lr: highest learning rate at the net's usual batch size; by default its recipe's. A larger global
            batch takes lr times the square root of how much larger it is.
        weight_decay: decoupled weight decay; by default the recipe's.
    """

    def __init__(
        self,
        net: str = "mlp-100",
        data: str = "mnist",
        lr: float | None = None,
        weight_decay: float | None = None,
    ) -> None:
        super().__init__()
        self.recipe = recipe_of(net)
        self.name = net
        self.lr = self.recipe.lr if lr is None else lr
        self.weight_decay = self.recipe.weight_decay if weight_decay is None else weight_decay
        spec = SPECS[data]
        self.net = NETS[net](spec.shape, len(spec.classes))
        self.dropouts = dropouts_of(self.net)
        self.tally = Tally(torch.device("cpu"))

    def forward(self, images_NCHW: Tensor) -> Tensor:  # noqa: N803  # shape suffix
        """Logits, N x K, of normalised images."""
        logits_NK: Tensor = self.net(images_NCHW)
        return logits_NK

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Loss of this rank's part of a step; the images are floats by now (lit/images.py)."""
        images_NCHW, labels_N, weight = batch
        if self.dropouts:
            seed = self.trainer.datamodule.run.seed
            reseed(self.dropouts, (seed, self.current_epoch, batch_idx, self.global_rank))
        logits_NK = self._timed(images_NCHW) if batch_idx % 8 == 0 else self.net(images_NCHW)
        loss = cross_entropy(logits_NK, labels_N, reduction="sum")
        self.tally.add(loss, len(labels_N))
        return loss * weight

    def _timed(self, images_NCHW: Tensor) -> Tensor:  # noqa: N803  # shape suffix
        """A forward pass, in which no rank waits for another: the speed for --data.balance measured."""
        is_cuda = images_NCHW.is_cuda
        if is_cuda:
            torch.cuda.synchronize()
        began = time.perf_counter()
        logits_NK: Tensor = self.net(images_NCHW)
        if is_cuda:
            torch.cuda.synchronize()
        self.tally.forward_s += time.perf_counter() - began
        self.tally.forward_count += len(images_NCHW)
        return logits_NK

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        images_NCHW, labels_N, _ = batch
        logits_NK = self.net(images_NCHW)
        correct = (logits_NK.argmax(1) == labels_N).sum()
        self.tally.add(cross_entropy(logits_NK.float(), labels_N, reduction="sum"), len(labels_N), correct)

    def predict_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Nothing to speak of: ranks/predict.py does it all at once when Lightning has loaded the weights."""
        return batch[1]

    def configure_optimizers(self) -> Any:
        fused = self.device.type in ("cpu", "cuda")
        run = self.trainer.datamodule.run
        optimizer = torch.optim.AdamW(self.parameters(), lr=run.lr, betas=BETAS, fused=fused,
                                      weight_decay=run.weight_decay)  # fmt: skip
        steps = max(1, int(self.trainer.estimated_stepping_batches))
        scheduler = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: schedule(step, steps, self.recipe.warm_up)
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def lr_of(self, global_batch: int) -> float:
        """The learning rate of this model for a global batch."""
        return scaled_lr(self.lr, self.recipe.batch_size, global_batch)
