"""What ranks settle when they have met and before any of them trains. All ranks; barriers. No Lightning."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import replace
from typing import TYPE_CHECKING

from machine.available import available_bytes
from machine.memory import Plan, estimate, plan_memory, return_freed_memory

from ranks import order
from ranks.exact import agree, checksum, gather_numbers

if TYPE_CHECKING:
    from data import DataSet
    from recipe import Run
    from torch import nn

UNKNOWN = 1 << 62  # bytes, where a system does not say what is free
PLENTY = 6_400  # times the images' own floats: ResNet-20, the hungriest net here, takes 180


def settle(run: Run, net: nn.Module, dataset: DataSet, *, ranks_on_node: int, low_memory: bool) -> Run:
    """The run, with as many micro-batches as its memory needs; equal settings, data and weights on all ranks.

    Raises OrderError for a batch that the images can't fill, DisagreementError for a rank that stands apart,
    MemoryShortError where a step does not fit into the memory of the smallest machine.
    """
    agree("settings", hashlib.sha256(json.dumps(run.fingerprint).encode()).hexdigest())
    order.check(len(dataset.train), run.batch_size, run.world, run.accumulate)
    agree("labels", checksum({"labels": dataset.train.labels}))
    agree("initial weights", checksum(net.state_dict()))
    if run.device != "cpu":
        return run
    free = available_bytes(ranks_on_node)
    least = int(min(row[0] for row in gather_numbers([float(UNKNOWN if free is None else free)])))
    batch = run.batch_size * (order.FASTEST if run.balance == "measured" else 1)
    if least > PLENTY * 4 * batch * math.prod(dataset.spec.shape):
        return run  # what `estimate` imports takes 14 MB and a quarter of a second
    needs = estimate(net, dataset.spec.shape, batch, ddp=run.world > 1, precision=run.precision)
    plan = plan_memory(run.net, needs, ranks_on_node=ranks_on_node, low_memory=low_memory,
                       available=None if least == UNKNOWN else least)  # fmt: skip
    if plan.returns_freed:
        return_freed_memory()
    if plan == Plan():
        return run
    memory = f"--low-memory: each batch in {plan.parts} parts, freed buffers go back at once"
    return replace(run, micro_batches=plan.parts, reasons={**run.reasons, "memory": memory})
