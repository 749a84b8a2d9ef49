"""Net and batch -> the memory that a step will take, and whether it fits, before any is allocated.

    needs = estimate(net, shape, batch, ddp=world > 1, precision="32-true")
    plan = plan_memory("lenet", needs, ranks_on_node=2, available=available_bytes(2), low_memory=False)
    if plan.returns_freed:
        return_freed_memory()

`available_bytes` differs by rank: take the least of all, or ranks cut their batches differently. For training
on a CPU; on a GPU the machine's memory only holds the program. No Lightning. Figures: docs/payload.md.
"""

from __future__ import annotations

import ctypes
import math
import weakref
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from ranks.order import JUDGED_AT_ONCE
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import cross_entropy
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from machine.available import resident_bytes

MARGIN = 0.1  # of what is free stays free: for the system, for what is not estimated
FIRST_STEP_BYTES = 16_000_000  # code and threads that the first step brings along: 4 to 16 MB measured
SPREAD = 1.45  # resident / allocated: glibc keeps freed buffers for later; 1.2 to 1.6 measured, rarely 1.9
SPREAD_RETURNED = 1.1  # the same after return_freed_memory: 0.8 to 1.0 measured
M_MMAP_THRESHOLD = -3  # malloc.h: buffers from so many bytes on go back to the system when freed
LARGE_BYTES = 1 << 20


class MemoryShortError(RuntimeError):
    """A training that this machine's memory can't hold; the message is for the user."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """Memory of one rank that trains, from its second step on."""

    batch: int
    """Images per rank and backward pass."""
    resident_bytes: int | None
    """Of this process now, after the imports (VmRSS); much of it is code, which the ranks of a node share."""
    weights_bytes: int
    """Part of `resident_bytes`: the net is there already."""
    gradients_bytes: int
    """Under autocast also the copies of the weights."""
    optimizer_bytes: int
    """Its slots, such as Adam's two moments."""
    buckets_bytes: int
    """Of DDP, to add gradients up in."""
    activations_bytes_per_image: float
    """What autograd keeps for the backward pass, and what both passes need beside."""
    batch_bytes_per_image: int
    """Bytes, floats, label and index."""
    evaluation_bytes: int
    """A chunk of images that are judged."""
    data_bytes: int = 0
    """Mapped files: pages that all ranks of a node share and that the system may drop; not counted."""

    def more_bytes(self, images: int, spread: float = SPREAD) -> int:
        """What a rank takes on top of `resident_bytes` with `images` per backward pass."""
        allocated = self._steady_bytes + max(images * self._bytes_per_image, self.evaluation_bytes)
        return FIRST_STEP_BYTES + int(spread * allocated)

    def largest(self, usable: int, spread: float = SPREAD) -> int:
        """Images per backward pass that `usable` suffices for, `batch` at most; 0 if not even one fits."""
        if self.more_bytes(1, spread) > usable:
            return 0
        left = (usable - FIRST_STEP_BYTES) / spread - self._steady_bytes
        return min(self.batch, max(1, int(left / self._bytes_per_image)))

    @property
    def total_bytes(self) -> int:
        """Most that will be resident; without `resident_bytes`, what is added to it."""
        return (self.resident_bytes or 0) + self.more_bytes(self.batch)

    @property
    def _steady_bytes(self) -> int:
        return self.gradients_bytes + self.optimizer_bytes + self.buckets_bytes

    @property
    def _bytes_per_image(self) -> float:
        return self.activations_bytes_per_image + self.batch_bytes_per_image


def estimate(
    net: nn.Module, shape: tuple[int, int, int], batch: int, *, optimizer_slots: int = 2, ddp: bool,
    precision: str, data_bytes: int = 0,
) -> Estimate:  # fmt: skip
    """What training `net` on images of `shape` (C, H, W) takes; nothing about `net` changes.

    Both passes run on tensors without content, and every allocation is counted while it lives. `batch`: per
    rank and backward pass. `optimizer_slots`: 2 Adam, 1 SGD with momentum. `precision`: Lightning's name.
    """
    mixed = precision.endswith("mixed")
    few, many = 2, max(4096, batch)  # BatchNorm may want two; the peak lies below a line through both
    fixed = _peak(net, shape, few, mixed=mixed, trains=True)
    slope = (_peak(net, shape, many, mixed=mixed, trains=True) - fixed) / (many - few)
    trained = sum(weight.nbytes for weight in net.parameters() if weight.requires_grad)
    return Estimate(
        batch=batch, resident_bytes=resident_bytes(),
        weights_bytes=sum(weight.nbytes for weight in [*net.parameters(), *net.buffers()]),
        gradients_bytes=fixed, optimizer_bytes=optimizer_slots * trained, buckets_bytes=trained if ddp else 0,
        activations_bytes_per_image=slope, batch_bytes_per_image=(1 + 4) * math.prod(shape) + 8 + 8,
        evaluation_bytes=_peak(net, shape, JUDGED_AT_ONCE, mixed=False, trains=False), data_bytes=data_bytes,
    )  # fmt: skip


def _peak(net: nn.Module, shape: tuple[int, int, int], images: int, *, mixed: bool, trains: bool) -> int:
    """The most bytes that a pass over `images` holds at once, besides the weights and the images."""
    # NOTE: torch documents FakeTensorMode (torch.compiler_fake_tensor) but has no public name for it.
    from torch._subclasses.fake_tensor import FakeTensorMode

    was = net.training
    net.train(trains)
    with FakeTensorMode() as fake, torch.set_grad_enabled(trains):
        state: dict[str, Tensor] = {name: fake.from_tensor(buffer) for name, buffer in net.named_buffers()}
        for name, weight in net.named_parameters():
            state[name] = fake.from_tensor(weight).detach().requires_grad_(weight.requires_grad)
        images_NCHW, labels_N = torch.empty(images, *shape), torch.zeros(images, dtype=torch.int64)
        ledger = _Ledger([*state.values(), images_NCHW, labels_N])
        with ledger, torch.autocast("cpu", torch.bfloat16) if mixed else nullcontext():
            loss = cross_entropy(functional_call(net, state, (images_NCHW,)), labels_N)
            if trains:
                loss.backward()  # type: ignore[no-untyped-call]
    net.train(was)
    return ledger.peak


class _Ledger(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch's own
    """Counts the storages that operations make, as long as they live. `known` ones are not counted."""

    def __init__(self, known: list[Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.held = self.peak = 0
        self._alive = {tensor.untyped_storage()._cdata for tensor in known}  # noqa: SLF001  # its identity

    def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = operation(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, Tensor):
                self._enter(tensor.untyped_storage())
        return result

    def _enter(self, storage: torch.UntypedStorage) -> None:
        key, size = storage._cdata, storage.nbytes()  # noqa: SLF001  # its identity
        if key not in self._alive:
            self._alive.add(key)
            self.held += size
            self.peak = max(self.peak, self.held)
            weakref.finalize(storage, self._leave, key, size).atexit = False

    def _leave(self, key: int, size: int) -> None:
        self._alive.discard(key)
        self.held -= size


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How a rank trains within its memory."""

    parts: int = 1
    """Micro-batches of each backward pass; BatchNorm takes its statistics over each."""
    returns_freed: bool = False
    """Call return_freed_memory before the first step."""


def plan_memory(
    name: str, needs: Estimate, *, ranks_on_node: int, available: int | None, low_memory: bool
) -> Plan:
    """Unchanged where the batch fits or nothing is known; else parts of it if `low_memory`.

    `name` of the net, `available` per rank. Raises MemoryShortError with what would help.
    """
    if available is None:
        return Plan()
    usable = int(available * (1 - MARGIN))
    if needs.more_bytes(needs.batch) <= usable:
        return Plan()
    part = needs.largest(usable, SPREAD_RETURNED)
    parts = -(-needs.batch // part) if part else 0
    if low_memory and parts:
        return Plan(parts=parts, returns_freed=True)
    raise MemoryShortError(_shortage(name, needs, usable, parts, ranks_on_node))


def _shortage(name: str, needs: Estimate, usable: int, parts: int, ranks_on_node: int) -> str:
    """What is needed, what there is, and what would help; `parts` 0: not even one image fits."""
    wanted = needs.more_bytes(needs.batch) if parts else needs.more_bytes(1, SPREAD_RETURNED)
    ranks = f" per rank ({ranks_on_node} ranks on this machine)" if ranks_on_node > 1 else ""
    what = f"batch {needs.batch} of {name}" if parts else f"{name}, even one image at a time,"
    what += f" needs about {_readable(wanted)} more{ranks}, "
    what += f"{_readable(usable)} are free besides a margin of {MARGIN * 100:.0f} %; "
    if not parts:
        fewer = "fewer ranks on this machine, " if ranks_on_node > 1 else ""
        return f"{what}{fewer}a smaller net or a larger machine would help"
    cuts = f"cuts batches into {parts} parts" if parts > 1 else "makes it fit, with slower steps"
    smaller = needs.largest(usable)
    return f"{what}--low-memory {cuts}" + (f", or --data.batch_size {_round(smaller)}" if smaller else "")


def return_freed_memory() -> bool:
    """Let glibc give large buffers back once they are freed, from now on. False without glibc.

    Saves up to a third of what a step takes, at up to twice its CPU time: its pages come anew in each step.
    """
    try:
        return bool(ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, LARGE_BYTES))
    except (AttributeError, OSError, TypeError):  # no glibc
        return False


def _readable(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 950_000_000 else f"{size / 1e6:.0f} MB"


def _round(images: int) -> int:
    """Two digits are enough."""
    unit: int = 10 ** max(0, len(str(images)) - 2)
    return images // unit * unit
