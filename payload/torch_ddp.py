r"""Train a small net on images with plain torch and DistributedDataParallel: what Lightning saves you.

    python payload/torch_ddp.py                                       one process, the default net
    python payload/torch_ddp.py --world-size 2 --net mlp-512          two ranks of this machine by itself
    torchrun --nnodes N --nproc-per-node K … payload/torch_ddp.py     a launcher's ranks, on many machines
    srun python payload/torch_ddp.py                                  the tasks of a Slurm job's step

Same nets, data, order of the images, schedule, predictions and files as main.py, and from the same seed the
same training, to the bit. What it reaches, and how fast: docs/payload.md. Read `train`, then `train_epoch`.
"""

# ruff: noqa: E402 -- the clock starts before the imports, which take longer than the training

from __future__ import annotations

import time

STARTED = time.perf_counter()

import signal

signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C while modules are imported: no traceback


import contextlib
import os
import sys
from typing import TYPE_CHECKING

import data
import torch
from keep.checkpoints import CheckpointError, read, save
from keep.resume import start
from keep.weights import load_weights
from nets import NETS, dropouts_of, reseed
from plain.options import options_of
from plain.state import State
from ranks import local_sgd, order
from ranks.exact import backend, broadcast_buffers, from_rank_0, raise_together
from ranks.launch import join, launch, leaving, rank_of, ranks_on_this_node, world_of
from ranks.settle import settle
from ranks.slurm import adopt
from ranks.tally import Score, Tally
from recipe import BETAS, Run, one_thread_if_small, precision_of, recipe_of, scaled_lr, schedule
from show.ending import exit_codes
from show.outcome import finish, row, write_predictions
from show.place import checkpoints_of, directory_of
from show.report import Journal, ReportError, progress, run_directory
from show.result import Training
from sources.files import DataError
from torch import nn
from torch.nn.functional import cross_entropy
from torch.nn.parallel import DistributedDataParallel

if TYPE_CHECKING:
    import argparse
    from pathlib import Path


def train(run: Run, dataset: data.DataSet, options: argparse.Namespace) -> None:
    """The whole training. Every rank runs every line, unless it says otherwise."""
    rank, device = rank_of(), torch.device(run.device)
    torch.manual_seed(run.seed)
    net = NETS[run.net](dataset.spec.shape, len(dataset.spec.classes)).to(device)
    run = settle(run, net, dataset, ranks_on_node=ranks_on_this_node(), low_memory=options.low_memory)
    run_dir = from_rank_0(lambda: directory_of(run, options.resume))
    if rank == 0:
        print(run, flush=True)
    steps = order.steps_per_epoch(len(dataset.train), run.global_batch)
    state = begin(run, net, steps * run.epochs)
    keeps = checkpoints_of(run_dir)
    path = start(options.resume, keeps, run.fingerprint, say)
    if path:
        state.restore(read(path))
    resumed_from = state.epoch * steps or None
    journal = Journal(run_dir, run.epochs, state.rows) if rank == 0 else None
    if journal:
        journal.text("configuration", run.markdown)
    saved_at = time.monotonic()
    for epoch in range(state.epoch, run.epochs):
        score, seconds = train_epoch(run, state, dataset, steps, epoch)
        state.epoch, state.images = epoch + 1, state.images + score.count
        judged = judge(run, state.net, dataset)
        waited_s, failure = time.monotonic() - saved_at, None
        is_due = options.every.is_due(epoch_ended=True, epoch=epoch + 1, seconds=waited_s)
        try:
            if journal:  # rank 0 alone
                journal.add(row(state.epoch, score, judged, seconds, net=state.net,
                                optimizer=state.optimizer))  # fmt: skip
            if journal and (is_due or epoch + 1 == run.epochs):
                save(keeps, state.checkpoint(steps, journal.plain()), step=state.epoch * steps,
                     epoch=state.epoch, run=run.fingerprint, keep=options.keep_checkpoints)  # fmt: skip
                saved_at = time.monotonic()
        except (ReportError, CheckpointError) as error:
            failure = error
        raise_together(failure)
    training = Training(steps=steps * run.epochs, images=state.images, start_seconds=state.start_seconds,
                        resumed_from=resumed_from)  # fmt: skip
    finish(run, training, state.net, dataset, journal, run_dir, device=device, rank=rank, began=STARTED)


def begin(run: Run, net: nn.Module, steps: int) -> State:
    """The net with what trains it."""
    model = net
    if run.world > 1:
        # Averages the gradients over the ranks while backward() still runs. Buffers: see `judge`.
        model = DistributedDataParallel(net, forward_sync_buffers=False, gradient_as_bucket_view=True)
        model.require_backward_grad_sync = not run.local_sgd
    optimizer = torch.optim.AdamW(
        net.parameters(), lr=run.lr, betas=BETAS, weight_decay=run.weight_decay, fused=True
    )
    warm_up = recipe_of(run.net).warm_up
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: schedule(step, steps, warm_up))
    return State(net=net, model=model, optimizer=optimizer, scheduler=scheduler)


def train_epoch(run: Run, state: State, dataset: data.DataSet, steps: int, epoch: int) -> tuple[Score, float]:
    """One epoch: the score over all ranks, and its seconds."""
    began, rank = time.perf_counter(), rank_of()
    tally, dropouts = Tally(torch.device(run.device)), dropouts_of(state.net)
    permutation = order.epoch_order(len(dataset.train), run.seed, epoch)
    batches = order.rank_batches(
        permutation, steps, shares=[1.0] * run.world, rank=rank, micro_batches=run.parts
    )
    bar = progress(epoch + 1, run.epochs, len(batches), is_shown=rank == 0)
    state.net.train()
    for number, batch in enumerate(data.Batches(dataset.train, lambda: batches, len(batches)), 1):
        is_step = number % run.parts == 0
        reseed(dropouts, (run.seed, epoch, number - 1, rank))
        # Gradients of all parts but the last stay on this rank; the last backward pass averages their sum.
        apart = contextlib.nullcontext() if is_step or run.world == 1 else state.model.no_sync()  # type: ignore[operator]
        with apart:
            backward(run, state.model, dataset, batch, tally)
        if is_step:
            state.optimizer.step()
            state.scheduler.step()
            state.optimizer.zero_grad()
            if run.local_sgd and (number // run.parts % run.local_sgd == 0 or number == len(batches)):
                local_sgd.average_parameters(state.net)
        state.start_seconds = state.start_seconds or time.perf_counter() - STARTED
        bar.update()
    bar.close()
    if run.local_sgd:
        local_sgd.average_moments(state.optimizer)
    score = tally.total()  # waits for the slowest rank, and for a GPU
    return score, time.perf_counter() - began


def backward(run: Run, model: nn.Module, dataset: data.DataSet, batch: data.Batch, tally: Tally) -> None:
    """Add the gradients of one batch, or of a part of it; see order.rank_batches for the weight."""
    images, labels, weight = batch
    device = torch.device(run.device)
    images_NCHW, labels_N = dataset.normalise(images.to(device)), labels.to(device)
    with autocast(run):
        loss = cross_entropy(model(images_NCHW), labels_N, reduction="sum")
    (loss * weight / run.parts).backward()  # type: ignore[no-untyped-call]
    tally.add(loss, len(labels_N))


def autocast(run: Run) -> torch.autocast:
    """In bf16 where the run has it; weights are fp32 always."""
    kind = torch.device(run.device).type
    return torch.autocast(kind, torch.bfloat16, enabled=run.precision == "bf16-mixed")


def judge(run: Run, net: nn.Module, dataset: data.DataSet) -> Score | None:
    """Score of the images held out, each counted once over all ranks; with rank 0's BatchNorm statistics."""
    if not len(dataset.held_out):
        return None
    device = torch.device(run.device)
    broadcast_buffers(net)
    net.eval()
    tally, table = Tally(device), dataset.held_out
    with torch.no_grad(), autocast(run):
        for first, end in order.judged_chunks(len(table), world_of(), rank_of()):
            part = table.part(first, end)
            logits_NK, labels_N = net(dataset.normalise(part.images.to(device))), part.labels.to(device)
            loss = cross_entropy(logits_NK.float(), labels_N, reduction="sum")
            tally.add(loss, end - first, (logits_NK.argmax(1) == labels_N).sum())
    return tally.total()


def say(text: str) -> None:
    """Of use in every rank's log."""
    print(text, flush=True)


def prepare(name: str, root: Path) -> None:
    """Have the data, by one rank of each machine; the others wait. Raises DataError, on every rank."""
    failure = None
    if int(os.environ.get("LOCAL_RANK", "0")) == 0:
        try:
            data.prepare(name, root)
        except DataError as error:
            failure = error
    raise_together(failure)


def resolve(options: argparse.Namespace, device: torch.device) -> Run:
    """What was asked for, completed by the net's recipe. Raises ChoiceError."""
    recipe, world = recipe_of(options.net), world_of()
    precision, reason = precision_of(recipe, device.type)
    lr = scaled_lr(options.lr, recipe.batch_size, options.batch_size * options.accumulate * world)
    return Run(
        trainer="torch", net=options.net, data=options.data, validation=options.validation, seed=options.seed,
        epochs=options.epochs, world=world, batch_size=options.batch_size, accumulate=options.accumulate,
        lr=lr, weight_decay=recipe.weight_decay, precision=options.precision or precision, device=str(device),
        local_sgd=options.local_sgd, threads=torch.get_num_threads(), backend=backend(),
        reasons={**options.reasons, **({} if options.precision else {"precision": reason})},
    )  # fmt: skip


def main(arguments: list[str]) -> int:
    """Launch ranks, or be one; an exit code."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    adopt(os.environ)
    options = options_of(arguments)
    options.reasons = one_thread_if_small(recipe_of(options.net), options.device)
    if options.world_size > 1 and "RANK" not in os.environ:
        return launch(options.world_size, [__file__, *arguments])
    device, root = join(options.device), data.root_directory(options.root)
    prepare(options.data, root)
    dataset, run = data.load(options.data, root, options.validation), resolve(options, device)
    if options.predict:
        net = NETS[run.net](dataset.spec.shape, len(dataset.spec.classes))
        load_weights(net, options.weights)
        run_dir = from_rank_0(lambda: run_directory(f"{run.data}-{run.net}-predict"))
        write_predictions(run_dir, net, dataset, device=device, rank=rank_of(), world=world_of())
    else:
        train(run, dataset, options)
    return 0


if __name__ == "__main__":
    with leaving(), exit_codes():
        sys.exit(main(sys.argv[1:]))
