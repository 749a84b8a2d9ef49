"""A worker, and the process that looks after it: who is there, a deadline, signals, further starts.

MultiWorkerMirroredStrategy's constructor waits for ever for a worker that never comes. It holds Python's
lock meanwhile, so no thread can end it and no signal's handler runs; and a process makes one only.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from mwms.peers import answers, missing, said

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType

    from mwms.cluster import Cluster

STARTS = 3
AGAIN = 75  # exit code of a worker that lost a peer while all met: EX_TEMPFAIL of sysexits.h
AGAIN_S = 5.0  # between two starts: the peers start again too
LOOK_S = 0.25
PR_SET_PDEATHSIG = 1  # linux/prctl.h


def watched(cluster: Cluster, wait_s: float, command: Sequence[str]) -> int:
    """Run `command` with `--start N --met FD` behind it, anew where the meeting failed; its exit code."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _leave)
    for start in range(1, STARTS + 1):
        code = _started(cluster, wait_s, [*command, "--start", str(start)])
        if code != AGAIN:
            return code
        if start < STARTS:
            time.sleep(AGAIN_S)
    return 1


def dies_with_parent(parent: int) -> None:
    """Let the system end this process when the one that looks after it has ended, in whatever way. Linux."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)


def _started(cluster: Cluster, wait_s: float, command: list[str]) -> int:
    """One start: the exit code, 128 + N for signal N."""
    reader, writer = os.pipe()
    words = ["--met", str(writer), "--parent", str(os.getpid())]
    worker = subprocess.Popen([*command, *words], pass_fds=(writer,))
    os.close(writer)
    try:
        if not _meets(cluster, wait_s, worker, reader):
            print(missing(cluster, wait_s), file=sys.stderr, flush=True)
            return 1
        code = worker.wait()
    finally:
        os.close(reader)
        worker.kill()
        worker.wait()
    if code < 0:  # it could not say so itself
        print(f"{cluster.called(cluster.index)} was ended by signal {-code}", file=sys.stderr, flush=True)
    return code if code >= 0 else 128 - code


def _meets(cluster: Cluster, wait_s: float, worker: subprocess.Popen[bytes], reader: int) -> bool:
    """Say who is there until all have met, or the worker has ended; False when `wait_s` have passed.

    They count from the moment that this worker listens: TensorFlow's import takes 4 s, or a minute.
    """
    untold = dict(cluster.peers)
    if cluster.index:  # not everybody of everybody
        untold = {0: cluster.workers[0]}
    deadline = 0.0
    while True:
        is_over = bool(select.select([reader], [], [], LOOK_S)[0])
        have_met = is_over and os.read(reader, 1) != b""
        for index in list(untold):
            if have_met or answers(untold[index]):
                said(cluster, f"Connected to {untold.pop(index)}")
        if is_over or worker.poll() is not None:
            return True
        if not deadline and answers(f"127.0.0.1:{cluster.own.rpartition(':')[2]}"):
            deadline = time.monotonic() + wait_s
        if deadline and time.monotonic() > deadline:
            return False


def _leave(number: int, _frame: FrameType | None) -> None:
    """Quietly; the worker is ended on the way."""
    sys.exit(128 + number)
