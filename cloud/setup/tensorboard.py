"""A computer -> a Python of it that has TensorBoard: the running one, the tests', else `.build/tensorboard`.

That is made when a run is first looked at. Standard library only.
"""

from __future__ import annotations

import glob
import importlib.util
import os
import subprocess
import sys

from cloud.setup.command import ROOT, CannotMake, pip_line
from cloud.setup.environments import STAMP, install_with_pip, make, python_of

PINS = os.path.join(ROOT, "requirements", "tensorboard.txt")
LIMIT_S = 600.0
SIZE = "TensorBoard: about 45 MB to load, 160 MB on disk, usually a minute, at most 10"
PIP_LINE = pip_line("tensorboard")
ASKED_S = 60.0  # for a Python's start, on a slow disk
_ASK = "import importlib.util, sys; sys.exit(importlib.util.find_spec('tensorboard') is None)"


def python() -> str:
    """Return a Python that can start TensorBoard, in an environment made for it if need be.

    Raises CannotMake.
    """
    if _is_seen() and _is_seen_alone():
        return sys.executable
    tests = os.path.join(ROOT, ".build", "test")
    return python_of(tests) if _has_tensorboard(tests) else environment()


def environment() -> str:
    """Return the Python of `.build/tensorboard`, made or renewed if need be. Raises CannotMake."""
    if not os.path.exists(PINS):  # an installed wheel has no pins
        if _is_seen():
            said = "TensorBoard is installed for this user only, and is started without such packages"
            raise CannotMake(f"{said}\n  install it and hotrun in one virtual environment")
        raise CannotMake(f"TensorBoard is not installed beside hotrun; type: {PIP_LINE}")

    def build(aside: str) -> None:
        install_with_pip(aside, PINS, "TensorBoard", limit_s=LIMIT_S)

    return make(".build/tensorboard", [PINS], build, SIZE, otherwise=PIP_LINE)


def _is_seen() -> bool:
    """Whether this Python has it, in whatever way."""
    return importlib.util.find_spec("tensorboard") is not None


def _is_seen_alone() -> bool:
    """Whether this Python has it with `-I` too, as it is started: not in ~/.local, PYTHONPATH or here."""
    command = [sys.executable, "-I", "-c", _ASK]
    try:
        ended = subprocess.run(command, check=False, capture_output=True, timeout=ASKED_S)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return ended.returncode == 0


def _has_tensorboard(directory: str) -> bool:
    """Whether an environment that this program made has it."""
    packages = os.path.join(glob.escape(directory), "lib", "python3*", "site-packages", "tensorboard")
    return os.path.exists(os.path.join(directory, STAMP)) and bool(glob.glob(packages))
