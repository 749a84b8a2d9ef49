r"""Train a small net on images with TensorFlow's MultiWorkerMirroredStrategy, in a loop of its own.

    python payload/tensorflow_mwms.py                        this machine alone
    python payload/tensorflow_mwms.py --workers 10.8.0.10:12345,10.8.0.11:12345 --index 0    on the first,
    python payload/tensorflow_mwms.py --workers 10.8.0.10:12345,10.8.0.11:12345 --index 1    on the second
    TF_CONFIG=… python payload/tensorflow_mwms.py            as a launcher such as hotrun starts it

Same data, files and exit codes as torch_ddp.py. Every worker runs every line, unless it says otherwise; each
saves to a directory of its own. Why there is no `fit`: docs/tensorflow.md. Read `train`, then `train_epoch`.
"""

# ruff: noqa: E402 -- the clock starts before the imports, and TensorFlow reads its settings at import

from __future__ import annotations

import time

STARTED = time.perf_counter()

import signal

signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C while modules are imported: no traceback

import sys

from mwms.ready import ready

if __name__ == "__main__":
    OPTIONS = ready(sys.argv[1:])  # sets TF_CONFIG, or ends with a sentence

import hashlib
import json
import os
import traceback
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tensorflow as tf
from keep.checkpoints import CheckpointError, save
from mwms import images, kept, outcome
from mwms.events import TensorFlowEvents
from mwms.learn import Learner
from mwms.peers import leave
from mwms.start import LOST, StartError, devices_of, end_quietly, lost, strategy_of
from mwms.state import State
from mwms.together import DisagreementError, ElsewhereError, Together
from ranks import order
from recipe import Run, precision_of, recipe_of, scaled_lr
from show.report import Epoch, Journal, ReportError, run_directory
from show.result import Training
from sources.files import DataError

if TYPE_CHECKING:
    import argparse

    from ranks.predictions import Predictions


def train(run: Run, dataset: images.DataSet, together: Together, options: argparse.Namespace) -> None:
    """The whole training."""
    order.check(len(dataset.train), run.batch_size, run.world)
    steps = order.steps_per_epoch(len(dataset.train), run.global_batch)
    learner = learner_of(run, dataset, together, steps * run.epochs)
    run_dir = outcome.place_of(run, together, options.resume)
    if together.is_chief:
        print(run, flush=True)
    keeps, state = kept.directory_of(run_dir, together.cluster), State()
    found = kept.agreed(together, options.resume, keeps, run.fingerprint, say)
    if found:
        together.alike(lambda: state.restore(kept.read(found.path), learner))
    agree(dataset, learner, together)
    journal = Journal(run_dir, run.epochs, state.rows, TensorFlowEvents) if together.is_chief else None
    if journal:
        journal.text("configuration", run.markdown)
    pictures, saved_at = images.tensors(dataset.train), time.monotonic()
    for epoch in range(state.epoch, run.epochs):
        row = train_epoch(run, state, learner, pictures, epoch)
        row = judged(row, learner.predict(dataset.held_out) if len(dataset.held_out) else None)
        state.epoch, state.rows = epoch + 1, [*state.rows, row]
        waited_s = together.rows([time.monotonic() - saved_at])[0, 0]  # worker 0's clock counts
        is_due = options.every.is_due(epoch_ended=True, epoch=state.epoch, seconds=waited_s)
        if is_due or state.epoch == run.epochs:
            together.alike(lambda: keep(run, state, learner, keeps, options.keep_checkpoints))
            saved_at = time.monotonic()
        together.alike(lambda: tell(journal, state))
    training = Training(
        steps=steps * run.epochs, images=state.images, start_seconds=state.start_seconds,
        resumed_from=found.step if found else None,
    )  # fmt: skip
    outcome.finish(run, training, learner, dataset, journal, run_dir, STARTED)


def train_epoch(run: Run, state: State, learner: Learner, pictures: tuple[Any, Any], epoch: int) -> Epoch:
    """One epoch: its loss and speed over all workers. Barriers: every step, and the sums at the end."""
    began, count = time.perf_counter(), len(pictures[1])
    mixed = (run.seed * 1_000_003 + epoch) % (1 << 63)

    def batches(context: tf.distribute.InputContext) -> tf.data.Dataset:
        return images.batches(
            pictures, context, replicas=run.world, global_batch=run.global_batch, mixed=mixed
        )

    batch_of = iter(learner.strategy.distribute_datasets_from_function(batches))
    loss = tf.constant(0.0, tf.float64)
    for _ in range(order.steps_per_epoch(count, run.global_batch)):
        loss += tf.cast(learner.step(batch_of), tf.float64)
        state.start_seconds = state.start_seconds or time.perf_counter() - STARTED
    mine = [float(loss), time.perf_counter() - began]  # float() waits for the last step
    losses, times = learner.together.rows(mine).T
    seconds, state.images = float(times.max()), state.images + count
    return Epoch(epoch=epoch + 1, train_loss=float(losses.sum()) / count, seconds=seconds,
                 images_per_second=count / seconds, val_loss=None, val_accuracy=None,
                 learning_rate=learner.last_rate(), weights_sha256=learner.checksum())  # fmt: skip


def judged(row: Epoch, found: Predictions | None) -> Epoch:
    """With what the images held out say."""
    return replace(row, val_loss=found.loss, val_accuracy=found.accuracy) if found else row


def tell(journal: Journal | None, state: State) -> None:
    """Worker 0: two lines, and the files."""
    if journal:
        row = state.rows[-1]
        print(f"[Epoch {row.epoch - 1}] Loss: {row.train_loss:.4f}", flush=True)
        journal.add(row)


def keep(run: Run, state: State, learner: Learner, keeps: Path, count: int) -> None:
    """Every worker saves, to a directory of its own: the same bytes."""
    count = max(count, 2) if run.world > 1 else count  # a worker may be killed before the others have saved
    step = learner.steps_done
    content = state.checkpoint(learner, step)
    save(keeps, content, step=step, epoch=state.epoch, run=run.fingerprint, keep=count, write=kept.write)


def agree(dataset: images.DataSet, learner: Learner, together: Together) -> None:
    """Equal labels and weights on all workers, or DisagreementError on all of them."""
    together.agree("labels", hashlib.sha256(dataset.train.labels.tobytes()).hexdigest())
    together.agree("weights", learner.checksum())


def resolve(options: argparse.Namespace, together: Together, backend: str, reasons: dict[str, str]) -> Run:
    """What was asked for, completed by the net's recipe."""
    recipe, world = recipe_of(options.net), together.replicas
    precision, why = precision_of(recipe, "cpu")
    threads = tf.config.threading.get_intra_op_parallelism_threads()
    return Run(
        trainer="tensorflow", net=options.net, data=options.data, validation=options.validation,
        seed=options.seed, epochs=options.epochs, world=world, batch_size=options.batch_size,
        lr=scaled_lr(options.lr, recipe.batch_size, options.batch_size * world),
        weight_decay=recipe.weight_decay, precision=precision,
        device="cuda" if backend == "nccl" else "cpu", backend=backend,
        threads=threads or os.cpu_count() or 1, reasons={**reasons, "precision": why},
    )  # fmt: skip


def predict(run: Run, dataset: images.DataSet, together: Together, options: argparse.Namespace) -> None:
    """The test images once, with the weights of --predict, over all workers."""
    learner = learner_of(run, dataset, together, steps=1)
    together.alike(lambda: learner.load(Path(options.predict)))
    name = f"{run.data}-{run.net}-predict"
    run_dir = together.alike(lambda: run_directory(name) if together.is_chief else Path())
    outcome.write_predictions(run_dir, learner, dataset)


def learner_of(run: Run, dataset: images.DataSet, together: Together, steps: int) -> Learner:
    """The net as the seed makes it."""
    shape = dataset.train.images.shape[1:]
    return Learner(together, run, shape, dataset.classes, steps=steps)


def say(text: str) -> None:
    """Of use in every worker's log."""
    print(text, flush=True)


def main(options: argparse.Namespace) -> int:
    """An exit code. 1: not to be had or written, or a worker is gone. 2: a value that no run can have."""
    cluster, small = options.cluster, recipe_of(options.net).is_small
    root = Path(options.root or os.environ.get("HOTRUN_DATA_DIR") or "data").resolve()
    if not cluster.workers:
        end_quietly()
    try:
        backend, reasons = devices_of(options.device, is_small=small)
        strategy = strategy_of(cluster, backend, start=options.start, met=options.met)
        together = Together(strategy, cluster)
        run = resolve(options, together, backend, reasons)
        settings = json.dumps([run.fingerprint, bool(options.predict)]).encode()
        together.agree("settings", hashlib.sha256(settings).hexdigest())
        dataset = together.alike(lambda: images.load(options.data, root, options.validation))
        (predict if options.predict else train)(run, dataset, together, options)
    except order.OrderError as error:
        print(error, file=sys.stderr)
        return 2
    except (StartError, DataError, ReportError, CheckpointError, DisagreementError, ElsewhereError) as error:
        print(error, file=sys.stderr)
        return 1
    except LOST as error:
        if not cluster.peers:
            raise  # a fault of this program
        print(lost(cluster, error), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    try:
        CODE = main(OPTIONS)
    except Exception:  # noqa: BLE001  # a fault of this program: shown, and the end all the same
        traceback.print_exc()
        CODE = 1
    leave(CODE)  # at once: TensorFlow's own end waits for peers that may be gone
