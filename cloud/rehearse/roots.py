"""Where the machines of a rehearsal live: locked roots per repository, and uv's cache beside them.

CACHE/nodes/digits-1a2b3c/0/{master,worker-1,…}/     slot 0; a second rehearsal at once takes slot 1
CACHE/uv/                                            only when the person's own uv cache can't serve
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from cloud.errors import Problem, ProblemsFound
from cloud.node.console import node_rank
from cloud.node.engines import ray

MAX_SLOTS = 64
NODE_BYTES = 100_000_000
NEEDED_BYTES = 2 * 10**9  # CPU torch with Lightning, unpacked: 1.4 GB; a node's own files are hard links
NEEDED_GPU_BYTES = 6 * 10**9  # torch with CUDA: 5.3 GB
_RUNS = "var/lib/hotrun/runs"
_LONGEST_TEMP = 107 - len("/pymp-xxxxxxxx/listener-xxxxxxxx")  # a Unix socket's path has 107 characters

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Roots:
    """A locked directory with one root per machine; the lock lives as long as the descriptor."""

    directory: Path
    lock: int

    def node(self, name: str) -> Path:
        """The root of one machine."""
        return self.directory / name

    def close(self) -> None:
        """Let the next rehearsal of this repository have the roots."""
        os.close(self.lock)


def cache_directory(environ: Mapping[str, str]) -> Path:
    """A writable directory of this user for what is kept between rehearsals.

    HOTRUN_CACHE_DIR, else XDG_CACHE_HOME/hotrun, else ~/.cache/hotrun, else one in the temporary
    directory: HOME may be unset, unwritable, or another user's. Raises ProblemsFound when
    HOTRUN_CACHE_DIR was given and can't be used.
    """
    given = environ.get("HOTRUN_CACHE_DIR")
    if given:
        if is_usable(Path(given).absolute()):
            return Path(given).absolute()
        what = f"HOTRUN_CACHE_DIR is {given}, which this user can't write or does not own"
        raise ProblemsFound(Problem(code="cache-not-usable", what=what, fix="name a directory of your own"))
    for candidate in _default_caches(environ, "hotrun"):
        if is_usable(candidate):
            return candidate
    fallback = Path(tempfile.gettempdir()) / f"hotrun-{os.geteuid()}"
    is_ours = not fallback.is_symlink() and is_usable(fallback)  # anybody may make names there
    return fallback if is_ours else Path(tempfile.mkdtemp(prefix="hotrun-"))


def uv_cache(environ: Mapping[str, str], cache: Path, say: Say) -> Path:
    """The person's own uv cache when hard links from it work, else one beside the roots, saying why."""
    own = (
        [Path(environ["UV_CACHE_DIR"]).absolute()]
        if environ.get("UV_CACHE_DIR")
        else _default_caches(environ, "uv")
    )
    reason = "this user has no home"
    for candidate in own[:1]:
        if not is_usable(candidate):
            reason = f"{candidate} is not this user's own or not writable"
        elif candidate.stat().st_dev != cache.stat().st_dev:
            reason = f"{candidate} is on another file system than {cache}"
        else:
            return candidate
    beside = cache / "uv"
    beside.mkdir(parents=True, exist_ok=True)
    say(f"packages are kept in {beside}: {reason}")
    return beside


def take(cache: Path, key: str, names: list[str], *, is_fresh: bool) -> Roots:
    """Lock the first free slot of `key` and prepare a root per machine, without what earlier runs proved.

    Raises ProblemsFound when all slots are in use.
    """
    parent = cache / "nodes" / key
    parent.mkdir(parents=True, exist_ok=True)
    for slot in range(MAX_SLOTS):
        lock = os.open(parent / f"{slot}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:  # another rehearsal has it
            os.close(lock)
            continue
        roots = Roots(parent / str(slot), lock)
        if is_fresh:
            remove(roots.directory)
        for name in names:
            _clean(roots.node(name))
        return roots
    raise ProblemsFound(
        Problem(code="no-free-roots", what=f"{MAX_SLOTS} rehearsals of this repository are running already")
    )


def key(repo: str, requirements: str) -> str:
    """Directory name for a repository's roots: its short name and a hash, so that a new commit keeps them."""
    digest = hashlib.sha256(f"{repo}\n{requirements}".encode()).hexdigest()
    return f"{short_name(repo)[:20]}-{digest[:6]}"


def short_name(repo: str) -> str:
    """`digits` for https://github.com/you/digits.git."""
    last = re.split(r"[/:]", repo.rstrip("/"))[-1]
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", last.removesuffix(".git")).strip("-.")
    return name or "run"


def check_disk(roots: Roots, uv_cache: Path, nnodes: int, say: Say) -> list[Problem]:
    """Say how much is needed and free; return what can't be enough, what may not be, and too long a path.

    Packages lie in uv's cache and are linked into the machines' roots: the fuller of both volumes counts.
    """
    place = min((roots.directory, uv_cache), key=_free_bytes)
    free = _free_bytes(place)
    is_new = not (roots.node("master") / "opt/hotrun/env").exists()
    own = nnodes * NODE_BYTES
    needed, most = own + (NEEDED_BYTES if is_new else 0), own + (NEEDED_GPU_BYTES if is_new else 0)
    with_cuda = f", up to {NEEDED_GPU_BYTES / 1e9:.0f} GB with CUDA" if is_new else ""
    use = "new" if is_new else "kept from an earlier run"
    say(f"machines in {roots.directory} ({use}): about {needed / 1e9:.1f} GB{with_cuda};"
        f" {free / 1e9:,.0f} GB free")  # fmt: skip
    fix = "free some space, or set HOTRUN_CACHE_DIR to another disk"
    told = f"{place}: {free / 1e9:.1f} GB free"
    if free < needed:
        return [Problem(code="disk-full", what=f"{told}, about {needed / 1e9:.1f} GB needed", fix=fix)]
    problems = []
    if free < most:
        what = f"{told}, which does not last for packages with CUDA ({most / 1e9:.1f} GB)"
        problems.append(Problem(code="disk-short", level="warning", what=what, fix=fix))
    if len(str(roots.node("worker-000") / "tmp")) > _LONGEST_TEMP:
        what = f"{roots.directory} is so long a path that sockets of a program's data loaders may not fit"
        fix = "set HOTRUN_CACHE_DIR to a short path"
        problems.append(Problem(code="path-too-long", level="warning", what=what, fix=fix))
    return problems


def _free_bytes(directory: Path) -> int:
    return shutil.disk_usage(directory).free


def is_usable(directory: Path) -> bool:
    """Whether this user owns the directory and can write there; made if missing, tried by doing it."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        if directory.stat().st_uid != os.geteuid():
            return False
        with tempfile.TemporaryFile(dir=directory):
            return True
    except OSError:
        return False


def remove(tree: Path) -> None:
    """Delete a tree, directories without write permission included."""
    if not tree.exists():
        return
    for path, directories, _ in os.walk(tree):
        for name in directories:
            child = Path(path, name)
            if not child.is_symlink():
                child.chmod(stat.S_IRWXU)
    shutil.rmtree(tree)


def remove_scratch(root: Path) -> None:
    """Delete what a machine that was killed left of its runs in a /tmp that is this computer's own."""
    for run in (root / _RUNS).glob("*"):
        shutil.rmtree(ray.directory(run.name, node_rank(root.name)), ignore_errors=True)


def _clean(root: Path) -> None:
    """Keep a machine's packages and data; what a run made is gone and can't count for the next one."""
    remove_scratch(root)
    for below in (_RUNS, "var/lib/hotrun/shared/runs", "var/log/hotrun", "tmp"):
        remove(root / below)
    for below in ("tmp", "home"):
        (root / below).mkdir(parents=True, exist_ok=True)


def _default_caches(environ: Mapping[str, str], name: str) -> list[Path]:
    found = []
    if environ.get("XDG_CACHE_HOME", "").startswith("/"):  # the specification: others are ignored
        found.append(Path(environ["XDG_CACHE_HOME"]) / name)
    if environ.get("HOME", "").startswith("/"):
        found.append(Path(environ["HOME"]) / ".cache" / name)
    return found
