"""environment: uv, a lock per kind of node, an environment per lock, the probe, the set-up command."""

from __future__ import annotations

import fcntl
import os
import platform
import shutil
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator

from .. import adapt, engines, machine, probe, requirements, uv
from ..context import Context
from ..failure import StageFailed
from ..recognise import misfit, recognise

_GIB = 2**30
_TORCH_DISK_BYTES = 7 * _GIB  # the CUDA build: 3 GB loaded, 5.2 GB unpacked
_OTHER_DISK_BYTES = _GIB
_DRIVER_S = 180.0  # a GPU image loads its driver, or builds it, while this program already runs


def run(context: Context, deadline: float) -> str:
    """Make the environment. Returns its size and kind, for the console."""
    choose_engine(context)
    patience_s = 0.0 if context.host.is_rehearsal else _DRIVER_S
    gpus = machine.gpus(time.monotonic() + patience_s, context.waiting)
    kind = machine.kind(gpus)
    layout = context.layout
    owned = [layout.checkout(context.run), layout.data, layout.home, layout.bytecode, layout.environments]
    owner = context.host.program_user(
        [*owned, layout.tools, uv.cache(context), context.own_directory, layout.checkpoints(context.run)]
    )
    context.found.update(gpus=gpus, owner=owner)
    with one_node_at_a_time(context, deadline):
        program = uv.program(context, deadline)
    chosen = requirements.file(context.program_directory, context.found["engine"])
    lock = _lock(context, program, chosen, kind, deadline)
    own = layout.environments / requirements.digest(kind + lock.read_text())[:16]
    with context.found.get("turn", _own)(context, own, deadline) as (environment, is_to_be_made):
        if is_to_be_made:
            _fill(context, program, lock, environment, deadline)
        context.found.update(environment=environment, uv=program)
        run_setup(context, deadline)
    return f"{kind}, Python {platform.python_version()}"


@contextmanager
def _own(context: Context, own: Path, deadline: float) -> Iterator[tuple[Path, bool]]:
    """Every node makes its own environment, unless share.py says otherwise."""
    yield own, True


def _fill(context: Context, program: Path, lock: Path, environment: Path, deadline: float) -> None:
    chosen = requirements.file(context.program_directory, context.found["engine"])
    with one_node_at_a_time(context, deadline):
        if not (environment / ".complete").exists():
            make_environment(context, program, lock, environment, deadline)
    for words in requirements.local(chosen):  # after the lock, without hashes: it is this checkout's own code
        command = ["pip", "install", "--no-deps", *words]
        uv.run(context, program, command, environment, deadline, cwd=chosen.parent)
    place_probe(environment)


def choose_engine(context: Context) -> None:
    """Read the program, and find out what trains."""
    path = context.program_directory / context.job.entrypoint
    top = context.layout.checkout(context.run)

    def read(name: str) -> str | None:
        file = top / name
        return file.read_text("utf-8-sig", "replace") if file.is_file() else None

    try:
        recognition = recognise(path.read_text("utf-8-sig"), context.job.program_path, read)
    except (SyntaxError, ValueError) as error:  # ValueError: not UTF-8, or null bytes
        where = f"{context.job.program_path}:{getattr(error, 'lineno', None) or 1}"
        what = f"{where}: {getattr(error, 'msg', None) or error}"
        raise StageFailed("entrypoint-not-python", what, where=where) from error
    wanted, seen = context.job.engine, recognition.engine
    engine = seen if wanted in ("auto", seen.partition("-")[0]) else wanted  # may be its CLI
    if misfit(engine, seen):
        what = f"engine is {engine}, but {recognition.where} is written for {seen} ({recognition.evidence})"
        raise StageFailed(
            "engine-differs", what, where=recognition.where, fix=f"generate with --engine {seen}"
        )
    context.found.update(recognition=recognition, engine=engine)


@contextmanager
def one_node_at_a_time(context: Context, deadline: float) -> Iterator[None]:
    """Nodes that share a cache take turns: uv itself would load the same wheels once per node."""
    lock = uv.cache(context) / ".hotrun.lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                context.connected().raise_if_over()
                if time.monotonic() > deadline:
                    raise
                context.waiting("waiting for another machine that fills the shared package cache")
                time.sleep(0.1)
        yield


def _lock(context: Context, program: Path, chosen: Path, kind: str, deadline: float) -> Path:
    """One lock for all nodes of a kind: the first that asks resolves it, the others take it."""
    link, name = context.connected(), f"lock-{kind}"
    target = context.layout.run(context.run) / f"{name}.txt"  # kept for a start in the middle
    if link.claim(name):
        if not target.is_file():
            text = requirements.resolved(context, program, chosen, bool(context.found["gpus"]), deadline)
            target.with_suffix(".part").write_text(text)
            target.with_suffix(".part").replace(target)
        link.publish(name, target)
    elif not target.is_file():
        link.published(name, deadline)
        link.fetch(name, target)
    return target


def _require_disk(context: Context, loads: bool, has_torch: bool) -> None:
    needed = _TORCH_DISK_BYTES if has_torch else _OTHER_DISK_BYTES
    free = shutil.disk_usage(context.layout.state).free
    if loads and free < needed:
        raise StageFailed(
            "disk-full",
            f"{context.identity.name} has {free / _GIB:.1f} GiB of free disk and needs {needed / _GIB:.0f}",
            fix="choose a flavor with a larger disk",
        )


def make_environment(context: Context, program: Path, lock: Path, environment: Path, deadline: float) -> None:
    """Make the environment of a lock anew."""
    shutil.rmtree(environment, ignore_errors=True)
    uv.run(
        context, program, ["venv", "--quiet", "--python", sys.executable, str(environment)], None, deadline
    )
    locked = requirements.Lock.read(lock.read_text())
    words = ["pip", "sync", "--require-hashes", "--allow-empty-requirements", *locked.index_words, str(lock)]
    plan = uv.run(context, program, [*words, "--dry-run"], environment, deadline)
    _require_disk(
        context, any(line.startswith("Would download") for line in plan), "\nnvidia-cudnn" in locked.text
    )
    uv.run(context, program, words, environment, deadline)
    for requirement in locked.unhashed:
        uv.run(context, program, ["pip", "install", "--no-deps", requirement], environment, deadline)
    (environment / ".complete").touch()


def place_probe(environment: Path) -> None:
    """Let every interpreter of the environment record what it joins."""
    for packages in environment.glob("lib/python3*/site-packages"):
        shutil.copyfile(probe.__file__, packages / "hotrun_probe.py")
        (packages / "hotrun_probe.pth").write_text("import hotrun_probe\n")
        shutil.copyfile(adapt.__file__, packages / "hotrun_adapt.py")
        for path in Path(engines.__file__).parent.glob("*_probe.py"):  # of the engines that came along
            shutil.copyfile(path, packages / f"hotrun_{path.name}")
            (packages / f"hotrun_{path.stem}.pth").write_text(f"import hotrun_{path.stem}\n")
        (packages / "hotrun_adapt.pth").write_text("import hotrun_adapt; hotrun_adapt.install()\n")


def run_setup(context: Context, deadline: float) -> None:
    """Run the job's set-up command, once in a run."""
    done = context.layout.run(context.run) / "set-up"
    if not context.job.setup or done.exists():
        return
    env = program_environment(context)
    code, tail = context.execute(
        ["bash", "-c", context.job.setup],
        deadline=deadline,
        cwd=context.program_directory,
        env=env,
    )
    if code != 0:
        raise StageFailed(
            "setup-failed", f"the set-up command ended with exit code {code}", log=tail, where="setup"
        )
    done.touch()


def program_environment(context: Context) -> dict[str, str]:
    """What the user's program and set-up command see beside the base: the environment's own Python first."""
    environment: Path = context.found["environment"]
    path = os.pathsep.join(
        [str(environment / "bin"), str(context.found["uv"].parent), context.base_environment()["PATH"]]
    )
    return {
        "PATH": path,
        "VIRTUAL_ENV": str(environment),
        "HOTRUN_DATA_DIR": str(context.layout.data),
        "PYTHONPYCACHEPREFIX": str(context.layout.bytecode),
        **context.found.get("variables", {}),
        **dict(pair.partition("=")[::2] for pair in context.job.env),
    }
