"""A command line -> options, with TF_CONFIG set and TensorFlow there; or the end, with a sentence.

Comes before TensorFlow's import, which reads the environment.
"""

from __future__ import annotations

import os
import signal
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING

from recipe import ChoiceError

from mwms.cluster import cluster_of
from mwms.peers import is_taken, said
from mwms.watch import dies_with_parent, watched

if TYPE_CHECKING:
    import argparse

    from mwms.cluster import Cluster

PYTHONS = ((3, 11), (3, 13))  # that TensorFlow 2.21 and numpy 2.4 have wheels for
INSTALL = "pip install -r payload/requirements-tensorflow.txt"
# oneDNN sums in another order on another processor. gRPC's servers hang up on who pings more often than every
# 300 s; a dead worker is found by TensorFlow's own heartbeats, in seconds.
SETTINGS = {
    "TF_CPP_MIN_LOG_LEVEL": "2", "TF_ENABLE_ONEDNN_OPTS": "0",
    "TF_GRPC_DEFAULT_OPTIONS": "grpc.keepalive_time_ms=310000,grpc.keepalive_timeout_ms=20000",
}  # fmt: skip


def ready(arguments: list[str]) -> argparse.Namespace:
    """The options, `cluster` among them. Exits with 2 for what no run can have, with 1 without TensorFlow.

    One worker of several is a process of its own, and this one looks after it: it returns in that one only.
    """
    if find_spec("tensorflow") is None:
        sys.exit(without_tensorflow("tensorflow is not installed"))
    from mwms.options import options_of  # which needs numpy, as TensorFlow does

    try:
        options = options_of(arguments)
        options.cluster = cluster_of(os.environ.get("TF_CONFIG", ""), options.workers, options.index)
    except ChoiceError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    cluster = options.cluster
    if options.start:
        dies_with_parent(options.parent)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # who looks after this process has it too
    else:
        set_environment(cluster)
        if is_taken(cluster):
            sys.exit(f"{cluster.own}, the address of this worker: another program listens at that port")
        if cluster.workers:
            sys.exit(watched(cluster, options.wait, [sys.executable, *sys.orig_argv[1:]]))
    try:
        import tensorflow as tf  # noqa: F401  # 4 s; the program imports it once more, for nothing
    except ImportError as error:
        sys.exit(without_tensorflow(" ".join(str(error).split())))
    return options


def set_environment(cluster: Cluster) -> None:
    """What TensorFlow reads when it is imported, and TF_CONFIG, told."""
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    if cluster.workers:
        os.environ.update({"TF_CONFIG": cluster.tf_config})
        said(cluster, f"Setting TF_CONFIG: {cluster.tf_config}")


def without_tensorflow(reason: str, version: tuple[int, int] = sys.version_info[:2]) -> str:
    """Why it can't be imported, and what to do."""
    lowest, highest = (".".join(map(str, each)) for each in PYTHONS)
    this = ".".join(map(str, version))
    fix = INSTALL
    if not PYTHONS[0] <= version <= PYTHONS[1]:
        fix = f"its version 2.21 has wheels for Python {lowest} to {highest}: use one of these"
    return f"TensorFlow can't be imported by Python {this}: {reason}; {fix}"
