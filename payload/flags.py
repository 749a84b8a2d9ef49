"""Flags that torch_ddp.py, ray_train.py and tensorflow_mwms.py have in common, and what they come to.

`--help` shows them in the order in which a program adds them. Never imports torch by itself.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import recipe
from fetch import NAMES
from keep.checkpoints import read
from keep.every import checkpoint_every

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Iterable

NET, DATA = "mlp-100", "mnist"  # without a flag, and without weights that were made for others


def add_net(parser: ArgumentParser, nets: Iterable[str]) -> None:
    """--net."""
    parser.add_argument("--net", help=f"{', '.join(nets)} ({NET})")


def add_data(parser: ArgumentParser) -> None:
    """--data, --root and --validation."""
    add = parser.add_argument
    add("--data", help=f"{', '.join(NAMES)} ({DATA})")
    add("--root", default="", help="directory with or for the data: HOTRUN_DATA_DIR, else ./data")
    add("--validation", type=int, default=5000, help="training images held out to judge by")


def add_schedule(parser: ArgumentParser) -> None:
    """--epochs, --lr and --seed."""
    add = parser.add_argument
    add("--epochs", type=int, help="(the net's recipe)")
    add("--lr", type=float, help="at the recipe's batch; scales with the square root of the global one")
    add("--seed", type=int, default=1)


def add_device(parser: ArgumentParser) -> None:
    """--precision and --device, as torch has them."""
    add = parser.add_argument
    add("--precision", choices=recipe.PRECISIONS[:2], help="(bf16-mixed where it gains)")
    add("--device", choices=["auto", "cpu", "cuda"], default="auto")


def add_checkpoints(parser: ArgumentParser, newest: str = "newest complete checkpoint") -> None:
    """--resume, --checkpoint-every and --keep-checkpoints; `newest` is what is gone on from."""
    add = parser.add_argument
    add("--resume", default=default_resume(), metavar="auto|PATH|never", help=f"auto: from the {newest}")
    add("--checkpoint-every", default="epoch", help="epoch, 2epochs, 30s (at epochs' ends)")
    add("--keep-checkpoints", type=int, default=2, help="how many, the newest")


def add_low_memory(parser: ArgumentParser) -> None:
    """--low-memory."""
    parser.add_argument(
        "--low-memory", action="store_true", help="cut batches into parts that fit the memory"
    )


def add_predict(parser: ArgumentParser) -> None:
    """--predict."""
    parser.add_argument(
        "--predict", metavar="FILE", help="predict the test images with these weights, and train nothing"
    )


def default_resume() -> str:
    """What `--resume` is when it is not given: `auto` where a launcher names a checkpoint, else `never`."""
    return "auto" if os.environ.get("HOTRUN_RESUME_FROM") else "never"


def take_weights(options: Namespace) -> None:
    """Add `weights`, the content of --predict's file; its net and data are meant where no others are given.

    Raises CheckpointError.
    """
    options.weights = read(Path(options.predict)) if options.predict else {}
    made_by = options.weights.get("run", {})
    options.net = options.net or made_by.get("net", NET)
    options.data = options.data or made_by.get("data", DATA)


def complete(options: Namespace, datasets: Iterable[str], **more: tuple[str, float]) -> None:
    """Fill in the net's recipe, and add `every`, when a checkpoint is due. Raises ChoiceError.

    `more` are a program's own numbers, as recipe.check takes them.
    """
    usual = recipe.recipe_of(options.net)
    recipe.check({
        "data": ("--data", options.data), "batch_size": ("--batch-size", options.batch_size),
        "epochs": ("--epochs", options.epochs), "lr": ("--lr", options.lr), **more,
        "keep": ("--keep-checkpoints", options.keep_checkpoints),
    }, datasets)  # fmt: skip
    for name in ("batch_size", "epochs", "lr"):
        if getattr(options, name) is None:
            setattr(options, name, getattr(usual, name))
    options.every = checkpoint_every(options.checkpoint_every)
