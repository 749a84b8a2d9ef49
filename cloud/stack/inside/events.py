"""On a machine: where a run writes TensorBoard's events. Part of inside.py: standard library, Python 3.9.

TensorBoard looks at a directory of links, one for each attempt and each place of the checkout with events,
so that what comes later is shown too.
"""

from __future__ import annotations

import contextlib
import glob
import hashlib
import os
import shutil
import tempfile
from typing import Iterator

from cloud.stack.inside.run import current, runs

EVENTS = "tfevents"  # in the name of every event file


class Links:
    """A directory of links to the places where events are written."""

    def __init__(self, top: str) -> None:
        self.top = top

    def renew(self, wanted: dict[str, str]) -> int:
        """Make the links name -> place, without those that are gone; how many event files there are."""
        os.makedirs(self.top, exist_ok=True)
        os.chmod(self.top, 0o755)  # noqa: S103 - TensorBoard runs as another user
        for name, place in wanted.items():
            path = os.path.join(self.top, name)
            with contextlib.suppress(OSError):  # another look makes it at the same time
                if os.path.islink(path) and os.readlink(path) != place:
                    os.unlink(path)
                if not os.path.lexists(path):
                    os.makedirs(os.path.dirname(path), exist_ok=True)
                    os.symlink(place, path)
        return sum(count(place) for place in set(wanted.values()))

    def remove(self) -> None:
        """Remove it; what it names stays."""
        shutil.rmtree(self.top, ignore_errors=True)


def places(root: str, first: str) -> dict[str, str]:
    """Name -> directory: each attempt's results, and what the program writes into its own directory.

    `first`: the run that was looked at first; another one's names begin with its own.
    """
    run, attempt, _ = current(root)
    found = {}
    prefix = "" if run == first else run + "/"
    for number in range(1, attempt + 1):
        place = os.path.join(runs(root), run, "%d-here" % number, "results")
        if os.path.isdir(place):
            found["%sattempt-%d" % (prefix, number)] = place
    checkout = os.path.join(runs(root), run, "src")
    try:
        since = os.stat(os.path.join(runs(root), run, "files-before.json")).st_mtime
    except OSError:  # the program has not begun
        return found
    for directory, names in event_files(checkout):
        if any(_written_at(os.path.join(directory, name)) >= since for name in names):
            relative = os.path.relpath(directory, checkout)
            found["%sfiles/%s" % (prefix, "top" if relative == "." else relative)] = directory
    return found


def event_files(top: str) -> Iterator[tuple[str, list[str]]]:
    """(directory, names) of the event files below `top`."""
    for directory, folders, names in os.walk(top):
        folders[:] = [name for name in folders if name not in (".git", "__pycache__")]
        found = [name for name in names if EVENTS in name]
        if found:
            yield directory, found


def count(top: str) -> int:
    """How many event files are below `top`."""
    return sum(len(names) for _, names in event_files(top))


def _written_at(path: str) -> float:
    try:
        return os.stat(path).st_mtime
    except OSError:
        return 0.0


def python_of(root: str, run: str) -> str:
    """The Python of the environment that a run's lock names (cloud/node/stages/environment.py), or empty."""
    for path in glob.glob(os.path.join(glob.escape(os.path.join(runs(root), run)), "lock-*.txt")):
        kind = os.path.basename(path)[len("lock-") : -len(".txt")]
        with contextlib.suppress(OSError), open(path, encoding="utf-8") as file:
            name = hashlib.sha256((kind + file.read()).encode()).hexdigest()[:16]
            environment = os.path.join(root, "opt/hotrun/env", name)
            if os.path.exists(os.path.join(environment, ".complete")):
                return os.path.join(environment, "bin/python")
    return ""


def has_tensorboard(python: str) -> bool:
    """Whether that environment can start one."""
    top = os.path.dirname(os.path.dirname(python))
    return bool(glob.glob(os.path.join(glob.escape(top), "lib/python3*/site-packages/tensorboard/main.py")))


def directory(root: str, run: str) -> str:
    """Where the links are: one place for all who look at a run, where this user may write there."""
    common = os.path.join(root, "var/lib/hotrun/tensorboard")
    with contextlib.suppress(OSError):
        os.makedirs(common, exist_ok=True)
        os.chmod(common, 0o755)  # noqa: S103 - so do others that look
        if os.access(common, os.W_OK):
            return os.path.join(common, run)
    return tempfile.mkdtemp(prefix="hotrun-")
