"""The command line of torch_ddp.py -> options that a run can have."""

from __future__ import annotations

import argparse
from pathlib import Path

from data import SPECS
from keep.checkpoints import read
from keep.every import checkpoint_every
from keep.resume import default
from nets import NETS
from recipe import PRECISIONS, check, recipe_of


def options_of(arguments: list[str]) -> argparse.Namespace:
    """Exits with 2 for a line that can't be understood. ChoiceError or CheckpointError otherwise."""
    options = _parser().parse_args(arguments)
    options.weights = read(Path(options.predict)) if options.predict else {}
    made_by = options.weights.get("run", {})
    options.net = options.net or made_by.get("net", "mlp-100")
    options.data = options.data or made_by.get("data", "mnist")
    recipe_of(options.net)
    check({
        "data": ("--data", options.data), "batch_size": ("--batch-size", options.batch_size),
        "epochs": ("--epochs", options.epochs), "lr": ("--lr", options.lr),
        "accumulate": ("--accumulate", options.accumulate), "local_sgd": ("--local-sgd", options.local_sgd),
        "keep": ("--keep-checkpoints", options.keep_checkpoints),
    }, SPECS)  # fmt: skip
    options.every = checkpoint_every(options.checkpoint_every)
    return options


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description="Train a small net on images with plain torch and DistributedDataParallel.",
        epilog="example: python payload/torch_ddp.py --world-size 2 --net mlp-512 --resume auto",
    )
    add = parser.add_argument
    add("--net", help=f"{', '.join(NETS)} (mlp-100)")
    add("--data", help=f"{', '.join(SPECS)} (mnist)")
    add("--root", default="", help="directory with or for the data: HOTRUN_DATA_DIR, else ./data")
    add("--validation", type=int, default=5000, help="training images held out to judge by")
    add("--world-size", "--world_size", type=int, default=1, help="ranks on this machine, without a launcher")
    add("--batch-size", type=int, help="images per rank and backward pass (the net's recipe)")
    add("--accumulate", type=int, default=1, help="backward passes per step")
    add("--local-sgd", type=int, default=0, help="average parameters every K steps, not gradients in each")
    add("--epochs", type=int, help="(the net's recipe)")
    add("--lr", type=float, help="at the recipe's batch; scales with the square root of the global one")
    add("--seed", type=int, default=1)
    add("--precision", choices=PRECISIONS[:2], help="(bf16-mixed where it gains)")
    add("--device", choices=["auto", "cpu", "cuda"], default="auto")
    add(
        "--resume",
        default=default(),
        metavar="auto|PATH|never",
        help="auto: from the newest complete checkpoint",
    )
    add("--checkpoint-every", default="epoch", help="epoch, 2epochs, 30s (at epochs' ends)")
    add("--keep-checkpoints", type=int, default=2, help="how many, the newest")
    add("--low-memory", action="store_true", help="cut batches into parts that fit the memory")
    add("--predict", metavar="FILE", help="predict the test images with these weights, and train nothing")
    return parser
