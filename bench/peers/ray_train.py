"""Ray Train around a DataLoader loop, as "Get Started with Distributed Training using PyTorch" writes it.

Upstream, whose lines this follows:
  https://docs.ray.io/en/latest/train/getting-started-pytorch.html
  https://docs.ray.io/en/latest/train/examples/pytorch/torch_fashion_mnist_example.html   epochs with a test

Deviations, each because the comparison needs it:
  net         784-512-256-128-10 with dropout 0.2, that of ddp_loop.py, instead of ResNet18
  data        MNIST from --root, never downloaded, instead of FashionMNIST
  workers     on CPUs; --threads for each
  cluster     started here with as many CPUs as workers and one for the driver; no dashboard, no usage report
  checkpoint  none is reported
  measuring   the clock, the test accuracy after each epoch (off the clock), the workers' peak memory

    python bench/peers/ray_train.py --root DIR --world 2 --threads 1
"""

# ruff: noqa: INP001 -- a script, as payload/ has them; imports its neighbours by their short names

from __future__ import annotations

import gauge  # type: ignore[import-not-found]  # isort: skip  # its clock starts before the imports

import argparse
import json
import os
import secrets
import tempfile
from pathlib import Path
from typing import Any

# before ray is imported, which reads them
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))  # else ray writes one into the home directory

import ray
import ray.train
import ray.train.torch
import torch
import torch.distributed as dist
from ddp_loop import MLP, mnist  # type: ignore[import-not-found]
from ray.train import RunConfig, ScalingConfig
from ray.train.torch import TorchTrainer
from torch import nn
from torch.utils.data import DataLoader


def train_func(config: dict[str, Any]) -> None:
    """One worker. Ray has made the process group."""
    options = argparse.Namespace(**config)
    if options.threads:
        torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    model: Any = ray.train.torch.prepare_model(MLP())
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.001)
    data: Any = DataLoader(
        mnist(options.root, is_train=True),
        batch_size=options.batch,
        shuffle=True,
        num_workers=options.workers,
    )
    loader: Any = ray.train.torch.prepare_data_loader(data)
    tests: Any = ray.train.torch.prepare_data_loader(
        DataLoader(mnist(options.root, is_train=False), batch_size=1000)
    )
    clock = gauge.Clock(options.started_s)
    for epoch in range(options.epochs):
        if ray.train.get_context().get_world_size() > 1:
            loader.sampler.set_epoch(epoch)
        model.train()
        dist.barrier()
        clock.begin()
        for step, (images, labels) in enumerate(loader, 1):
            loss = criterion(model(images), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            clock.step(len(labels))
            if step == options.steps:
                break
        dist.barrier()
        clock.end()
        clock.point(epoch + 1, _accuracy(model, tests), is_last=epoch + 1 == options.epochs)
        ray.train.report(metrics={"epoch": epoch, "accuracy": clock.curve[-1]["test_accuracy"]})
    peak = _over_workers(gauge.peak_rss_bytes(), dist.ReduceOp.MAX)
    if ray.train.get_context().get_world_rank() == 0:
        content = gauge.result(options, clock, int(peak), precision="32-true")
        Path(options.answer).write_text(json.dumps(content))


def _accuracy(model: nn.Module, loader: Any) -> float:
    """Of all test images, each worker's share judged by itself."""
    model.eval()
    correct = count = 0
    with torch.no_grad():
        for images, labels in loader:
            correct += int((model(images).argmax(1) == labels).sum())
            count += len(labels)
    return _over_workers(correct, dist.ReduceOp.SUM) / _over_workers(count, dist.ReduceOp.SUM)


def _over_workers(value: float, op: Any) -> float:
    total = torch.tensor(float(value), dtype=torch.float64)
    if dist.is_initialized():
        dist.all_reduce(total, op=op)
    return float(total)


def main() -> None:
    """Start a cluster of this machine alone, train, say what came of it."""
    options = gauge.arguments(__doc__, epochs=5, batch=64, world=2)
    with tempfile.TemporaryDirectory() as place:
        options.answer = str(Path(place, "answer"))
        ray.init(num_cpus=options.world + 1, include_dashboard=False, log_to_driver=False, _temp_dir=place)
        trainer = TorchTrainer(
            train_func,
            train_loop_config=vars(options),
            scaling_config=ScalingConfig(num_workers=options.world, use_gpu=False),
            run_config=RunConfig(storage_path=place, name="bench"),
        )
        trainer.fit()
        content = json.loads(Path(options.answer).read_text())
        ray.shutdown()
    gauge.say(content)


if __name__ == "__main__":
    main()
