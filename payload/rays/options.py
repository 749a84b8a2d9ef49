"""The command line of ray_train.py, and what a launcher says -> options that a run can have."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import flags
from data import SPECS
from keep.every import every
from nets import NETS
from recipe import ChoiceError


def options_of(arguments: list[str]) -> argparse.Namespace:
    """Exits with 2 for a line that can't be understood. ChoiceError or CheckpointError otherwise."""
    options = _parser().parse_args(arguments)
    options.workers = _workers() if options.workers is None else options.workers
    flags.take_weights(options)
    flags.complete(options, SPECS)
    for flag, value, least in (("--workers", options.workers, 1), ("--max-failures", options.max_failures, 0),
                               ("--cpus-per-worker", options.cpus_per_worker, 1)):  # fmt: skip
        if value < least:
            raise ChoiceError(f"{flag} {value}: {least} or more")
    options.wait_s = _seconds(options.wait)
    if options.resume not in ("auto", "never", ""):
        options.resume = str(Path(options.resume).expanduser().absolute())  # workers start elsewhere
    return options


def _workers() -> int:
    """What a launcher wants, 1 without one. Raises ChoiceError."""
    wanted = os.environ.get("WORLD_SIZE") or "1"
    if not wanted.isdecimal():
        raise ChoiceError(f"WORLD_SIZE {wanted}: a number of workers is needed there, or --workers")
    return int(wanted)


def _seconds(text: str) -> float:
    """Of --wait. Raises ChoiceError."""
    try:
        interval = every(text)
    except ValueError:
        interval = None
    if interval is None or interval.epochs:
        raise ChoiceError(f"--wait {text}: 90, 120s, 10min, 1h are possible")
    return interval.seconds


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description="Train a small net on images with Ray Train and Ray Data.",
        epilog="example: python payload/ray_train.py --workers 2 --net mlp-512 --resume auto",
    )
    add = parser.add_argument
    add("--workers", type=int, help="train workers (WORLD_SIZE, else 1)")
    add("--wait", default="120s", help="how long to wait for machines that have room for them (120s)")
    add("--max-failures", type=int, default=0, help="how often Ray may begin again by itself (0)")
    add("--cpus-per-worker", type=int, default=1, help="(1)")
    add("--ray-logs", action="store_true", help="show what Ray and its processes say")
    flags.add_net(parser, NETS)
    flags.add_data(parser)
    add("--batch-size", type=int, help="images per worker and step (the net's recipe)")
    flags.add_schedule(parser)
    flags.add_device(parser)
    flags.add_checkpoints(parser)
    flags.add_low_memory(parser)
    flags.add_predict(parser)
    return parser
