r"""Train a small net on images with Ray Train and Ray Data: what the others do, for those who have Ray.

    python payload/ray_train.py --workers 2                    a Ray of this machine's own, which ends with it
    RAY_ADDRESS=10.0.0.1:6379 python payload/ray_train.py      a worker for each of WORLD_SIZE, on any cluster
    python payload/ray_train.py --resume auto                  goes on where a killed run was
    python payload/ray_train.py --workers 3 --predict runs/mnist-mlp-100-1/model.ckpt

Same nets, data, schedule and files as main.py and torch_ddp.py; another order of the images. No storage is
shared: the rank that sits on the driver's machine keeps the checkpoints there, and what is resumed from goes
to the others over the process group. What it reaches, and the recipe for code of your own: docs/ray.md.
Read `train`, which each worker runs, then `drive`.
"""

# ruff: noqa: E402 -- the clock starts before the imports, which take longer than the training

from __future__ import annotations

import time

STARTED = time.time()

import os
import secrets
import signal
import sys

signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C while modules are imported: no traceback
# Before ray is imported, which reads them. A Ray of our own listens on the network, so it has a token.
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_TRAIN_ENABLE_PREEMPTION_WATCHER", "0")  # a process less
if os.environ.get("RAY_ADDRESS", "local") in ("", "local"):
    os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}

try:
    import ray.data
    import ray.train
    import ray.train.torch
except ImportError as missing:
    print(
        f"Ray is not installed here ({missing}): pip install -r payload/requirements-ray.txt", file=sys.stderr
    )
    sys.exit(2)

import contextlib
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import data
import torch
from keep.weights import prefixed
from machine.available import peak_rss_bytes
from nets import dropouts_of, reseed
from plain.state import State
from ranks.exact import backend, raise_together
from ranks.order import epoch_order
from ranks.predict import predict
from ranks.settle import settle
from ranks.tally import Score, Tally
from rays.drive import drive
from rays.ending import leaving
from rays.infer import new_net
from rays.keeping import from_writer, going_on, rank_at, report
from rays.shards import root_here, rows_of
from rays.words import BrokenError, ClusterError, LostError
from recipe import BETAS, Run, recipe_of, schedule
from show.ending import exit_codes
from show.outcome import row
from sources.files import DataError
from torch.nn.functional import cross_entropy

if TYPE_CHECKING:
    from pathlib import Path

    from ray.data import DataIterator
    from torch import Tensor


def train(config: dict[str, Any]) -> None:
    """The whole training. Every worker runs every line, unless it says otherwise. Ray made their group."""
    options, run, relay = config["options"], config["run"], config["relay"]
    context, device = ray.train.get_context(), ray.train.torch.get_device()
    rank, writer = context.get_world_rank(), rank_at(config["node"])
    root = prepare(run.data, config["root"])
    dataset = data.load(run.data, root, run.validation)
    torch.manual_seed(run.seed)
    net = new_net(run.net, dataset.spec)
    run = replace(run, threads=torch.get_num_threads(), backend=backend())
    run = settle(
        run, net, dataset, ranks_on_node=context.get_local_world_size(), low_memory=options.low_memory
    )
    rows = rows_of(len(dataset.train), run.world) // run.world
    steps = -(-rows // run.batch_size)
    state = begin(run, net, steps * run.epochs)
    keeps = config["keeps"]
    say = relay.put.remote if rank == writer else lambda *_: None
    say("text", str(run))
    kept = from_writer(writer, lambda: going_on(config, keeps, run, lambda text: say("text", text)))
    if kept:
        state.restore(kept)
    resumed_from = state.epoch * steps or None
    say("rows", (run, state.rows))
    shard, saved_at = ray.train.get_dataset_shard("train"), time.monotonic()
    for epoch in range(state.epoch, run.epochs):
        if rank == writer:  # before any asks its shard: what Ray Data makes now is this epoch's
            ray.get(relay.begin.remote(epoch_order(len(dataset.train), run.seed, epoch).numpy()))
        score, seconds = train_epoch(run, state, dataset, shard, epoch, config["began"])
        state.epoch, state.images = epoch + 1, state.images + score.count
        ended = row(state.epoch, score, judge(state.net, dataset, device), seconds, net=state.net,
                    optimizer=state.optimizer)  # fmt: skip
        state.rows = [*state.rows[:epoch], asdict(ended)]
        is_due = options.every.is_due(epoch_ended=True, epoch=epoch + 1, seconds=time.monotonic() - saved_at)
        report(
            run, state, steps, keeps, options, is_kept=rank == writer and (is_due or epoch + 1 == run.epochs)
        )
        saved_at = time.monotonic() if is_due else saved_at
        say("row", ended)
    if rank == writer:
        ray.get(relay.put.remote("done", {
            "weights": prefixed(state.net), "steps": steps * run.epochs, "images": state.images,
            "start_seconds": state.start_seconds, "resumed_from": resumed_from,
            "peak_rss_bytes": peak_rss_bytes(),
        }))  # fmt: skip


def begin(run: Run, net: torch.nn.Module, steps: int) -> State:
    """The net with what trains it. Ray moves it to this worker's device, and wraps it in DDP."""
    model = ray.train.torch.prepare_model(net, parallel_strategy_kwargs={"gradient_as_bucket_view": True})
    optimizer = torch.optim.AdamW(
        net.parameters(), lr=run.lr, betas=BETAS, weight_decay=run.weight_decay, fused=True
    )
    warm_up = recipe_of(run.net).warm_up
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: schedule(step, steps, warm_up))
    return State(net=net, model=model, optimizer=optimizer, scheduler=scheduler)


def train_epoch(  # noqa: PLR0917  # as torch_ddp.py's, and two that Ray's loop needs
    run: Run, state: State, dataset: data.DataSet, shard: DataIterator, epoch: int, began_at: float
) -> tuple[Score, float]:
    """One epoch: the score over all ranks, and its seconds."""
    began, rank = time.perf_counter(), ray.train.get_context().get_world_rank()
    tally, dropouts = Tally(torch.device(run.device)), dropouts_of(state.net)
    state.net.train()
    for number, batch in enumerate(shard.iter_torch_batches(batch_size=run.batch_size)):
        columns = (batch[name].chunk(run.parts) for name in ("image", "label", "weight"))
        parts = list(zip(*columns, strict=True))
        reseed(dropouts, (run.seed, epoch, number, rank))
        for part in parts:  # gradients of all but the last stay here; its backward pass averages their sum
            apart = part is not parts[-1] and run.world > 1
            with state.model.no_sync() if apart else contextlib.nullcontext():  # type: ignore[operator]
                backward(run, state.model, dataset, part, len(batch["label"]), tally)
        state.optimizer.step()
        state.scheduler.step()
        state.optimizer.zero_grad()
        state.start_seconds = state.start_seconds or time.time() - began_at
    score = tally.total()  # waits for the slowest worker, and for a GPU
    return score, time.perf_counter() - began


def backward(  # noqa: PLR0917  # as above
    run: Run,
    model: torch.nn.Module,
    dataset: data.DataSet,
    part: tuple[Tensor, ...],
    count: int,
    tally: Tally,
) -> None:
    """Add the gradients of a part of `count` rows. Rows that only fill up have weight 0, the others 1."""
    images_NCHW, labels_N, weights_N = part
    with torch.autocast(images_NCHW.device.type, torch.bfloat16, enabled=run.precision == "bf16-mixed"):
        logits_NK = model(dataset.normalise(images_NCHW))
        loss = (cross_entropy(logits_NK, labels_N, reduction="none") * weights_N).sum()
    (loss / count).backward()  # type: ignore[no-untyped-call]
    tally.add(loss, int(weights_N.sum()))


def judge(net: torch.nn.Module, dataset: data.DataSet, device: torch.device) -> Score | None:
    """Score of the images held out, each counted once over all ranks; with rank 0's BatchNorm statistics."""
    if not len(dataset.held_out):
        return None
    context = ray.train.get_context()
    found = predict(net, dataset.held_out, dataset.normalise, device=device, rank=context.get_world_rank(),
                    world=context.get_world_size())  # fmt: skip
    return Score(loss=found.loss, accuracy=found.accuracy, count=len(dataset.held_out))


def prepare(name: str, given: tuple[str, str]) -> Path:
    """Have the data, by one rank of each machine; the others wait. Raises DataError, on every rank."""
    root, failure = root_here(given), None
    if ray.train.get_context().get_local_rank() == 0:
        try:
            data.prepare(name, root)
        except DataError as error:
            failure = error
    raise_together(failure)
    return root


def main(arguments: list[str]) -> None:
    """Exit codes: 3 for a cluster that can't be had, or that lost a worker; others as in show/ending.py."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        drive(train, arguments, STARTED)
    except (ClusterError, LostError, BrokenError) as error:
        print(error, file=sys.stderr)
        sys.exit(1 if isinstance(error, BrokenError) else 3)


if __name__ == "__main__":
    with leaving(), exit_codes():
        main(sys.argv[1:])
