"""prepare: code and environment below the work directory, on the login node; again at no cost."""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Callable, Iterator, Sequence

from .. import machine, requirements, uv
from ..context import Context, write_json
from ..failure import StageFailed, problem
from ..stages import source
from ..stages.environment import (
    choose_engine,
    make_environment,
    one_node_at_a_time,
    place_probe,
    program_environment,
)
from ..walk import shown, stage
from . import places, record
from .places import FAILED, SlurmContext, say

_SAY_S = 10.0
_OTHER = "--prepare --work-dir DIR chooses another work directory"


def main(words: Sequence[str]) -> int:
    """`prepare [--in-place DIR] [--archive] [--gpu] [-- COMMAND …]`; 0 when all is there."""
    parser = argparse.ArgumentParser(prog="prepare")
    at = list(words).index("--") if "--" in words else len(words)
    words, command = words[:at], words[at + 1 :]
    parser.add_argument("--in-place", default="")
    parser.add_argument("--archive", action="store_true")
    parser.add_argument("--gpu", action="store_true")
    asked = parser.parse_args(words)
    wanted = {"in_place": asked.in_place, "gpu": asked.gpu}
    try:
        found = _known(wanted) or _made(asked, wanted)
        if command:
            try:
                _run(found, command)
            finally:
                _archive_file().unlink(missing_ok=True)  # it has not what the command fetched
        if asked.archive:
            _archive(found)
    except StageFailed as error:
        shows = shown(error.problem)
        say("", f"not prepared: {shows['what']}", *(f"  {line}" for line in error.problem["log"][-10:]))
        say(*(f"  {word:5} {shows[word]}" for word in ("where", "fix") if shows[word]))
        return FAILED
    except OSError as error:
        say("", f"not prepared: {places.work()} can't be used: {error}", f"  fix   {_OTHER}")
        return FAILED
    commit = found["commit"][:12] or "none"
    say(f"prepared in {places.work()}: commit {commit}, {found['kind']}, engine {found['engine']}")
    return 0


def _known(wanted: dict[str, Any]) -> dict[str, Any] | None:
    """What an earlier `--prepare` made, where it still is and the same is wanted."""
    try:
        found = places.prepared()
    except (OSError, ValueError):
        return None
    is_there = Path(found["environment"], ".complete").is_file() and Path(found["checkout"]).is_dir()
    return found if is_there and found["wanted"] == wanted and not wanted["in_place"] else None


def _made(asked: argparse.Namespace, wanted: dict[str, Any]) -> dict[str, Any]:
    context = places.preparing()
    context.begin_attempt(1)
    context.found["wants_gpu"] = asked.gpu
    if asked.in_place:
        context.layout = places.Places(
            context.layout.root, places.work(), "", Path(os.path.abspath(asked.in_place))
        )
        _look_at(context)
    else:
        with _progress(context):
            stage(context, "source", source.run)
        (context.layout.root / "source.tar").unlink(missing_ok=True)
    with _progress(context):
        stage(context, "environment", _environment)
    found = {
        "commit": context.found["commit"], "checkout": str(context.layout.checkout("")),
        "environment": str(context.found["environment"]), "uv": str(context.found["uv"]),
        "engine": context.found["engine"], "kind": context.found["kind"], "wanted": wanted,
        "python": sys.executable, "version": platform.python_version(),
    }  # fmt: skip
    write_json(places.prepared_file(), found)
    return found


def _look_at(context: SlurmContext) -> None:
    """A checkout of the user's own: its commit, and whether it is as committed."""
    top, path = context.layout.checkout(""), context.job.program_path
    if not (top / path).is_file():
        raise StageFailed(
            "entrypoint-not-found",
            f"{path} is not in {top}",
            where=path,
            fix="name the top of the repository",
        )
    asked = [["rev-parse", "HEAD"], ["status", "--porcelain", "--untracked-files=no"]]
    said = [_git(top, *words) for words in asked]
    context.found["commit"] = said[0]
    if said[1]:
        say(f"note: {top} has changes that are not committed; the job runs them")


def _git(top: Path, *words: str) -> str:
    command = ["git", "-C", str(top), *words]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _environment(context: Context, deadline: float) -> str:
    """As on a machine of a cloud, but for the kind of node that was asked for: the login node is another."""
    choose_engine(context)
    names = ["asked for"] if context.found["wants_gpu"] else []
    kind, layout = machine.kind(names), context.layout
    context.found.update(gpus=names, owner=None, kind=kind)
    _have_venv(context)
    with one_node_at_a_time(context, deadline):
        program = uv.program(context, deadline)
        chosen = requirements.file(context.program_directory, context.found["engine"])
        lock = layout.run("") / f"lock-{kind}.txt"
        lock.write_text(requirements.resolved(context, program, chosen, bool(names), deadline))
        environment = layout.environments / requirements.digest(kind + lock.read_text())[:16]
        if not (environment / ".complete").exists():
            make_environment(context, program, lock, environment, deadline)
        for words in requirements.local(chosen):
            words = ["pip", "install", "--no-deps", *words]  # noqa: PLW2901 - the same words, whole
            uv.run(context, program, words, environment, deadline, cwd=chosen.parent)
        place_probe(environment)
    context.found.update(environment=environment, uv=program)
    return f"{kind}, Python {platform.python_version()}"


def _have_venv(context: Context) -> None:
    missing = [name for name in context.host.missing_packages() if name != "git"]
    if missing:
        what = f"this Python ({sys.executable}) lacks {' and '.join(missing)}"
        raise StageFailed("package-missing", what, fix="load a module with a whole Python: --modules python")


@contextmanager
def _progress(context: Context) -> Iterator[None]:
    """Say now and then what the stage's log said last: nobody waits before a silent screen."""
    ended = threading.Event()

    def repeat() -> None:
        began = time.monotonic()
        while not ended.wait(_SAY_S):
            lines = _lines(context.layout.logs / f"{context.stage}.log")
            say(f"  {context.stage}, {time.monotonic() - began:.0f} s: {lines[-1][:100] if lines else '…'}")

    threading.Thread(target=repeat, daemon=True).start()
    try:
        yield
    finally:
        ended.set()


def _run(found: dict[str, Any], words: Sequence[str]) -> None:
    """The user's own command in what was prepared; one word is a line for bash. What it prints is seen."""
    context = places.preparing()
    context.layout = places.Places(context.layout.root, places.work(), "", Path(found["checkout"]))
    context.found.update(environment=Path(found["environment"]), uv=Path(found["uv"]))
    argv = ["bash", "-c", words[0]] if len(words) == 1 else list(words)
    environment = context.base_environment(program_environment(context))
    say(f"+ {' '.join(words)}")
    code = subprocess.run(argv, cwd=context.program_directory, env=environment, check=False).returncode
    if code:
        raise StageFailed("setup-failed", f"{' '.join(words)[:100]} ended with exit code {code}")


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()[-5:]
    except OSError:
        return []


def archive(words: Sequence[str]) -> int:
    """`archive`: what was prepared as one file, for nodes that don't see it."""
    try:
        _archive(places.prepared())
    except StageFailed as error:
        found = {**error.problem, "what": f"nothing can be sent to the nodes: {error}"}
    except OSError as error:
        found = problem("work-dir", f"{places.work()} can't be used: {error}", fix=_OTHER)
    else:
        return 0
    record.end(record.Standing(record.remembered()), {**found, "node": "master", "stage": "rendezvous"})
    return FAILED


def _archive_file() -> Path:
    return places.prepared_file().with_name("archive.tar")


def _archive(found: dict[str, Any]) -> None:
    """One file with all that a node needs, for `sbcast`; unpacked there below the same work directory."""
    target, top, program = _archive_file(), _real(places.work()), _real(Path(sys.argv[0]))
    holds = target.with_name("archive.program")  # its SHA-256: job.sbatch of another version has another
    newest = max(
        places.prepared_file().stat().st_mtime, Path(found["environment"], ".complete").stat().st_mtime
    )
    is_new = target.is_file() and target.stat().st_mtime > newest
    if is_new and holds.is_file() and holds.read_text() == program.name:
        return
    inside = [Path(found["checkout"]), Path(found["environment"]), places.prepared_file()]
    inside = [*map(_real, inside), top / "data", program]
    apart = [path for path in inside if top not in path.parents]
    if apart:
        what = f"{apart[0]} is not below {top}, and nodes that don't see it get only what is"
        raise StageFailed("checkout-elsewhere", what, fix="prepare without --in-place")
    partial = target.with_name("archive.part")
    say(f"  writing {target}")
    with tarfile.open(partial, "w") as tar:
        for path in inside:
            tar.add(path, str(path.relative_to(top)), filter=_without(target.name))
    holds.unlink(missing_ok=True)
    partial.replace(target)
    holds.write_text(program.name)
    free, size = shutil.disk_usage("/tmp").free, target.stat().st_size
    say(f"  {size / 1e9:.2f} GB to send to every node ({free / 1e9:.0f} GB are free in /tmp here)")


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))  # a work directory may be reached through a link


def _without(name: str) -> Callable[[tarfile.TarInfo], tarfile.TarInfo | None]:
    return lambda info: None if os.path.basename(info.name) in (name, "__pycache__") else info
