r"""Train a small net on MNIST with Lightning, on one machine or on many: what hotrun tries itself with.

    python payload/main.py                                                 this machine, the default net
    python payload/main.py --model.net lenet --trainer.max_epochs 2        99 %, slower
    python payload/main.py --trainer.accelerator cpu --trainer.strategy ddp --trainer.devices 2

On several machines a launcher sets torchrun's variables and starts on each of them

    python main.py fit --trainer.accelerator cpu --trainer.strategy ddp \
        --trainer.num_nodes N --trainer.devices 1

What it reaches, and how fast: docs/payload.md. What it reads and writes: docs/payload-contract.md.
"""

# ruff: noqa: ARG002, D102 -- Lightning's hooks have its names and arguments
# ruff: noqa: E402 -- the clock starts before the imports, which take longer than the training

from __future__ import annotations

import time

STARTED = time.perf_counter()

import logging
import math
import os
import sys
import warnings
from pathlib import Path
from typing import Any, Literal

import torch
from data import Images
from mnist import DataError
from nets import NETS
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.cli import LightningCLI
from pytorch_lightning.strategies import DDPStrategy
from report import Report, Tally, backend, peak_rss_bytes, run_directory, versions, write_result
from torch import Tensor
from torch.nn.functional import cross_entropy

WARM_UP = 0.25  # of all steps, to the full learning rate in a line; then in a line to 0
SEED = 1
EPOCHS = 5  # validation accuracy of mlp-100 is then 98.0 to 98.4 % on 1, 2 and 3 ranks (docs/payload.md)


class Classifier(LightningModule):  # type: ignore[misc]  # Lightning has no types
    """A net with its loss and optimizer.

    Args:
        net: mlp-100 (784-100-10) or lenet (two convolutions with BatchNorm).
        lr: learning rate of one rank; N ranks, with N times the batch, use lr times the square root of N.
    """

    tally: Tally

    def __init__(self, net: Literal["mlp-100", "lenet"] = "mlp-100", lr: float = 0.005) -> None:
        super().__init__()
        self.name, self.lr = net, lr
        self.net = NETS[net]()

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        images_NP, labels_N = batch
        loss = cross_entropy(self.net(images_NP), labels_N)
        self.tally.add(loss, len(labels_N))
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        images_NP, labels_N = batch
        logits_NK = self.net(images_NP)
        correct = (logits_NK.argmax(1) == labels_N).sum()
        self.tally.add(cross_entropy(logits_NK, labels_N), len(labels_N), correct)

    test_step = validation_step

    @property
    def scaled_lr(self) -> float:
        return self.lr * math.sqrt(self.trainer.world_size)

    def configure_optimizers(self) -> Any:
        fused = self.device.type in ("cpu", "cuda")
        optimizer = torch.optim.Adam(self.parameters(), lr=self.scaled_lr, betas=(0.9, 0.99), fused=fused)
        steps = max(1, int(self.trainer.estimated_stepping_batches))

        def factor(step: int) -> float:
            return min((step + 1) / (WARM_UP * steps), (steps - step) / ((1 - WARM_UP) * steps), 1.0)

        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


class Program(LightningCLI):  # type: ignore[misc]  # as above
    """`fit`, then the test images once, then the files."""

    @staticmethod
    def subcommands() -> dict[str, set[str]]:
        return {"fit": LightningCLI.subcommands()["fit"]}

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        asked = self._get(self.config_init, "trainer")
        if self.model.name.startswith("mlp") and "OMP_NUM_THREADS" not in os.environ:
            # A second thread gains 15 % on an idle machine and costs 75 % of the speed on a busy one.
            torch.set_num_threads(1)
        self.precision_reason = "as asked"
        if asked.get("precision") is None:
            kwargs["precision"], self.precision_reason = precision(self.model.name, asked["accelerator"])
        if asked.get("strategy") == "ddp":
            # Rank 0's buffers go out before an evaluation (report.py), so not at each step.
            kwargs["strategy"] = DDPStrategy(forward_sync_buffers=False, gradient_as_bucket_view=True)
        trainer = super().instantiate_trainer(**kwargs)
        self.run_dir = run_directory(f"mnist-{self.model.name}") if trainer.is_global_zero else Path("runs")
        self.report = Report(self.run_dir, self.configuration)
        trainer.callbacks.append(self.report)
        return trainer

    def configuration(self) -> str:
        """The run on one line, with the reason of what was chosen."""
        trainer, data, model = self.trainer, self.datamodule, self.model
        world, threads = trainer.world_size, torch.get_num_threads()
        scaled = f" ({model.lr:g} x sqrt {world})" if world > 1 else ""
        return (
            f"{model.name} on {data.name} from {data.root}  world size {world} ({backend()}, "
            f"{trainer.strategy.root_device.type}, {threads} {'threads' if threads > 1 else 'thread'})  "
            f"batch {world} x {data.batch_size}  lr {model.scaled_lr:.2g}{scaled}  seed {data.seed}  "
            f"precision {trainer.precision}: {self.precision_reason}"
        )

    def after_fit(self) -> None:
        """Test once, then the checkpoint and the result, each whole or not there. All ranks run this."""
        trainer, checkpoint = self.trainer, self.run_dir / "model.ckpt"
        trainer.test(self.model, datamodule=self.datamodule, verbose=False)
        trainer.save_checkpoint(f"{checkpoint}.partial", weights_only=False)
        if trainer.is_global_zero:
            Path(f"{checkpoint}.partial").replace(checkpoint)
            result = self.result()
            write_result(self.run_dir / "result.json", result)
            self._say_goodbye(result)

    def result(self) -> dict[str, Any]:
        """The content of result.json."""
        report, trainer = self.report, self.trainer
        seconds = sum(epoch.seconds for epoch in report.epochs)
        return {
            "world_size": trainer.world_size,
            "backend": backend(),
            "epochs": len(report.epochs),
            "global_batch_size": self.datamodule.batch_size * trainer.world_size,
            "train_seconds": round(seconds, 3),
            "images_per_second": round(report.images / seconds) if seconds else None,
            "train_loss": report.epochs[-1].train_loss if report.epochs else None,
            "test_accuracy": report.test.accuracy if report.test else None,
            "precision": str(trainer.precision),
            "net": self.model.name,
            "data": self.datamodule.name,
            "seed": self.datamodule.seed,
            "versions": versions(),
            "peak_rss_bytes": peak_rss_bytes(),
        }

    def _say_goodbye(self, result: dict[str, Any]) -> None:
        test = self.report.test
        if test:
            print(f"test accuracy {100 * test.accuracy:.2f} % of {test.count:,} images")
        print(
            f"epochs {result['epochs']} in {result['train_seconds']:.1f} s, "
            f"with start and end {time.perf_counter() - STARTED:.1f} s"
        )
        print(f"{self.run_dir}{os.sep}  result.json  metrics.csv  model.ckpt", flush=True)


def precision(net: str, accelerator: object) -> tuple[Literal["32-true", "bf16-mixed"], str]:
    """Lightning's precision for `net` on this machine, and why."""
    if net.startswith("mlp"):
        return "32-true", "bf16 would gain nothing, steps of this net are too short"
    if accelerator != "cpu" and torch.cuda.is_available():
        device, able = "the GPU", torch.cuda.is_bf16_supported()
    else:
        features = torch.cpu.get_capabilities()
        device, able = "the CPU", bool(features.get("avx512_bf16") or features.get("amx_bf16"))
    return ("bf16-mixed", f"{device} has bf16") if able else ("32-true", f"{device} has no bf16")


def main(arguments: list[str]) -> None:
    """Run the program; without a command it is `fit`."""
    if not arguments or arguments[0].startswith("-"):
        arguments = ["fit", *arguments]
    sys.argv[1:] = arguments  # Lightning starts further ranks of a machine from it
    for talkative in ("pytorch_lightning", "lightning_fabric"):  # what they would tell is in our one line
        logging.getLogger(talkative).setLevel(logging.WARNING)
    # NOTE: Lightning 2.6 asks torch 2.15 for LeafSpec, every rank says so; can go with the next Lightning.
    warnings.filterwarnings("ignore", message=r".*isinstance\(treespec, LeafSpec\)")
    try:
        Program(
            Classifier,
            Images,
            save_config_callback=None,
            seed_everything_default=SEED,
            auto_configure_optimizers=False,
            trainer_defaults={
                "max_epochs": EPOCHS,
                "logger": False,
                "enable_checkpointing": False,
                "enable_progress_bar": False,
                "enable_model_summary": False,
                "num_sanity_val_steps": 0,
                "use_distributed_sampler": False,  # data.py gives each rank its share
            },
        )
    except DataError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main(sys.argv[1:])
