"""The other workers' ports -> who answers, who does not. No TensorFlow."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import TextIO

    from mwms.cluster import Cluster

ANSWER_S = 2.0  # for a port to answer: a connection within one cloud takes milliseconds


def missing(cluster: Cluster, wait_s: float) -> str:
    """Who does not answer at the deadline, and what to do."""
    silent = unanswered(cluster)
    if not silent:
        return (
            f"all {cluster.size} workers answer, but did not get together within {wait_s:g} s: each must be "
            "started with the same list of workers and another index"
        )
    names = " and ".join(cluster.called(index) for index in silent)
    return (
        f"{names} did not answer within {wait_s:g} s: the program must run there too, with the same list of "
        f"workers, and that port must be open to this machine; --wait SECONDS waits longer"
    )


def unanswered(cluster: Cluster) -> list[int]:
    """The workers whose port does not answer now."""
    return [index for index, worker in cluster.peers.items() if not answers(worker)]


def answers(worker: str) -> bool:
    """Whether somebody listens at HOST:PORT."""
    host, _, port = worker.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=ANSWER_S):
            return True
    except OSError:
        return False


def is_taken(cluster: Cluster) -> bool:
    """Whether another program listens at this worker's port, on whatever address of this machine."""
    if not cluster.workers:
        return False
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("", int(cluster.own.rpartition(":")[2])))
        except OSError:
            return True
    return False


def said(cluster: Cluster, text: str) -> None:
    """`RANK 1 on HOST: …`, at once."""
    print(f"RANK {cluster.index} on {socket.gethostname()}: {text}", flush=True)


def leave(code: int, text: str = "") -> NoReturn:
    """End the process at once, from any thread: C++ that waits for a peer can't be asked to stop."""
    if text:
        print(text, file=sys.stderr)
    flush((sys.stdout, sys.stderr))
    os._exit(code)


def flush(streams: Iterable[TextIO]) -> None:
    """Write out what is held back, where somebody reads it."""
    for stream in streams:
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
