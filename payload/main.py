r"""Train a small net on images with Lightning, on one machine or on many: what hotrun tries itself with.

    python payload/main.py                                                 this machine, the default net
    python payload/main.py --model.net lenet --data.name fashion-mnist     another net, other images
    python payload/main.py --trainer.accelerator cpu --trainer.strategy ddp --trainer.devices 2
    python payload/main.py --resume auto                                   goes on where a killed run was
    python payload/main.py predict --ckpt_path runs/mnist-mlp-100-1/model.ckpt

On several machines a launcher sets torchrun's variables and starts on each of them

    python main.py fit --trainer.accelerator cpu --trainer.strategy ddp \
        --trainer.num_nodes N --trainer.devices 1

What it reaches, and how fast: docs/payload.md. What it reads and writes: docs/payload-contract.md.
"""

# ruff: noqa: E402 -- the clock starts before the imports, which take longer than the training

from __future__ import annotations

import time

STARTED = time.perf_counter()

import os
import signal

signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C while modules are imported: no traceback

import logging
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lit import lean  # noqa: F401  # isort: skip  # before Lightning
import torch
from data import SPECS
from flags import default_resume
from keep.checkpoints import read
from keep.every import checkpoint_every
from keep.weights import load_weights
from lit.classifier import Classifier
from lit.images import Images
from lit.start import Start
from pytorch_lightning.cli import LightningArgumentParser, LightningCLI
from pytorch_lightning.strategies import DDPStrategy
from ranks.exact import from_rank_0
from ranks.launch import leaving
from recipe import ChoiceError, check, one_thread_if_small, precision_of, recipe_of
from show.ending import exit_codes
from show.outcome import finish, write_predictions
from show.report import run_directory
from show.result import Training

if TYPE_CHECKING:
    from pytorch_lightning import Trainer

SEED = 1
ALIASES = {"32": "32-true", "16": "16-mixed", "bf16": "bf16-mixed"}  # of --trainer.precision


class Program(LightningCLI):  # type: ignore[misc]  # Lightning has no types
    """`fit`: train, then the test images once. `predict`: only these, with the weights of --ckpt_path."""

    reasons: dict[str, str]
    weights: dict[str, Any] | None = None
    """Of --ckpt_path."""

    @staticmethod
    def subcommands() -> dict[str, set[str]]:
        """Those of Lightning that make sense here."""
        every_command = LightningCLI.subcommands()
        return {name: every_command[name] for name in ("fit", "predict")}

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Ours beside --model, --data and --trainer."""
        parser.link_arguments("data.name", "model.data")
        add = parser.add_argument
        add("--resume", default=default_resume(), metavar="auto|PATH|never",
            help="auto: go on from the newest complete checkpoint, if there is one")  # fmt: skip
        add(
            "--checkpoint-every",
            default="epoch",
            help="epoch, 2epochs, 30s, 10min: how often, and at the end",
        )
        add("--keep-checkpoints", type=int, default=2, metavar="K", help="how many, the newest")
        add("--local-sgd", type=int, default=0, metavar="K",
            help="average parameters every K steps, in place of gradients in every one")  # fmt: skip
        add(
            "--low-memory",
            action="store_true",
            help="cut batches into parts that fit the memory",
        )

    def _parse_ckpt_path(self) -> None:
        """Read --ckpt_path, which also says of which net and data it is, where `predict` was given one."""
        asked = self.config[self.config.subcommand]
        if self.config.subcommand != "predict" or not asked.ckpt_path:
            return
        self.weights = read(Path(asked.ckpt_path))
        made_by = self.weights.get("run", {})
        if not any(word.startswith("--model.net") for word in sys.argv):
            asked.model.net = made_by.get("net", asked.model.net)
        if not any(word.startswith("--data.name") for word in sys.argv):
            asked.data.name = asked.model.data = made_by.get("data", asked.data.name)
        asked.ckpt_path = None  # loaded below

    def before_predict(self) -> None:
        """Without --ckpt_path there is nothing to predict with."""
        if not self.weights:
            raise ChoiceError("predict needs --ckpt_path FILE, such as runs/mnist-mlp-100-1/model.ckpt")
        load_weights(self.model.net, self.weights)

    def before_instantiate_classes(self) -> None:
        """Fill in what the net's recipe and this machine decide; ChoiceError for what no run can have."""
        asked = self.config[self.subcommand]
        recipe = recipe_of(asked.model.net)
        self.every = checkpoint_every(asked.checkpoint_every)
        self.reasons = {}
        for key, place, value in (("batch_size", asked.data, recipe.batch_size),
                                  ("max_epochs", asked.trainer, recipe.epochs)):  # fmt: skip
            if place[key] is None:
                place[key] = value
        if asked.trainer.accelerator == "auto" and not torch.cuda.is_available():
            asked.trainer.accelerator = "cpu"  # Apple's GPUs have no float64, which sums are made of
        asked.trainer.precision = ALIASES.get(str(asked.trainer.precision), asked.trainer.precision)
        check(flags_of(asked), SPECS)
        if asked.trainer.max_steps != -1:
            raise ChoiceError("--trainer.max_steps: a training has epochs here; --trainer.max_epochs and "
                              "--trainer.limit_train_batches shorten it")  # fmt: skip
        device = "cuda" if asked.trainer.accelerator != "cpu" and torch.cuda.is_available() else "cpu"
        if asked.data.validation == 0:
            asked.trainer.limit_val_batches = 0
        if asked.trainer.precision is None:
            asked.trainer.precision, self.reasons["precision"] = precision_of(recipe, device)
        self.reasons |= one_thread_if_small(recipe, device)

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Lightning's trainer, with what it does not need to do left out."""
        trainer = super().instantiate_trainer(**kwargs)
        if isinstance(trainer.strategy, DDPStrategy):  # also where Lightning chose it by itself
            # Rank 0's buffers go out before an evaluation (ranks/exact.py), so not in each step.
            trainer.strategy._ddp_kwargs.update(forward_sync_buffers=False, gradient_as_bucket_view=True)  # noqa: SLF001
        # NOTE: Lightning 2.6 makes all ranks wait for each other in each step to tell them of a SIGTERM (its
        # issue 21487); a launcher stops all ranks by itself. Can go when its pull request 21640 is in.
        trainer.fit_loop.epoch_loop._broadcast_sigterm_tensor = lambda: None  # noqa: SLF001
        self.start = Start(self.config[self.subcommand], self.every, self.reasons, STARTED)
        trainer.callbacks.insert(0, self.start)
        return trainer

    def after_fit(self) -> None:
        """The test images once, then the files. All ranks run this."""
        trainer, start = self.trainer, self.start
        report = start.report
        training = Training(steps=trainer.global_step, images=report.images,
                            resumed_from=start.checkpoints.resumed_from,
                            start_seconds=report.start_seconds)  # fmt: skip
        finish(start.run, training, self.model.net, self.datamodule.dataset, report.journal, start.run_dir,
               device=trainer.strategy.root_device, rank=trainer.global_rank, began=STARTED)  # fmt: skip

    def after_predict(self) -> None:
        """predictions.csv from the weights of --ckpt_path. All ranks run this."""
        trainer = self.trainer
        name = f"{self.datamodule.name}-{self.model.name}-predict"
        write_predictions(from_rank_0(lambda: run_directory(name)), self.model.net, self.datamodule.dataset,
                          device=trainer.strategy.root_device, rank=trainer.global_rank,
                          world=trainer.world_size)  # fmt: skip


def flags_of(asked: Any) -> dict[str, tuple[str, Any]]:
    """What `recipe.check` looks at: name -> flag, value."""
    data, trainer, model = asked.data, asked.trainer, asked.model
    return {
        "data": ("--data.name", data.name), "batch_size": ("--data.batch_size", data.batch_size),
        "epochs": ("--trainer.max_epochs", trainer.max_epochs), "lr": ("--model.lr", model.lr),
        "accumulate": ("--trainer.accumulate_grad_batches", trainer.accumulate_grad_batches),
        "weight_decay": ("--model.weight_decay", model.weight_decay),
        "precision": ("--trainer.precision", trainer.precision),
        "local_sgd": ("--local-sgd", asked.local_sgd), "keep": ("--keep-checkpoints", asked.keep_checkpoints),
    }  # fmt: skip


def main(arguments: list[str]) -> None:
    """Run the program; without a command it is `fit`."""
    if not arguments or arguments[0].startswith("-"):
        arguments = ["fit", *arguments]
    signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.argv[1:] = arguments  # Lightning starts further ranks of a machine from it
    for talkative in ("pytorch_lightning", "lightning_fabric"):  # what they would tell is in our own lines
        logging.getLogger(talkative).setLevel(logging.WARNING)
    # NOTE: Lightning 2.6 asks torch 2.15 for LeafSpec, every rank says so; can go with the next Lightning.
    warnings.filterwarnings("ignore", message=r".*isinstance\(treespec, LeafSpec\)")
    if "SLURM_JOB_ID" not in os.environ:  # a computer may have Slurm's programs and be no cluster
        warnings.filterwarnings("ignore", message=r"The `srun` command is available")
    with exit_codes():
        Program(
            Classifier,
            Images,
            save_config_callback=None,
            seed_everything_default=SEED,
            auto_configure_optimizers=False,
            trainer_defaults={
                "logger": False,
                "enable_checkpointing": False,
                "enable_progress_bar": False,  # ours costs nothing per step (lit/callbacks.py)
                "enable_model_summary": False,
                "num_sanity_val_steps": 0,
                "use_distributed_sampler": False,  # lit/images.py gives each rank its share
            },
        )


if __name__ == "__main__":
    with leaving():
        main(sys.argv[1:])
