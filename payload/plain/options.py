"""The command line of torch_ddp.py -> options that a run can have."""

from __future__ import annotations

import argparse

import flags
from data import SPECS
from nets import NETS


def options_of(arguments: list[str]) -> argparse.Namespace:
    """Exits with 2 for a line that can't be understood. ChoiceError or CheckpointError otherwise."""
    options = _parser().parse_args(arguments)
    flags.take_weights(options)
    flags.complete(options, SPECS, accumulate=("--accumulate", options.accumulate),
                   local_sgd=("--local-sgd", options.local_sgd))  # fmt: skip
    return options


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description="Train a small net on images with plain torch and DistributedDataParallel.",
        epilog="example: python payload/torch_ddp.py --world-size 2 --net mlp-512 --resume auto",
    )
    add = parser.add_argument
    flags.add_net(parser, NETS)
    flags.add_data(parser)
    add("--world-size", "--world_size", type=int, default=1, help="ranks on this machine, without a launcher")
    add("--batch-size", type=int, help="images per rank and backward pass (the net's recipe)")
    add("--accumulate", type=int, default=1, help="backward passes per step")
    add("--local-sgd", type=int, default=0, help="average parameters every K steps, not gradients in each")
    flags.add_schedule(parser)
    flags.add_device(parser)
    flags.add_checkpoints(parser)
    flags.add_low_memory(parser)
    flags.add_predict(parser)
    return parser
