#!/usr/bin/env python3
"""A bare Python -> one that can run the program. Standard library only; Python 3.7 can read it.

    .venv         what the program imports                  made at the first start
    .build/cloud  the same, and openstacksdk                made at the first command that asks a cloud
    .build/test   the test tools and the payload's torch    `python3 cloud/bootstrap.py test`
    .build/openstack  openstacksdk and the test tools       `python3 cloud/bootstrap.py openstack`
    .build/heat   the real Heat engine and its harness      `python3 cloud/bootstrap.py heat`
    .build/tensorboard  to look at a run    made at the first `hotrun tensorboard RUN` without one
    .build/ray    the same as .build/test, and Ray           `python3 cloud/bootstrap.py ray`
    .build/tensorflow  TensorFlow and the test tools        `python3 cloud/bootstrap.py tensorflow`
    .build/bench  the payload's torch, matplotlib and ray   `python3 cloud/bootstrap.py bench`

Never an ImportError and never a traceback: what can't be made is one sentence with the command that helps.
"""

from __future__ import annotations

import glob
import importlib.util
import os
import shutil
import subprocess
import sys
from typing import Callable

if __name__ == "__main__":  # as in generator.py: the checkout's root instead of cloud/
    HERE = os.path.dirname(os.path.realpath(__file__))
    sys.path[:] = [os.path.dirname(HERE)] + [entry for entry in sys.path if os.path.realpath(entry) != HERE]

from cloud.setup.command import ROOT, CannotMake, say
from cloud.setup.environments import PIP_LINE, STAMP, hash_of, install_with_pip, is_ready, make, python_of

MINIMUM_PYTHON = (3, 11)  # openstacksdk, python-heatclient and python-openstackclient ask for it
NEEDED = {  # import name -> (distribution, lowest version as in pyproject.toml)
    "click": ("click", (8, 1)),
    "rich": ("rich", (13, 0)),
    "yaml": ("PyYAML", (6, 0)),
    "jinja2": ("Jinja2", (3, 1)),
}
SIZE = "about 3 MB to load, 20 MB on disk, a few seconds"
PINS = os.path.join(ROOT, "requirements", "base.txt")


def enter() -> None:
    """Return where the program can be imported; else start it again in an environment where it can."""
    _go_on(_other_python, os.path.join(ROOT, "cloud", "generator.py"))


def _go_on(choice: Callable[[], str], script: str) -> None:
    """Start `script` again with the Python that `choice` names, if any, with the same arguments."""
    try:
        python = choice()
        if python:
            become(python, [script, *sys.argv[1:]])
    except CannotMake as error:
        sys.exit(f"hotrun: {error}")
    except KeyboardInterrupt:
        say("interrupted; nothing is left behind")
        sys.exit(130)


def environment() -> str:
    """Return the Python of the program's own environment, made or renewed if need be."""
    if not os.path.exists(PINS):
        raise CannotMake(f"click, rich, PyYAML or Jinja2 is missing here; type: {PIP_LINE}")
    own = os.path.join(ROOT, ".venv")
    foreign = os.path.isdir(own) and not os.path.exists(os.path.join(own, STAMP))
    if foreign and _holds_packages(own) and not _is_prefix(own):  # made by hand: used as it is, never renewed
        return python_of(own)

    def build(aside: str) -> None:
        install_with_pip(aside, PINS, "click, rich, PyYAML, Jinja2")

    return make(".venv", [PINS], build, SIZE, skip_root=foreign)


def _other_python() -> str:
    """The Python to change to, or empty when this one will do."""
    newer = _newer_python()
    if newer or _imports_here():
        return newer
    python = environment()
    if _is_prefix(os.path.dirname(os.path.dirname(python))) and not sys.flags.no_site:
        raise CannotMake(
            f"{sys.prefix} is damaged; type: rm -rf {sys.prefix}"
        )  # it would go round in circles
    return python


def _newer_python() -> str:
    if sys.version_info >= MINIMUM_PYTHON:
        return ""
    this = ".".join(map(str, sys.version_info[:2]))
    for minor in range(MINIMUM_PYTHON[1], MINIMUM_PYTHON[1] + 10):
        found = shutil.which(f"python3.{minor}")
        if found:
            say(f"Python {this} is too old, going on with {found}")
            return found
    raise CannotMake(f"Python 3.11 or newer is needed, this is {this}; install one: python3.11")


def _imports_here() -> bool:
    if any(importlib.util.find_spec(name) is None for name in NEEDED):
        return False
    if os.path.exists(
        os.path.join(sys.prefix, STAMP)
    ):  # ours; .build/test is no .venv that could be out of date
        return os.path.basename(sys.prefix) != ".venv" or is_ready(sys.prefix, hash_of([PINS]))
    from importlib import metadata  # 20 ms: not for the environment that we made

    for distribution, lowest in NEEDED.values():
        try:
            found = metadata.version(distribution).split(".")[: len(lowest)]
        except metadata.PackageNotFoundError:
            return False
        if tuple(int(part) if part.isdigit() else 0 for part in found) < lowest:
            return False
    return True


def become(python: str, arguments: list[str]) -> None:
    """Turn this process into another Python's, with its terminal and its working directory."""
    sys.stdout.flush()
    sys.stderr.flush()
    command = [python, "-I", *arguments]  # -I: a foreign PYTHONPATH must not hide what the pins say
    if os.name == "nt":  # execv there returns to the shell before the program has ended
        sys.exit(subprocess.call(command))
    os.execv(python, command)  # noqa: S606 - this process becomes the program


def _is_prefix(directory: str) -> bool:
    return os.path.realpath(sys.prefix) == os.path.realpath(directory)


def _holds_packages(directory: str) -> bool:
    places = glob.glob(os.path.join(directory, "lib", "python3*", "site-packages")) or [directory]
    return all(any(os.path.isdir(os.path.join(place, name)) for place in places) for name in NEEDED)


if __name__ == "__main__":
    _go_on(_newer_python, os.path.join(ROOT, "cloud", "bootstrap.py"))
    from cloud.setup import workshop

    sys.exit(workshop.main(sys.argv[1:]))
