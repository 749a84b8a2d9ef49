"""Processes -> ranks of one training: started on this machine, or joined where a launcher started them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from datetime import timedelta

import torch
import torch.distributed as dist
from recipe import ChoiceError

from ranks.exact import is_distributed

MEET_S = 1200.0  # longer than the 900 s that a process waits for another one to fetch the data
END_S = 5.0  # for a rank to end by itself once another has failed
POLL_S = 0.05


def launch(world: int, arguments: list[str]) -> int:
    """Run this program as `world` ranks of this machine; the first exit code that is not 0, else 0.

    When one rank fails, the others, which would wait for it, are ended.
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
        failed = [code for code in codes if code]
        if failed:
            return failed[0] if failed[0] > 0 else 128 - failed[0]
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
