"""Pins and a way to build -> an environment of this checkout, made once. Python 3.7 can read it.

Standard library only. Each is built aside under a lock, renamed into place, and carries the hash of its pins.
Where the checkout can't be written, all of them live in the user's cache directory. Speaks on stderr, never
reads stdin.
"""

from __future__ import annotations

import contextlib
import glob
import hashlib
import importlib.util
import os
import shutil
import sys
import tempfile
import time
from typing import Callable, Iterator

from cloud.setup.command import ROOT, CannotMake, run, say

STAMP = "hotrun-pins"  # in an environment that this file made: the hash of what was installed
PIP_LINE = "python3 -m pip install click rich PyYAML Jinja2"


def make(
    name: str,
    pins: list[str],
    build: Callable[[str], None],
    size: str,
    *,
    variant: str = "",
    skip_root: bool = False,
    otherwise: str = PIP_LINE,
) -> str:
    """Return the Python of environment `name`, built by `build(directory)` unless it has these pins.

    `name` is `.venv` or `.build/…`; `variant` says what the pins don't; `otherwise` is what to type
    where no directory can be written. Raises CannotMake then, and where `build` failed.
    """
    stamp = hash_of(pins) + variant
    places = list(_homes())[1 if skip_root else 0 :]
    for home in places:
        if is_ready(os.path.join(home, name), stamp):
            return python_of(os.path.join(home, name))
    home = next(filter(_can_write, places), "")
    if not home:
        raise CannotMake(f"nothing can be written in {' or '.join(places)}; type: {otherwise}")
    final, work = os.path.join(home, name), os.path.join(home, ".build")
    base = os.path.join(work, os.path.basename(name).lstrip("."))
    with alone(base + ".lock"):
        if is_ready(final, stamp):  # another start made it while this one waited
            return python_of(final)
        for left in glob.glob(base + ".new-*") + glob.glob(base + ".old-*"):
            shutil.rmtree(left, ignore_errors=True)
        say(f"{'renewing' if os.path.isdir(final) else 'first start: making'} {final} ({size})")
        began = time.monotonic()
        _build(build, final, base, stamp)
        say(f"made in {time.monotonic() - began:.1f} s")
    return python_of(final)


def _build(build: Callable[[str], None], final: str, base: str, stamp: str) -> None:
    """Build aside and rename into place: what is at `final` is whole at every moment."""
    aside, old = f"{base}.new-{os.getpid()}", f"{base}.old-{os.getpid()}"
    try:
        build(aside)
        _settle(aside, final)
        with open(os.path.join(aside, STAMP), "w") as handle:
            handle.write(stamp)
        if os.path.lexists(final):
            os.rename(final, old)
        os.rename(aside, final)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def install_with_pip(directory: str, pins: str, what: str, limit_s: float | None = None) -> None:
    """Make an environment of exactly `pins`, by a pip in an environment that is thrown away after.

    Each step ends after `limit_s` seconds, if given: CannotMake.
    """
    if importlib.util.find_spec("ensurepip") is None or importlib.util.find_spec("venv") is None:
        # the package's name on Debian and Ubuntu; other systems ship the module with Python
        raise CannotMake(f"{sys.executable} can't make environments; type: sudo apt install python3-venv")
    python = os.path.realpath(getattr(sys, "_base_executable", "") or sys.executable)
    pip = directory + "-pip"
    try:
        run([python, "-I", "-m", "venv", pip], "pip", limit_s=limit_s)
        run([python, "-I", "-m", "venv", "--without-pip", directory], what, limit_s=limit_s)
        target = [python_of(pip), "-I", "-m", "pip", "--python", python_of(directory)]
        run([*target, *_PIP_INSTALL, "-r", pins], what, limit_s=limit_s)
    finally:
        shutil.rmtree(pip, ignore_errors=True)


_PIP_INSTALL = ["install", "--quiet", "--disable-pip-version-check", "--no-input", "--no-user"]
_PIP_INSTALL += ["--retries", "2", "--prefer-binary", "--require-hashes"]


def python_of(directory: str) -> str:
    """The Python of an environment."""
    return os.path.join(directory, *(("Scripts", "python.exe") if os.name == "nt" else ("bin", "python")))


@contextlib.contextmanager
def alone(path: str) -> Iterator[None]:
    """Hold a lock file: two starts build one after the other. Without fcntl the rename alone decides."""
    try:
        import fcntl

        handle = open(path, "a")  # noqa: SIM115 - closed by the with below
    except (ImportError, OSError):
        yield
        return
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            say("another start is making it; waiting")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _homes() -> Iterator[str]:
    """Directories that may hold the environments, the best first."""
    yield ROOT
    key = hashlib.sha256(ROOT.encode("utf-8", "surrogateescape")).hexdigest()[:12]
    cache = os.environ.get("XDG_CACHE_HOME", "")
    if not os.path.isabs(cache):
        cache = os.path.join(os.path.expanduser("~"), ".cache")
    if os.path.isabs(cache):
        yield os.path.join(cache, "hotrun", key)
    user = str(os.getuid()) if hasattr(os, "getuid") else "user"
    yield os.path.join(tempfile.gettempdir(), "hotrun-" + user, key)


def _is_private(directory: str) -> bool:
    """Whether nobody else could have put something there: /tmp is for everybody."""
    parent = os.path.dirname(directory)
    if directory == ROOT or os.name == "nt" or not os.path.lexists(parent):
        return True
    found = os.lstat(parent)
    return not os.path.islink(parent) and found.st_uid == os.getuid() and not found.st_mode & 0o022


def _can_write(home: str) -> bool:
    try:
        if not _is_private(home):
            return False
        if home != ROOT:
            os.makedirs(os.path.dirname(home), mode=0o700, exist_ok=True)
        os.makedirs(os.path.join(home, ".build"), exist_ok=True)
        for directory in (home, os.path.join(home, ".build")):
            tempfile.TemporaryFile(dir=directory).close()
    except OSError:
        return False
    return True


def is_ready(directory: str, stamp: str) -> bool:
    """Whether an environment is there, whole, with this stamp, and nobody else's."""
    try:
        with open(os.path.join(directory, STAMP)) as handle:
            same = handle.read() == stamp
    except OSError:
        return False
    home = os.path.dirname(directory)
    home = os.path.dirname(home) if os.path.basename(home) == ".build" else home
    return same and os.access(python_of(directory), os.X_OK) and _is_private(home)


def hash_of(paths: list[str]) -> str:
    """One hash of the contents of files, as hexadecimal digits."""
    total = hashlib.sha256()
    for path in paths:
        with open(path, "rb") as handle:
            total.update(handle.read())
    return total.hexdigest()


def _settle(aside: str, final: str) -> None:
    """Write the final place into the scripts that name the directory they were built in."""
    folder = os.path.dirname(python_of(aside))
    for path in [
        os.path.join(aside, "pyvenv.cfg"),
        *(os.path.join(folder, name) for name in os.listdir(folder)),
    ]:
        if os.path.islink(path) or not os.path.isfile(path) or os.path.getsize(path) > 65536:
            continue
        with open(path, "rb") as handle:
            data = handle.read()
        if aside.encode() in data:
            with open(path, "wb") as handle:
                handle.write(data.replace(aside.encode(), final.encode()))
