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
import zlib
from typing import Any

_WRITE_EVERY_S = 10.0
_COLLECTIVES = (
    "all_reduce",
    "broadcast",
    "all_gather",
    "all_gather_into_tensor",
    "all_gather_object",
    "broadcast_object_list",
    "reduce_scatter",
    "reduce_scatter_tensor",
    "all_to_all",
    "all_to_all_single",
    "barrier",
    "monitored_barrier",
    "reduce",
    "gather",
    "scatter",
)
_record: dict[str, Any] = {}
_state: dict[str, Any] = {"pid": 0, "written": 0.0, "module": None, "started": 0.0}


def install() -> None:
    """Wait for torch to be imported."""
    if os.environ.get("HOTRUN_PROOF_DIR"):
        sys.meta_path.insert(0, _Finder())


class _Finder(importlib.abc.MetaPathFinder):
    """Lets the real loader work and patches the module that it made."""

    def __init__(self) -> None:
        self._busy: set[str] = set()

    def find_spec(self, name, path, target=None):  # type: ignore[no-untyped-def]
        patch = _PATCHES.get(name)
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
            _quietly(patch, module)

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


def _patch_c10d(module) -> None:  # type: ignore[no-untyped-def]
    """torch.distributed re-exports these names after this module ran, so it exports the wrapped ones."""
    initialise = module.init_process_group

    @functools.wraps(initialise)
    def init_process_group(*args, **kwargs):  # type: ignore[no-untyped-def]
        result = initialise(*args, **kwargs)
        _quietly(_begin, module)
        return result

    module.init_process_group = init_process_group
    for name in _COLLECTIVES:
        if hasattr(module, name):
            setattr(module, name, _counted(module, getattr(module, name)))


def _counted(module: Any, collective: Any) -> Any:
    names = list(inspect.signature(collective).parameters)
    index = names.index("group") if "group" in names else len(names)

    @functools.wraps(collective)
    def wrapper(*args, **kwargs):  # type: ignore[no-untyped-def]
        result = collective(*args, **kwargs)
        group = args[index] if len(args) > index else kwargs.get("group")
        if group is None or group is module.group.WORLD:  # asynchronous: as soon as it is under way
            _quietly(_complete, 1)
        return result

    return wrapper


def _patch_ddp(module) -> None:  # type: ignore[no-untyped-def]
    """DDP's own all-reduce is C++ and passes no wrapper; its constructor compares all ranks: a collective."""
    ddp = module.DistributedDataParallel
    construct, forward = ddp.__init__, ddp.forward

    @functools.wraps(construct)
    def __init__(self, *args, **kwargs):  # type: ignore[no-untyped-def]
        construct(self, *args, **kwargs)
        _quietly(_built, self)

    @functools.wraps(forward)
    def forward_counted(self, *args, **kwargs):  # type: ignore[no-untyped-def]
        if _state["grad_enabled"]():
            _quietly(_step, self)
        return forward(self, *args, **kwargs)

    import torch  # loaded already: this module is a part of it

    _state["grad_enabled"] = torch.is_grad_enabled
    ddp.__init__, ddp.forward = __init__, forward_counted


_PATCHES = {"torch.distributed.distributed_c10d": _patch_c10d, "torch.nn.parallel.distributed": _patch_ddp}


def _begin(module) -> None:  # type: ignore[no-untyped-def]
    if _state["pid"] != os.getpid():  # not a copy that a fork made
        _state.update(pid=os.getpid(), started=time.time())
        atexit.register(_quietly, _end)
    _record.update(
        run=os.environ.get("HOTRUN_RUN_ID", ""),
        attempt=int(os.environ.get("HOTRUN_ATTEMPT", "1")),
        node=os.environ.get("HOTRUN_NODE", ""),
        local_rank=int(os.environ.get("LOCAL_RANK", "0")),
        rank=module.get_rank(),
        world_size=module.get_world_size(),
        backend=str(module.get_backend()),
        collectives=0,
        steps=0,
        gradient_bytes=0,
        checksum=None,
        state="init",
    )
    store = module._get_default_store()
    store.set(
        f"hotrun/{_record['rank']}", f"{_record['node']}/{_record['local_rank']}/{socket.gethostname()}"
    )
    _record["peers"] = [store.get(f"hotrun/{rank}").decode() for rank in range(_record["world_size"])]
    _write()


def _built(model) -> None:  # type: ignore[no-untyped-def]
    if _is_recording() and model.process_group.size() == _record["world_size"]:
        _state["module"] = model
        _state["bytes"] = sum(p.numel() * p.element_size() for p in model.parameters() if p.requires_grad)
        _complete(1)


def _step(model) -> None:  # type: ignore[no-untyped-def]
    if _is_recording() and model is _state["module"]:
        _record["steps"] += 1
        _record["gradient_bytes"] += _state["bytes"]
        _complete(1 if _record["steps"] > 1 else 0)  # this forward shows that the last step was finished


def _complete(count: int) -> None:
    if not _is_recording():
        return
    first = _record["collectives"] == 0 and count > 0
    _record["collectives"] += count
    if first or time.time() - _state["written"] > _WRITE_EVERY_S:
        _write()


def _end() -> None:
    if not _is_recording():
        return
    _record["state"] = "failed" if getattr(sys, "last_value", None) is not None else "exit"
    _write()
    _quietly(_checksum)
    _write()


def _checksum() -> None:
    total = 0
    for parameter in _state["module"].parameters() if _state["module"] is not None else ():
        total = zlib.crc32(parameter.detach().cpu().contiguous().flatten().numpy().tobytes(), total)
    _record["checksum"] = total


def _is_recording() -> bool:
    return bool(_record) and _state["pid"] == os.getpid()


def _write() -> None:
    _state["written"] = time.time()
    name = f"rank{_record['rank']}-{_record['node']}-{_record['local_rank']}.json"
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
