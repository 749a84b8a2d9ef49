"""The driver: asks Ray for workers, prints and writes what they tell, and predicts the test images.

Everything here runs in one process, on the machine where the results are to be.
"""

from __future__ import annotations

import logging
import os
import tempfile
import threading
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import data
import ray
import ray.data
import ray.train
import torch
from keep.weights import load_weights, save_model
from pictures import draw_in_child
from ranks.exact import checksum
from ray.train.torch import TorchTrainer
from recipe import ChoiceError, Run, one_thread_if_small, precision_of, recipe_of, scaled_lr
from show.place import checkpoints_of, directory_of
from show.report import Journal, run_directory, write_file
from show.result import Training, end, say_goodbye, say_predicted, summary

from rays import shards
from rays.cluster import WORDY, Room, Watch, connected, nodes_wanted, placement, wait_for
from rays.ending import FITTING, without
from rays.infer import new_net, predictions
from rays.options import options_of
from rays.relay import relay_here
from rays.words import BrokenError, failed

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable
    from pathlib import Path

    from ranks.predictions import Predictions

    from rays.infer import Share
    from rays.shards import Root

    Train = Callable[[dict[str, Any]], None]

POLL_S = 0.2


def drive(train: Train, arguments: list[str], began: float) -> None:
    """Be the driver. Raises ClusterError, LostError, BrokenError, and those of show/ending.py."""
    options = options_of(arguments)
    options.reasons = one_thread_if_small(recipe_of(options.net), options.device)
    there = data.root_directory(options.root)
    data.prepare(options.data, there)
    dataset = data.load(options.data, there, options.validation)
    root = (options.root, str(there))
    with connected(options.workers, options.wait_s, logs=options.ray_logs):
        quieten(logs=options.ray_logs)
        room = room_of(options)
        wait_for(room, options.wait_s)
        if options.predict:
            run_dir = run_directory(f"{options.data}-{options.net}-predict")
            found = predicted(options, options.weights, root, dataset, run_dir)[0]
            say_predicted(run_dir, found.accuracy, len(dataset.test))
            return
        run = resolve(options, room)
        run_dir = directory_of(run, options.resume)
        told = trained(train, run, options, root, dataset, run_dir, room, began)
        finish(told, options, root, dataset, run_dir, began)


class Told:
    """What the workers told: the run as they settled it, its journal, how it ended."""

    def __init__(self, run: Run, run_dir: Path) -> None:
        self.run, self.run_dir = run, run_dir
        self.journal: Journal | None = None
        self.done: dict[str, Any] = {}

    def take(self, kind: str, content: Any) -> None:
        """One message of rays/relay.py."""
        if kind == "text":
            print(content, flush=True)
        elif kind == "rows":
            self.run, rows = content
            self.journal = Journal(self.run_dir, self.run.epochs, rows)
            self.journal.text("configuration", self.run.markdown)
        elif kind == "row" and self.journal:
            self.journal.add(content)
        elif kind == "done":
            self.done = content


def trained(  # noqa: PLR0917
    train: Train, run: Run, options: Namespace, root: Root, dataset: data.DataSet, run_dir: Path, room: Room,
    began: float,
) -> Told:  # fmt: skip
    """Let Ray train, and write what is told meanwhile. Raises what `failed` makes of Ray's errors."""
    here, relay, told = ray.get_runtime_context().get_node_id(), relay_here(), Told(run, run_dir)
    config = {
        "options": options, "run": run, "relay": relay, "node": here, "root": root, "began": began,
        "keeps": checkpoints_of(run_dir), "resume_from": os.environ.get("HOTRUN_RESUME_FROM", ""),
    }  # fmt: skip
    count, world = len(dataset.train), run.world
    with tempfile.TemporaryDirectory(prefix="ray-train-") as place:  # Ray's own copies, of this machine alone
        trainer = TorchTrainer(
            train, train_loop_config=config,
            datasets={"train": shards.training(run.data, root, count, world, relay)},
            dataset_config=ray.train.DataConfig(execution_options=ray.data.ExecutionOptions(preserve_order=True)),
            scaling_config=ray.train.ScalingConfig(
                num_workers=world, use_gpu=room.gpus > 0, resources_per_worker={"CPU": room.cpus},
                **placement(room, here),
            ),
            run_config=ray.train.RunConfig(
                name="train", storage_path=place,
                failure_config=ray.train.FailureConfig(max_failures=failures_allowed(options)),
                checkpoint_config=ray.train.CheckpointConfig(num_to_keep=1),
            ),
        )  # fmt: skip
        ended: list[Exception | None] = []
        thread = threading.Thread(target=_fit, args=(trainer, ended), daemon=True)
        FITTING.set()
        thread.start()
        watch = Watch(room, options.wait_s)
        while not ended:
            for message in ray.get(relay.take.remote()):
                told.take(*message)
                watch.hear()
            watch.look()
            time.sleep(POLL_S)
        FITTING.clear()
        for message in ray.get(relay.take.remote()):
            told.take(*message)
    if ended[0]:
        raise failed(ended[0]) from ended[0]
    if not told.done:
        raise BrokenError("the workers have ended, and did not say what came of it")
    return told


def _fit(trainer: TorchTrainer, ended: list[Exception | None]) -> None:
    """In a thread of its own: the main thread listens to the workers, and to Ctrl-C."""
    try:
        trainer.fit()
    except Exception as error:  # noqa: BLE001  # raised in the main thread
        ended.append(error)
    else:
        ended.append(None)


def finish(  # noqa: PLR0917
    told: Told, options: Namespace, root: Root, dataset: data.DataSet, run_dir: Path, began: float
) -> None:
    """Predict the test images once, and write what a run leaves; result.json last, but for the pictures."""
    run, journal, done = told.run, told.journal, told.done
    assert journal is not None
    content = {"state_dict": done["weights"]}
    found, shares = predicted(options, content, root, dataset, run_dir)
    save_model(run_dir / "model.ckpt", done["weights"], run)
    net = new_net(run.net, dataset.spec)
    load_weights(net, content)
    training = Training(steps=done["steps"], images=done["images"], start_seconds=done["start_seconds"],
                        resumed_from=done["resumed_from"])  # fmt: skip
    result = summary(run, training, journal, found, checksum(net.state_dict()))
    result["peak_rss_bytes"] = done["peak_rss_bytes"]
    result["prediction"] = [asdict(share) for share in shares]
    end(journal, result)
    draw_in_child(run_dir, dataset.files.test_images, dataset.spec.classes)
    say_goodbye(run_dir, result, len(dataset.test), time.time() - began)


def predicted(
    options: Namespace, content: dict[str, Any], root: Root, dataset: data.DataSet, run_dir: Path
) -> tuple[Predictions, list[Share]]:
    """The test images by as many workers, in predictions.csv; prints what each one took."""
    weights = {"state_dict": content.get("state_dict")}
    with without(WORDY):
        found, shares = predictions(options.net, weights, options.data, root, len(dataset.test),
                                    workers=options.workers, cpus=options.cpus_per_worker)  # fmt: skip
    for share in shares:
        print(share, flush=True)
    write_file(run_dir / "predictions.csv", found.csv())
    return found, shares


def room_of(options: Namespace) -> Room:
    """What to wait for. GPUs where the cluster has one for each worker, or where they are asked for."""
    enough = ray.cluster_resources().get("GPU", 0) >= options.workers
    gpus = int(options.device == "cuda" or (options.device == "auto" and enough))
    return Room(workers=options.workers, cpus=options.cpus_per_worker, gpus=gpus, nodes=nodes_wanted())


def resolve(options: Namespace, room: Room) -> Run:
    """What was asked for, completed by the net's recipe. Raises ChoiceError."""
    recipe, world, device = recipe_of(options.net), options.workers, "cuda" if room.gpus else "cpu"
    precision, reason = precision_of(recipe, device)
    batch_size = recipe.batch_size if options.batch_size is None else options.batch_size
    epochs = recipe.epochs if options.epochs is None else options.epochs
    lr = recipe.lr if options.lr is None else options.lr
    return Run(
        trainer="ray", net=options.net, data=options.data, validation=options.validation, seed=options.seed,
        epochs=epochs, world=world, batch_size=batch_size,
        lr=scaled_lr(lr, recipe.batch_size, batch_size * world), weight_decay=recipe.weight_decay,
        precision=options.precision or precision, device=device, threads=torch.get_num_threads(),
        reasons={**options.reasons, **({} if options.precision else {"precision": reason})},
    )  # fmt: skip


def failures_allowed(options: Namespace) -> int:
    """None under hotrun, which begins everything again itself. Raises ChoiceError for both at once."""
    if os.environ.get("HOTRUN_RUN_ID") and options.max_failures:
        raise ChoiceError(
            f"--max-failures {options.max_failures}: hotrun begins again by itself, Ray must not; 0 here"
        )
    return int(options.max_failures)


def quieten(*, logs: bool) -> None:
    """Ray Data's bars and notes, which are made for a person who watches; and blocks in order."""
    if not logs:
        logging.getLogger("ray.data").setLevel(logging.ERROR)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.execution_options.preserve_order = True
