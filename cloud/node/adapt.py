"""Overrules, inside the user's process, launch settings that the program hard-codes; prints each change.

Copied into the environment as `hotrun_adapt` and installed by one .pth line in every interpreter of it.
Without HOTRUN_ADAPT (what the launcher wants, as JSON) it does nothing. It never imports torch or Lightning:
it waits until the program does, and changes arguments below `Trainer`, so that no signature is touched. What
it can't find in a version is said, and left alone.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import json
import os
import sys
from multiprocessing import process
from typing import Any, Callable

VARIABLES = (
    "MASTER_ADDR", "MASTER_PORT", "WORLD_SIZE", "RANK", "NODE_RANK", "LOCAL_RANK", "GLOO_SOCKET_IFNAME",
    "NCCL_SOCKET_IFNAME",
)  # fmt: skip
_wanted: dict[str, Any] = {}
_launched: dict[str, str] = {}  # the variables as the launcher set them, before the program's first line
_said: set[str] = set()


def settings(nnodes: int, nproc: int, has_gpu: bool) -> dict[str, Any]:
    """What a Trainer must be told about the cluster; `nproc`: ranks on each node."""
    return {
        "accelerator": "gpu" if has_gpu else "cpu", "strategy": "ddp" if nnodes * nproc > 1 else "auto",
        "devices": nproc, "num_nodes": nnodes,
    }  # fmt: skip


def differs(name: str, given: Any, wanted: dict[str, Any]) -> bool:
    """Whether an argument of a Trainer stands against `wanted`; an object, such as a strategy, never does."""
    has_gpu = wanted["accelerator"] == "gpu"
    if given is None or given in ("auto", -1, "-1"):
        return False
    if name == "strategy":
        kept = ("ddp", "fsdp", "deepspeed") if has_gpu else ("ddp",)
        return isinstance(given, str) and wanted[name] != "auto" and not given.startswith(kept)
    if name == "accelerator":
        return isinstance(given, str) and given not in (("cpu", "gpu", "cuda") if has_gpu else ("cpu",))
    if isinstance(given, str) and "," in given:
        given = [part for part in given.split(",") if part]
    return str(len(given) if isinstance(given, (list, tuple)) else given) != str(wanted[name])


def install() -> None:
    """Remember what the launcher set, and wait for torch and Lightning to be imported."""
    if os.environ.get("HOTRUN_ADAPT"):
        _wanted.update(json.loads(os.environ["HOTRUN_ADAPT"]))
        _launched.update((name, os.environ[name]) for name in VARIABLES if name in os.environ)
        probe = importlib.import_module("hotrun_probe")  # lies beside this one, and puts itself in front
        sys.meta_path.insert(1, probe.Finder(_PATCHES, _apply))


def _apply(patch: Callable[[Any], None], module: Any) -> None:
    try:
        patch(module)
    except Exception as error:  # noqa: BLE001 - the program goes on as it is
        _say(f"--adapt finds nothing to overrule in this version of {module.__name__} ({error})")


def _wrap(owner: Any, attribute: str, change: Callable[[dict[str, Any]], None], *names: str) -> None:
    """Let `change` see and change the arguments of every call; `names` are those that it needs."""
    function = getattr(owner, attribute)
    signature = inspect.signature(function)
    missing = [name for name in names if name not in signature.parameters]
    if missing:
        raise LookupError(f"{attribute} has no {', '.join(missing)}")

    @functools.wraps(function)
    def wrapper(*args, **kwargs):  # type: ignore[no-untyped-def]
        if process.parent_process() is None:  # one that the program forked or spawned has seats of its own
            _restore()
            bound = signature.bind(*args, **kwargs)
            change(bound.arguments)
            args, kwargs = bound.args, bound.kwargs
        return function(*args, **kwargs)

    setattr(owner, attribute, wrapper)


def _restore() -> None:
    for name, value in _launched.items():
        if os.environ.get(name) != value:
            _say(f"{name}={os.environ.get(name)!r} overruled: {value}")
            os.environ[name] = value


def _connector(name: str, title: str) -> Callable[[Any], None]:
    def change(given: dict[str, Any]) -> None:
        for key, value in _wanted.items():
            if differs(key, given.get(key), _wanted):
                _say(f"{title}({key}={given[key]!r}) overruled: {value}")
                given[key] = value

    return lambda module: _wrap(getattr(module, name), "__init__", change, *_wanted)


def _group(given: dict[str, Any]) -> None:
    """A store of the program's own is not touched: nothing is known of it."""
    if given.get("store") is not None:
        return
    for name in ("rank", "world_size"):
        value = int(_launched[name.upper()])
        if given.get(name, -1) not in (-1, value):
            _say(f"init_process_group({name}={given[name]}) overruled: {value}")
            given[name] = value
    method = given.get("init_method") or "env://"
    if not method.startswith("env:"):
        _say(f"init_process_group(init_method={method!r}) overruled: env://")
        given["init_method"] = "env://"


def _say(text: str) -> None:
    if _launched.get("RANK", "0") == "0" and text not in _said:
        _said.add(text)
        print("hotrun:", text, file=sys.stderr, flush=True)


_TRAINER, _FABRIC = _connector("_AcceleratorConnector", "Trainer"), _connector("_Connector", "Fabric")
_PATCHES: dict[str, Callable[[Any], None]] = {
    "torch.distributed.distributed_c10d": lambda module: _wrap(
        module, "init_process_group", _group, "rank", "world_size", "init_method", "store"
    ),
    "pytorch_lightning.trainer.connectors.accelerator_connector": _TRAINER,
    "lightning.pytorch.trainer.connectors.accelerator_connector": _TRAINER,
    "lightning_fabric.connector": _FABRIC,
    "lightning.fabric.connector": _FABRIC,
}
