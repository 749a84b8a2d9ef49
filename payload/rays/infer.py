"""A net and the test images in Ray Data -> predictions, the same bytes for any number of workers.

As ranks/predict.py: chunks of one size in data order, fp32, one thread. A chunk is a block of the dataset;
labels pass through beside the images. Blocks come back in any order from any worker, and are put in theirs.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import data
import numpy as np
import ray
import torch
from data import Table
from keep.weights import load_weights
from nets import NETS
from ranks.exact import DisagreementError
from ranks.order import JUDGED_AT_ONCE
from ranks.predict import predict
from ranks.predictions import Predictions

from rays import shards
from rays.relay import relay_here

if TYPE_CHECKING:
    from data import Spec
    from torch import nn

    from rays.shards import Columns, Root


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """What one worker predicted."""

    worker: str
    """Machine and process."""
    images: int
    seconds: float
    """In the net, without what comes before and behind."""

    def __str__(self) -> str:
        return f"{self.worker} predicted {self.images:,} images in {self.seconds:.2f} s"


def new_net(name: str, spec: Spec) -> nn.Module:
    """An untrained net for such images.

    NOTE: Not in ray_train.py, whose functions Ray's cloudpickle sends by value: it takes `spec.classes`
    beside `torch` for torch.classes, which can't be pickled. Can go when it looks closer.
    """
    return NETS[name](spec.shape, len(spec.classes))


class Predictor:
    """An actor of Ray Data: has the net, and is called with blocks of images."""

    def __init__(self, net: str, relay: Any, name: str, root: Root) -> None:
        self.dataset = data.load(name, shards.root_here(root), 0)
        self.net = new_net(net, self.dataset.spec)
        load_weights(self.net, ray.get(relay.weights.remote()))
        self.worker = f"{ray.util.get_node_ip_address()} pid {os.getpid()}"

    def __call__(self, block: Columns) -> Columns:
        """Index, image and label -> index and label as they came, and what the net says."""
        began = time.perf_counter()
        table = Table(images=torch.tensor(block["image"]), labels=torch.tensor(block["label"]))
        device = torch.device("cpu")
        found = predict(self.net, table, self.dataset.normalise, device=device, rank=0, world=1)
        count = len(table)
        return {
            "index": block["index"], "label": block["label"],
            "prediction": found.classes, "probability": found.probabilities,
            "loss": np.full(count, found.loss), "worker": np.full(count, self.worker),
            "seconds": np.full(count, (time.perf_counter() - began) / count),
        }  # fmt: skip


def predictions(
    net: str, weights: dict[str, Any], name: str, root: Root, count: int, *, workers: int, cpus: int
) -> tuple[Predictions, list[Share]]:
    """Each of `count` test images once, by `workers` actors. DisagreementError if other rows came back."""
    told = shards.testing(name, root, count, JUDGED_AT_ONCE).map_batches(
        Predictor, fn_constructor_args=(net, relay_here(weights), name, root), batch_size=None, num_cpus=cpus,
        compute=ray.data.ActorPoolStrategy(size=workers),
    )  # fmt: skip
    parts = list(told.iter_batches(batch_size=None, batch_format="numpy"))
    columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    order = np.argsort(columns["index"], kind="stable")
    rows = {name: values[order] for name, values in columns.items()}
    if not np.array_equal(rows["index"], np.arange(count)):
        raise DisagreementError(
            f"each of {count:,} images was to be predicted once, and {len(order):,} rows came back, "
            f"of {len(np.unique(rows['index'])):,} images"
        )
    shares = []
    for worker in np.unique(rows["worker"]):
        own = rows["worker"] == worker
        seconds = float(rows["seconds"][own].sum())
        shares.append(Share(worker=str(worker), images=int(own.sum()), seconds=seconds))
    found = Predictions(
        labels=rows["label"].astype(np.int64),
        classes=rows["prediction"].astype(np.int64),
        probabilities=rows["probability"].astype(np.float32),
        loss=float(rows["loss"].sum()) / max(1, count),
    )
    return found, shares
