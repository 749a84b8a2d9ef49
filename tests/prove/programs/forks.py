"""Two ranks that fork out of one Python, with workers for their data that are forked and spawned again."""

import os
import socket

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader


def rank(number: int, port: str) -> None:
    """Train on what two kinds of workers bring."""
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=port, GLOO_SOCKET_IFNAME="lo")
    dist.init_process_group("gloo", rank=number, world_size=2)
    model = DistributedDataParallel(torch.nn.Linear(1, 1))
    for context in ("fork", "spawn"):
        for value in DataLoader(list(range(4)), num_workers=1, multiprocessing_context=context):
            model(value[:, None].float()).sum().backward()
    dist.destroy_process_group()


if __name__ == "__main__":
    with socket.create_server(("127.0.0.1", 0)) as free:
        chosen = str(free.getsockname()[1])
    ranks = [mp.get_context("fork").Process(target=rank, args=(number, chosen)) for number in range(2)]
    for process in ranks:
        process.start()
    for process in ranks:
        process.join()
    raise SystemExit(max(process.exitcode for process in ranks))
