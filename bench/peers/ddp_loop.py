"""A DataLoader with DistributedSampler and DistributedDataParallel, as the PyTorch tutorials write it.

Upstream, whose lines this follows:
  https://docs.pytorch.org/tutorials/intermediate/ddp_tutorial.html      setup, spawn, DDP, cleanup; gloo
  https://docs.pytorch.org/tutorials/beginner/ddp_series_multigpu.html   DistributedSampler, set_epoch

Deviations, each because the comparison needs it:
  net         784-512-256-128-10, ReLU, dropout 0.2, Adam 1e-3, batch 64 per rank, as courses have it
  data        torchvision's MNIST with ToTensor and Normalize; read from --root, never downloaded
  device      CPU, so no device_ids; --threads for each rank
  port        a free one instead of 12355, so that two runs never meet
  measuring   the clock, the test accuracy after each epoch (on rank 0, off the clock), the peak of the memory

    python bench/peers/ddp_loop.py --root DIR --world 2 --threads 1
"""

# ruff: noqa: INP001 -- a script, as payload/ has them; imports its neighbours by their short names

from __future__ import annotations

import gauge  # type: ignore[import-not-found]  # isort: skip  # its clock starts before the imports

import os
import socket
import sys
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist
from torch import nn, optim
from torch.multiprocessing.spawn import spawn
from torch.nn.parallel import DistributedDataParallel as DDP  # noqa: N817 -- as upstream writes it
from torch.utils.data import DataLoader
from torch.utils.data.distributed import DistributedSampler
from torchvision import datasets, transforms

if TYPE_CHECKING:
    import argparse


class MLP(nn.Module):
    """784-512-256-128-10 with ReLU and dropout 0.2: N x 1 x 28 x 28 to N x 10."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Flatten(),
            nn.Linear(784, 512), nn.ReLU(), nn.Dropout(0.2),
            nn.Linear(512, 256), nn.ReLU(), nn.Dropout(0.2),
            nn.Linear(256, 128), nn.ReLU(), nn.Dropout(0.2),
            nn.Linear(128, 10),
        )  # fmt: skip

    def forward(self, images: torch.Tensor) -> Any:
        """Logits."""
        return self.layers(images)


def mnist(root: str, *, is_train: bool) -> Any:
    """torchvision's MNIST as the tutorials normalise it."""
    transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize((gauge.MEAN,), (gauge.STD,))])
    return datasets.MNIST(root, train=is_train, download=False, transform=transform)


def accuracy(model: nn.Module, loader: Any) -> float:
    """Of all images of a loader, 0 to 1."""
    model.eval()
    correct = count = 0
    with torch.no_grad():
        for images, labels in loader:
            correct += (model(images).argmax(1) == labels).sum().item()
            count += len(labels)
    return correct / count


def setup(rank: int, world_size: int, port: int) -> None:
    """Join the process group."""
    os.environ["MASTER_ADDR"] = "localhost"
    os.environ["MASTER_PORT"] = str(port)
    dist.init_process_group("gloo", rank=rank, world_size=world_size)


def train(rank: int, options: argparse.Namespace, port: int) -> None:
    """One rank, from the process group to the end. All ranks run this."""
    if options.threads:
        torch.set_num_threads(options.threads)
    setup(rank, options.world, port)
    torch.manual_seed(options.seed)
    dataset = mnist(options.root, is_train=True)
    sampler: Any = DistributedSampler(
        dataset, num_replicas=options.world, rank=rank, shuffle=True, seed=options.seed
    )
    loader: Any = DataLoader(dataset, batch_size=options.batch, sampler=sampler, num_workers=options.workers)
    test_loader: Any = DataLoader(mnist(options.root, is_train=False), batch_size=1000)
    model = DDP(MLP())
    loss_fn = nn.CrossEntropyLoss()
    optimizer = optim.Adam(model.parameters(), lr=1e-3)
    clock = gauge.Clock(options.started_s)
    for epoch in range(options.epochs):
        sampler.set_epoch(epoch)
        model.train()  # type: ignore[no-untyped-call]
        dist.barrier()
        clock.begin()
        for step, (images, labels) in enumerate(loader, 1):
            optimizer.zero_grad()
            loss = loss_fn(model(images), labels)
            loss.backward()
            optimizer.step()
            clock.step(len(labels))
            if step == options.steps:
                break
        dist.barrier()
        clock.end()
        if rank == 0:
            clock.point(epoch + 1, accuracy(model.module, test_loader), is_last=epoch + 1 == options.epochs)
    peak = torch.tensor(gauge.peak_rss_bytes())
    dist.all_reduce(peak, op=dist.ReduceOp.MAX)
    if rank == 0:
        gauge.say(gauge.result(options, clock, int(peak), precision="32-true"))
    dist.destroy_process_group()
    sys.stdout.flush()
    os._exit(0)  # NOTE: the interpreter's end can meet gloo's thread and abort (pytorch issue 190489)


def main() -> None:
    """Spawn the ranks."""
    options = gauge.arguments(__doc__, epochs=5, batch=64, world=2)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    spawn(train, args=(options, port), nprocs=options.world, join=True)  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    main()
