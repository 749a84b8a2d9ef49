"""A Python without openstacksdk -> one that has it: `.build/cloud`, made when a cloud is first asked.

The program's own `.venv` goes without: 20 MB more for people who only make templates. Standard library only.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from importlib import metadata

from cloud import bootstrap
from cloud.setup.command import ROOT, CannotMake, pip_line
from cloud.setup.environments import STAMP, install_with_pip, make

PINS = os.path.join(ROOT, "requirements", "cloud.txt")
DOOR = os.path.join(ROOT, "cloud", "generator.py")
LOWEST = 4  # openstacksdk 4.0, as in pyproject.toml
LIMIT_S = 600.0
SIZE = "openstacksdk: about 17 MB to load, 70 MB on disk, usually half a minute, at most 10"
PIP_LINE = pip_line(f"openstacksdk>={LOWEST}")


def has_sdk() -> bool:
    """Whether this Python can import an openstacksdk that is new enough."""
    if importlib.util.find_spec("openstack") is None:
        return False
    try:
        found = metadata.version("openstacksdk").partition(".")[0]
    except metadata.PackageNotFoundError:
        return False
    return found.isdigit() and int(found) >= LOWEST


def is_checkout() -> bool:
    """Whether pins and the door lie beside this file: an installed wheel has neither."""
    return os.path.exists(PINS) and os.path.exists(DOOR)


def environment() -> str:
    """Return the Python of `.build/cloud`, made or renewed if need be. Raises CannotMake."""

    def build(aside: str) -> None:
        install_with_pip(aside, PINS, "openstacksdk", limit_s=LIMIT_S)

    return make(".build/cloud", [PINS], build, SIZE, otherwise=PIP_LINE)


def go_on_with_sdk() -> None:
    """Start this command again, same arguments, in `.build/cloud`. Raises CannotMake, never returns."""
    python = environment()
    own = os.path.dirname(os.path.dirname(python))
    if os.path.realpath(sys.prefix) == os.path.realpath(own) and os.path.exists(os.path.join(own, STAMP)):
        raise CannotMake(f"{own} is damaged; type: rm -rf {own}")  # it would go round in circles
    bootstrap.become(python, [DOOR, *sys.argv[1:]])
