"""Recorded inside the user's process: which world it joined, and whether that world did something together.

Copied into the environment as `hotrun_probe` and imported by one .pth line in every interpreter of it. It
never imports torch: it waits until the program does, then wraps `init_process_group`, collectives and DDP.
It only records; whatever fails here is swallowed. Without HOTRUN_PROOF_DIR it does nothing at all.
"""

from __future__ import annotations

import atexit
import functools
import importlib.abc
import importlib.util
import inspect
import json
import os
import socket
import sys
import time
import weakref
import zlib
from typing import Any

_WRITE_EVERY_S = 10.0
_CHECKED_BYTES = 2 << 30  # of parameters, once, at the end: about two seconds
_COLLECTIVES = (  # those of objects call these
    "all_reduce all_reduce_coalesced all_gather all_gather_into_tensor all_gather_single all_to_all"
    " all_to_all_single reduce_scatter reduce_scatter_tensor reduce_scatter_single broadcast barrier"
    " monitored_barrier reduce gather scatter"
)
_record: dict[str, Any] = {}
_state: dict[str, Any] = {}
_sizes: Any = weakref.WeakKeyDictionary()  # DDP module -> bytes of its gradients


def install() -> None:
    """Wait for torch to be imported."""
    if os.environ.get("HOTRUN_PROOF_DIR"):
        sys.meta_path.insert(0, Finder(PATCHES, _quietly))


class Finder(importlib.abc.MetaPathFinder):
    """Lets the real loader work, then has `apply(patch, module)` patch the module that it made."""

    def __init__(self, patches: dict[str, Any], apply: Any) -> None:
        self._patches, self._apply = patches, apply
        self._busy: set[str] = set()

    def find_spec(self, name, path, target=None):  # type: ignore[no-untyped-def]
        """Find what is to be patched as if this finder were not there; None for anything else."""
        patch = self._patches.get(name)
        if patch is None or name in self._busy:
            return None
        self._busy.add(name)
        try:
            spec = importlib.util.find_spec(name)
        finally:
            self._busy.discard(name)
        if spec is None or spec.loader is None:
            return None
        execute = spec.loader.exec_module

        def exec_module(module):  # type: ignore[no-untyped-def]
            execute(module)
            self._apply(patch, module)

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


def _patch_c10d(module) -> None:  # type: ignore[no-untyped-def]
    """torch.distributed re-exports these names after this module ran, so it exports the wrapped ones."""
    initialise, destroy = module.init_process_group, module.destroy_process_group

    def init_process_group(*args, **kwargs):  # type: ignore[no-untyped-def]
        result = initialise(*args, **kwargs)
        _quietly(_begin)
        return result

    def destroy_process_group(*args, **kwargs):  # type: ignore[no-untyped-def]
        group = (*args, *kwargs.values(), None)[0]
        if group is None or group is module.group.WORLD:
            _quietly(_finish)
        return destroy(*args, **kwargs)

    _state["c10d"] = module
    module.init_process_group = _instead_of(initialise, init_process_group)
    module.destroy_process_group = _instead_of(destroy, destroy_process_group)
    for name in _COLLECTIVES.split():
        if hasattr(module, name):
            setattr(module, name, _counted(getattr(module, name)))
    for function in (_quietly, _complete, _step, stepped):  # called by what may be compiled
        function.__code__ = function.__code__.replace(co_filename=module.__file__)


def _counted(collective: Any) -> Any:
    index = list(inspect.signature(collective).parameters).index("group")

    def wrapper(*args, **kwargs):  # type: ignore[no-untyped-def]
        result = collective(*args, **kwargs)  # an asynchronous one counts as soon as it is under way
        _quietly(_complete, args[index] if len(args) > index else kwargs.get("group"))
        return result

    return _instead_of(collective, wrapper)


def _instead_of(original: Any, wrapper: Any) -> Any:
    """Return the wrapper under the file of the function that it stands for.

    torch.compile passes over torch's own files. Ours it would compile, and anew whenever a count changes.
    """
    file, first = original.__code__.co_filename, original.__code__.co_firstlineno
    wrapper.__code__ = wrapper.__code__.replace(co_filename=file, co_firstlineno=first)
    return functools.wraps(original)(wrapper)


def _patch_ddp(module) -> None:  # type: ignore[no-untyped-def]
    """DDP's own all-reduce is C++ and passes no wrapper; its constructor compares all ranks: a collective."""
    ddp = module.DistributedDataParallel
    construct, forward = ddp.__init__, ddp.forward
    torch = sys.modules["torch"]
    is_compiling: Any = bool  # always False, as before torch 2.1

    def __init__(self, *args, **kwargs):  # type: ignore[no-untyped-def]
        nonlocal is_compiling
        construct(self, *args, **kwargs)
        is_compiling = getattr(getattr(torch, "compiler", None), "is_compiling", bool)
        _quietly(_built, self, kwargs.get("init_sync", True))

    def forward_counted(self, *args, **kwargs):  # type: ignore[no-untyped-def]
        if torch.is_grad_enabled() and not is_compiling():
            _quietly(_step, self)
        return forward(self, *args, **kwargs)

    ddp.__init__ = _instead_of(construct, __init__)
    ddp.forward = _instead_of(forward, forward_counted)


PATCHES = {"torch.distributed.distributed_c10d": _patch_c10d, "torch.nn.parallel.distributed": _patch_ddp}


def _begin() -> None:
    module = _state["c10d"]
    if not joined(module.get_world_size(), module.get_rank(), str(module.get_backend())):
        return
    node = _record["node"]
    store, meeting = module._get_default_store(), f"{node}-{os.getpid()}-{time.time()}"
    store.set(f"hotrun/{_record['rank']}", f"{node}/{_record['local_rank']}/{socket.gethostname()}")
    _record["meeting"] = store.compare_set("hotrun/meeting", "", meeting).decode()  # neither of them waits
    _write()


def joined(size, rank, backend) -> bool:  # type: ignore[no-untyped-def]
    """This process is one of a group; False for a second, smaller one, which takes nothing back."""
    if _record and _record["collectives"] and size <= _record["world_size"]:
        return False
    if not _record:
        _state.update(started=time.time(), models=[], sums={}, left=_CHECKED_BYTES)
        atexit.register(_quietly, _end)
        os.register_at_fork(after_in_child=_record.clear)  # a data loader's worker is no rank
    _record.update(
        run=os.environ.get("HOTRUN_RUN_ID", ""), attempt=int(os.environ.get("HOTRUN_ATTEMPT") or 1),
        node=os.environ.get("HOTRUN_NODE") or socket.gethostname(),
        local_rank=int(os.environ.get("LOCAL_RANK") or 0), rank=rank, pid=os.getpid(),
        world_size=size, backend=backend, started=_state["started"], peers=[],
        collectives=0, steps=0, gradient_bytes=0, checksum=None, state="init",
    )  # fmt: skip
    _write()
    return True


def stepped(size) -> bool:  # type: ignore[no-untyped-def]
    """A collective on the whole group is through, `size` bytes in each rank; False before any group."""
    if _record:
        _record["collectives"] += 1
        _record["gradient_bytes"] += size
        if _record["collectives"] == 1 or time.time() - _state["written"] > _WRITE_EVERY_S:
            _record["local_rank"] = int(os.environ.get("LOCAL_RANK") or 0)  # Ray tells it late
            _write()
    return bool(_record)


def _built(model, is_compared) -> None:  # type: ignore[no-untyped-def]
    if not _record:
        return
    _sizes[model] = sum(p.numel() * p.element_size() for p in model.parameters() if p.requires_grad)
    ignored = {f"module.{name}" for name in model.parameters_to_ignore}
    checked = [p for name, p in model.named_parameters() if name not in ignored]
    models = _state["models"]  # each summed up when it goes, at the latest when its group or the process ends
    models.append(weakref.finalize(model, _quietly, _checksum, len(models), checked))
    models[-1].atexit = False
    if is_compared:
        _complete(model.process_group)


def _step(model) -> None:  # type: ignore[no-untyped-def]
    if _record and model in _sizes and model.require_backward_grad_sync:
        _record["steps"] += 1
        _record["gradient_bytes"] += _sizes[model]
        if _record["steps"] > 1:  # this forward shows that the last step was finished
            _complete(model.process_group)


def _complete(group) -> None:  # type: ignore[no-untyped-def]
    if not _record or (group is not None and group.size() != _record["world_size"]):
        return
    stepped(0)
    if _record["collectives"] == 1:  # so everybody is in; rank 0, whose store it is, may be gone already
        store, ranks = _state["c10d"]._get_default_store(), range(_record["world_size"])
        if store.check([f"hotrun/{rank}" for rank in ranks]):
            _record["peers"] = [store.get(f"hotrun/{rank}").decode() for rank in ranks]
            _write()


def _finish() -> None:
    """Before the group ends."""
    if not _record or "c10d" not in _state:
        return
    for summed_up in _state["models"]:
        summed_up()
    _write()
    group = _state["c10d"].group.WORLD
    if group is not None:  # collectives that passed no wrapper, as those of compiled code, have numbers too
        _record["collectives"] = max(_record["collectives"], group._get_sequence_number_for_group())
        _write()


def _end() -> None:
    if _record:
        _record["state"] = "failed" if getattr(sys, "last_value", None) is not None else "exit"
        _write()
        if _record["state"] == "exit":
            _finish()


def _checksum(index, parameters) -> None:  # type: ignore[no-untyped-def]
    if not _record:
        return
    total = 0
    for parameter in parameters:
        size = parameter.numel() * parameter.element_size()
        if size <= _state["left"]:
            data = parameter.detach().flatten().cpu().view(sys.modules["torch"].uint8)
            total = zlib.crc32(data.numpy(), total)
            _state["left"] -= size
    _state["sums"][index] = total
    _record["checksum"] = zlib.crc32(str(sorted(_state["sums"].items())).encode())
    _record["checksum_bytes"] = _CHECKED_BYTES - _state["left"]


def _write() -> None:
    _state["written"] = time.time()
    name = f"rank{_record['rank']}-{_record['node']}-{_record['pid']}.json"
    path = os.path.join(os.environ["HOTRUN_PROOF_DIR"], name)
    with open(path + ".part", "w") as file:
        json.dump({**_record, "seconds": round(time.time() - _state["started"], 2)}, file)
    os.replace(path + ".part", path)


def _quietly(function, *args) -> None:  # type: ignore[no-untyped-def]
    try:
        function(*args)
    except Exception as error:  # the user's program must not notice us
        if os.environ.get("HOTRUN_DEBUG"):
            print(f"hotrun_probe: {error!r}", file=sys.stderr)


install()
