"""Processes -> ranks of one training, started here or joined where a launcher started them; and their end."""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from datetime import timedelta
from typing import TYPE_CHECKING

import torch
import torch.distributed as dist
from recipe import ChoiceError

from ranks.exact import is_distributed

if TYPE_CHECKING:
    from collections.abc import Iterator

MEET_S = 1200.0  # longer than the 900 s that a process waits for another one to fetch the data
END_S = 5.0  # for a rank to end by itself once another has failed
POLL_S = 0.05
UNREAD = 120  # the exit code of a Python that could not write its last output


def launch(world: int, arguments: list[str]) -> int:
    """Run this program as `world` ranks of this machine; the first exit code that is not 0, else 0.

    When one rank fails, the others, which would wait for it, are ended. A signal N that ended it is 128 + N.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the ranks are ended too
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    threads = max(1, (os.cpu_count() or 1) // world)
    ranks = []
    for rank in range(world):
        place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": world, "LOCAL_WORLD_SIZE": world,
                 "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}  # fmt: skip
        given = {"OMP_NUM_THREADS": str(threads), **os.environ}
        ranks.append(
            subprocess.Popen(
                [sys.executable, *arguments], env={**given, **{k: str(v) for k, v in place.items()}}
            )
        )
    try:
        return _first_failure(ranks)
    finally:
        _end(ranks)


def _first_failure(ranks: list[subprocess.Popen[bytes]]) -> int:
    """Wait until all ranks are done, or one has failed."""
    while True:
        codes = [rank.poll() for rank in ranks]
        for number, code in enumerate(codes):
            if code and code < 0:  # it could not say so itself
                print(f"rank {number} was ended by signal {-code}", file=sys.stderr)
            if code:
                return code if code > 0 else 128 - code
        if None not in codes:
            return 0
        time.sleep(POLL_S)


def _end(ranks: list[subprocess.Popen[bytes]]) -> None:
    """Ask each rank to end, then make it."""
    for rank in ranks:
        if rank.poll() is None:
            rank.terminate()
    deadline = time.monotonic() + END_S
    for rank in ranks:
        try:
            rank.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            rank.kill()
            rank.wait()


def join(device: str) -> torch.device:
    """Meet the other ranks, if a launcher's variables say that there are any: a barrier. This rank's device.

    `device` is auto, cpu or cuda.
    """
    local, gpus = int(os.environ.get("LOCAL_WORLD_SIZE", "1")), torch.cuda.device_count()
    if device == "cuda" and local > gpus:
        raise ChoiceError(f"--device cuda: {local} ranks on this machine, but {gpus} GPUs")
    cuda = device != "cpu" and 0 < local <= gpus
    mine = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0"))) if cuda else torch.device("cpu")
    if cuda:
        torch.cuda.set_device(mine)
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        dist.init_process_group("nccl" if cuda else "gloo", timeout=timedelta(seconds=MEET_S))
    return mine


@contextlib.contextmanager
def leaving() -> Iterator[None]:
    """End the process with the exit code of what is done inside, at once, where it was a rank of several.

    Behind the last collective no rank needs another one, so they may end in any order.

    NOTE: When a collective is done, a thread of gloo still has its tensors, and asks for the interpreter to
    let them go. If the interpreter is just ending, the thread aborts the process: SIGABRT after a good
    training, likelier the busier the machine (pytorch issue 190489). destroy_process_group does not end that
    thread while anything has the group; a DistributedDataParallel does, and so do the defaults of
    torch.distributed.nn's functions. Can go when torch ends its threads before the interpreter.
    """
    try:
        yield
        code: object = None
    except SystemExit as end:
        code = end.code
        if not is_distributed():
            raise
    if is_distributed():
        _end_now(code)


def _end_now(code: object) -> None:
    """Do what Python does at its end, but for taking the interpreter apart. `code` is SystemExit's."""
    if isinstance(code, str):
        print(code, file=sys.stderr)
    number = code if isinstance(code, int) else int(code is not None)
    if number == 0:  # after a failure there may be a collective that never ends
        dist.destroy_process_group()
    atexit._run_exitfuncs()  # noqa: SLF001  # there is no public way
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:  # nobody reads it
            number = number or UNREAD
    os._exit(number & 0xFF)


def rank_of() -> int:
    """This process's number, 0 to `world_of` - 1."""
    return dist.get_rank() if is_distributed() else 0


def world_of() -> int:
    """How many processes train as one."""
    return dist.get_world_size() if is_distributed() else 1


def ranks_on_this_node(otherwise: int = 1) -> int:
    """How many ranks share this machine: the launcher's word, `otherwise` where none gave it."""
    given = os.environ.get("LOCAL_WORLD_SIZE", "")
    return int(given) if given.isdigit() else otherwise
