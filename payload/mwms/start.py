"""A cluster -> the strategy that trains on it, or an end with a sentence; and how to end beside C++."""

from __future__ import annotations

import os
import re
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import tensorflow as tf
from recipe import SHARED

from mwms.peers import leave, unanswered
from mwms.watch import AGAIN, AGAIN_S, STARTS

if TYPE_CHECKING:
    from types import FrameType

    from mwms.cluster import Cluster

NVIDIA = Path("/dev/nvidia0")
WITH_CUDA = "pip install 'tensorflow[and-cuda]==2.21.0'"
_TASK = r"/job:worker/(?:replica:\d+/)?task:(\d+)"
# Whose heartbeats stopped, and else whom gRPC does not reach.
NAMED = (rf"^{_TASK}$|Task {_TASK} heartbeat", rf"remote target {_TASK} ")
MEETING = re.compile(r"\b(UNAVAILABLE|DEADLINE.EXCEEDED)\b")  # in the text of an InternalError
LOST = (  # what a collective that was cut short ends with
    tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.InternalError, tf.errors.CancelledError,
    tf.errors.DeadlineExceededError, tf.errors.FailedPreconditionError, tf.errors.UnknownError,
)  # fmt: skip
HEADS = ("", "Graph execution error:")  # of a text of TensorFlow's, which tell nothing


class StartError(RuntimeError):
    """A peer or a port is not to be had; the message is for the user."""


def devices_of(device: str, *, is_small: bool) -> tuple[str, dict[str, str]]:
    """`nccl` or `ring`, and why; GPUs are hidden where that was asked for. Before the strategy is made."""
    gpus = tf.config.list_physical_devices("GPU")
    if gpus and device != "cpu":
        count = f"{len(gpus)} GPU{'s' * (len(gpus) > 1)}"
        return "nccl", {"nccl": f"{count} of this machine train, and NCCL adds up between GPUs"}
    tf.config.set_visible_devices([], "GPU")
    why = "no GPU is here; a ring of gRPC adds up between CPUs"
    if NVIDIA.exists():
        why = "this machine's GPU is not seen by this TensorFlow: " + WITH_CUDA
    reasons = {"ring": "--device cpu" if gpus else why}
    if is_small:  # whatever TF_NUM_INTRAOP_THREADS says: two threads add up in another order than one
        tf.config.threading.set_intra_op_parallelism_threads(1)
        reasons["1 thread"] = "the same bits on machines with other numbers of cores; " + SHARED
    return "ring", reasons


def strategy_of(cluster: Cluster, backend: str, *, start: int, met: int) -> Any:
    """The MultiWorkerMirroredStrategy: a barrier. Who looks after this process reads `met` then.

    Where a peer was lost meanwhile, the process ends, and is started again.
    """
    implementation = getattr(tf.distribute.experimental.CommunicationImplementation, backend.upper())
    options = tf.distribute.experimental.CommunicationOptions(implementation=implementation)
    try:
        strategy = tf.distribute.MultiWorkerMirroredStrategy(communication_options=options)
    except tf.errors.OpError as error:
        if not is_of_the_meeting(error):
            raise StartError(f"{cluster.own}: the strategy can't be made: {first_line(error)}") from error
        fail(cluster, error, start)
    if met:
        os.write(met, b"m")
    return strategy


def is_of_the_meeting(error: tf.errors.OpError) -> bool:
    """Whether a peer was not there, or was lost meanwhile; TensorFlow wraps what gRPC told in others."""
    is_plain = isinstance(error, (tf.errors.UnavailableError, tf.errors.DeadlineExceededError))
    return is_plain or bool(MEETING.search(str(error)))


def fail(cluster: Cluster, error: Exception, start: int) -> NoReturn:
    """End this start: TensorFlow makes one strategy in a process, so another process is needed."""
    if start >= STARTS:
        leave(AGAIN, f"the workers did not meet in {STARTS} starts: {gone(cluster, error)}")
    leave(AGAIN, f"start {start} of {STARTS} failed: {gone(cluster, error)}; again in {AGAIN_S:g} s")


def lost(cluster: Cluster, error: Exception) -> str:
    """Which worker a training lost, and how to go on: TensorFlow can't without it."""
    how = "TensorFlow can't go on without it; all workers started again with --resume auto go on together"
    return f"{gone(cluster, error)}\n{how}"


def gone(cluster: Cluster, error: Exception) -> str:
    """`worker 1 (10.8.0.11:7001) is gone: no heartbeat of it comes`."""
    told = (_indexes(pattern, error) for pattern in NAMED)
    silent = next((sorted(named) for each in told if (named := each & set(cluster.peers))), None)
    silent = silent or unanswered(cluster)
    names = " and ".join(cluster.called(index) for index in silent) or "another worker"
    return f"{names} {'are' if len(silent) > 1 else 'is'} gone: {first_line(error)}"


def _indexes(pattern: str, error: Exception) -> set[int]:
    found = re.finditer(pattern, str(error), re.MULTILINE)
    return {int(index) for match in found for index in match.groups() if index}


def first_line(error: Exception) -> str:
    """Of a long text of TensorFlow's, what a person can use."""
    if re.search("stopped sending heartbeats|heartbeat timeout", str(error)):
        return "no heartbeat of it comes"
    lines = [line.strip() for line in str(error).splitlines() if line.strip() not in HEADS]
    text = next(iter(lines), type(error).__name__)
    return text if len(text) <= 200 else text[:200] + "…"


def end_quietly() -> None:
    """Let SIGINT and SIGTERM end a worker that trains by itself, at once. In the main thread.

    Python's handlers run between two of its own instructions only; the byte of the wakeup descriptor comes
    at once, and a thread reads it.
    """
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _nothing)

    def read() -> None:
        leave(128 + os.read(reader, 1)[0])

    threading.Thread(target=read, daemon=True).start()


def _nothing(_number: int, _frame: FrameType | None) -> None:
    """The byte does it."""
