"""The command line of tensorflow_mwms.py -> options that a run can have. No TensorFlow."""

from __future__ import annotations

import argparse

import flags
from fetch import NAMES
from recipe import ChoiceError, unknown

NET = "dense-128"
WAIT_S = 120.0  # machines of one cluster are ready within seconds of each other; a missing one is found soon


def options_of(arguments: list[str]) -> argparse.Namespace:
    """Exits with 2 for a line that can't be understood. ChoiceError for values that no run can have."""
    options = _parser().parse_args(arguments)
    if options.net != NET:
        raise ChoiceError(f"--net: {unknown('net', options.net, [NET])}")
    options.data = options.data or flags.DATA
    flags.complete(options, NAMES)
    if not 1 <= options.wait < 1e6:
        raise ChoiceError(
            f"--wait {options.wait:g}: seconds to wait for the other workers, 1 or more are needed"
        )
    return options


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description="Train a small net on images with TensorFlow's MultiWorkerMirroredStrategy.",
        epilog="example: python payload/tensorflow_mwms.py --workers 10.8.0.10:7000,10.8.0.11:7000 --index 0",
    )
    add = parser.add_argument
    add("--workers", metavar="HOST:PORT,…", help="all workers, the same on each of them (TF_CONFIG)")
    add("--index", type=int, help="which of them this is, from 0 (TF_CONFIG)")
    add("--wait", type=float, default=WAIT_S, metavar="SECONDS", help="for the other workers (%(default)g)")
    add("--net", default=NET, help=f"{NET}, the only one")
    flags.add_data(parser)
    add("--batch-size", type=int, help="images per replica and step (the net's recipe)")
    flags.add_schedule(parser)
    add("--device", choices=["auto", "cpu"], default="auto", help="cpu: leave GPUs alone")
    flags.add_checkpoints(parser, newest="newest checkpoint that all workers hold")
    flags.add_predict(parser)
    for own in ("--start", "--met", "--parent"):  # this program's own, of mwms.watch
        add(own, type=int, default=0, help=argparse.SUPPRESS)
    return parser
