"""Recorded inside the user's process: the replicas that TensorFlow keeps in step, and what they did together.

Copied into the environment as `hotrun_tensorflow_probe` and imported by one .pth line, as `hotrun_probe` is,
which writes the file. A collective counts when a `tf.function` that holds one has ended, or by itself.
"""

from __future__ import annotations

import functools
import importlib
import os
import sys
import weakref
from typing import Any

_held: Any = weakref.WeakKeyDictionary()  # a tf.function -> bytes that its collectives move
_seen = [0]  # bytes of all collectives so far, each counted where it was traced


def _after(owner, name, then) -> None:  # type: ignore[no-untyped-def]
    """Call `then(self, bytes seen before, first argument)` whenever that method has ended."""
    original = getattr(owner, name)

    @functools.wraps(original)
    def wrapper(self, *args, **kwargs):  # type: ignore[no-untyped-def]
        before = _seen[0]
        result = original(self, *args, **kwargs)
        _probe._quietly(then, self, before, *args[:1])
        return result

    setattr(owner, name, wrapper)


def _joined(strategy, *_) -> None:  # type: ignore[no-untyped-def]
    extended = strategy.extended
    asked = extended._communication_options.implementation.value.lower()
    usual = "nccl" if extended._local_device_type == "GPU" else "ring"
    rank = strategy.cluster_resolver.task_id or 0
    _probe.joined(extended._num_workers, rank, usual if asked == "auto" else asked)


def _reduced(_, before, value) -> None:  # type: ignore[no-untyped-def]
    """While a function is traced, or at each step outside of one."""
    for each in value if isinstance(value, (list, tuple)) else [value]:
        _seen[0] += (each.shape.num_elements() or 1) * each.dtype.size
    if _is_eager():
        _probe.stepped(_seen[0] - before)


def _called(function, before, *_) -> None:  # type: ignore[no-untyped-def]
    if _seen[0] > before:
        _held[function] = _seen[0] - before
    if function in _held and _is_eager():
        _probe.stepped(_held[function])


def _is_eager() -> bool:
    return bool(sys.modules["tensorflow.python.eager.context"].executing_eagerly())


def _patch_collectives(module) -> None:  # type: ignore[no-untyped-def]
    for name in ("all_reduce", "batch_all_reduce"):
        _after(module.CollectiveReplicaLauncher, name, _reduced)


if os.environ.get("HOTRUN_PROOF_DIR"):
    _probe: Any = importlib.import_module("hotrun_probe")
    _patches = {
        "tensorflow.python.distribute.collective_all_reduce_strategy": lambda module: _after(
            module.CollectiveAllReduceStrategy, "__init__", _joined
        ),
        "tensorflow.python.distribute.cross_device_utils": _patch_collectives,
        "tensorflow.python.eager.polymorphic_function.polymorphic_function": lambda module: _after(
            module.Function, "__call__", _called
        ),
    }
    sys.meta_path.insert(0, _probe.Finder(_patches, _probe._quietly))
