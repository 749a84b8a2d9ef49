"""Copied as sitecustomize.py in front of a command's PYTHONPATH: runs in every Python of that command.

It loads the probe (cloud/node/probe.py, beside it as hotrun_probe.py), notes which processes train without
a process group, then runs the sitecustomize that it hides. Standard library only, any Python 3; whatever
fails here is swallowed, what fails in the hidden one is not.

One file per process, process-HOST-PID.json; its `stage` is the furthest of STAGES.
"""

# ruff: noqa: BLE001, PTH100, PTH105, PTH118, PTH120, PTH123, T201 -- in the user's program: light, quiet

from __future__ import annotations

import importlib.machinery
import importlib.util
import json
import os
import socket
import sys
from typing import Any

STAGES = ("python", "torch", "alone")  # started; imported torch; an optimizer stepped outside of any group
_HERE = os.path.dirname(os.path.abspath(__file__))
_noted: dict[str, bool] = {}


def install() -> None:
    """Note this process, and wait for torch."""
    import hotrun_probe  # type: ignore[import-not-found]

    hotrun_probe.PATCHES["torch.optim.optimizer"] = _patch_optimizer
    _note("python")
    os.register_at_fork(after_in_child=_noted.clear)


def _patch_optimizer(module: Any) -> None:
    """A hook that all optimizers of the process call; `import torch` itself loads this module."""
    _note("torch")
    module.register_optimizer_step_post_hook(_stepped)


def _stepped(*_: object) -> None:
    if _noted:
        return
    _noted["stepped"] = True
    try:
        distributed = sys.modules.get("torch.distributed")
        if distributed is None or not (distributed.is_available() and distributed.is_initialized()):
            _note("alone")
    except Exception as error:  # the user's program must not notice us
        _complain(error)


def _note(stage: str) -> None:
    host, pid, run = socket.gethostname(), os.getpid(), os.environ.get("HOTRUN_RUN_ID", "")
    path = os.path.join(os.environ["HOTRUN_PROOF_DIR"], f"process-{host}-{pid}.json")
    with open(path + ".part", "w") as file:
        json.dump({"run": run, "node": host, "pid": pid, "stage": stage}, file)
    os.replace(path + ".part", path)


def _run_hidden() -> None:
    """Run the sitecustomize that would have been found without us, under its own name."""
    others = [path for path in sys.path if os.path.abspath(path or ".") != _HERE]
    spec = importlib.machinery.PathFinder.find_spec("sitecustomize", others)
    if spec is not None and spec.loader is not None:
        module = importlib.util.module_from_spec(spec)
        sys.modules["sitecustomize"] = module
        spec.loader.exec_module(module)


def _complain(error: Exception) -> None:
    if os.environ.get("HOTRUN_DEBUG"):
        print(f"hotrun prove: {error!r}", file=sys.stderr)


if os.environ.get("HOTRUN_PROOF_DIR"):
    try:
        install()
    except Exception as failure:
        _complain(failure)
    _run_hidden()
