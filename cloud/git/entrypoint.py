"""A job and the files of its commit (or tree) -> what trains, and what stands in the way. Pure.

Reads nothing itself: gets a listing and a function that returns a file's bytes.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterator, Mapping
from difflib import get_close_matches
from typing import TYPE_CHECKING

from cloud.errors import Problem
from cloud.node.recognise import Recognition, conflicts, misfit, reason, recognise
from cloud.request import rules

if TYPE_CHECKING:
    from cloud.model import Job
    from cloud.node.recognise import HardCoded

Listing = Mapping[str, str]
"""Path in the repository -> git's mode."""
Read = Callable[[str], bytes | None]

ENGINE_NAMES = {
    "lightning-cli": "Lightning CLI", "lightning": "Lightning", "torch": "PyTorch", "ray": "Ray",
    "tensorflow": "TensorFlow", "python": "plain Python",
}  # fmt: skip
_OTHERS = {  # machines that a setting does not suit
    "accelerator": "machines without a GPU", "strategy": "machines without a GPU",
    "devices": "machines with another number of GPUs", "NCCL_SOCKET_IFNAME": "machines with GPUs",
}  # fmt: skip
_SYMLINK, _SUBMODULE = "120000", "160000"


def program_path(job: Job) -> str:
    """The entrypoint's path inside the repository."""
    return posixpath.normpath(posixpath.join(job.requirements, job.entrypoint))


def _holder(job: Job) -> str:
    return "the directory" if job.is_local and not job.commit else "the commit"


def examine(job: Job, listing: Listing, read: Read, nnodes: int) -> tuple[Recognition | None, list[Problem]]:
    """Return what the entrypoint is written for, None where it can't be read, and all problems."""
    path = program_path(job)
    unread = _unreadable(path, listing)
    if unread:
        return None, [unread]
    missing = _entrypoint(job, path, listing)
    found, problems = (None, []) if missing else _recognised(job, path, listing, read, nnodes)
    requirements = _requirements(job, listing, found)
    if missing and requirements and not _has_directory(job.requirements, listing):
        missing = None  # it is one mistake, not two
    return found, [problem for problem in (requirements, missing) if problem] + problems


def parse_listing(out: bytes) -> Listing:
    """Read what `git ls-tree -r -z` prints."""
    rows = (row.partition("\t") for row in out.decode("utf-8", "surrogateescape").split("\0") if row)
    return {path: head.split()[0] for head, _, path in rows}


def _unreadable(path: str, listing: Listing) -> Problem | None:
    """A note for what only a whole clone could show: submodules and links."""
    parents = [path, *_parents(path)]
    for parent in parents:
        mode = listing.get(parent, "")
        kind = {_SYMLINK: "a symbolic link", _SUBMODULE: "a submodule"}.get(mode)
        if kind:
            return Problem(
                code="files-not-read", level="note", what=f"{parent} is {kind}: {path} was not read here"
            )
    return None


def _entrypoint(job: Job, path: str, listing: Listing) -> Problem | None:
    if path in listing:
        return None
    top = "" if job.requirements == "." else job.requirements
    below = [posixpath.relpath(file, top or ".") for file in listing if not top or file.startswith(top + "/")]
    python = [file for file in below if file.endswith(".py")]
    near = get_close_matches(job.entrypoint, python, 1)
    near = near or [file for file in python if posixpath.basename(file) == posixpath.basename(path)][:1]
    fix = f"did you mean {near[0]}?" if near else ""
    if not near:
        elsewhere = sorted(file for file in listing if posixpath.basename(file) == posixpath.basename(path))
        fix = f"{elsewhere[0]} exists: paths are relative to the requirements directory" if elsewhere else ""
    what = f"entrypoint is {job.entrypoint}, but {_holder(job)} has no {path}"
    return Problem(code="entrypoint-missing", what=what, fix=fix)


def _requirements(job: Job, listing: Listing, found: Recognition | None) -> Problem | None:
    engine = job.engine if job.engine != "auto" else found.engine.removesuffix("-cli") if found else ""
    here = {
        posixpath.basename(file) for file in listing if (posixpath.dirname(file) or ".") == job.requirements
    }
    wanted = {"requirements.txt", f"requirements-{engine}.txt"}
    if here & wanted or (not engine and any(map(_is_requirements, here))):
        return None
    holders = sorted({posixpath.dirname(file) or "." for file in listing if _is_requirements(file)})
    if not _has_directory(job.requirements, listing):
        what = f"requirements is {job.requirements}, but {_holder(job)} has no such directory"
        near = rules.near(job.requirements, sorted(_directories(listing)))
    else:
        what = f"requirements is {job.requirements}, but that directory has no requirements.txt"
        near = ""
    fix = near or (
        f"directories that have one: {', '.join(holders[:3])}"
        if holders
        else "add one"
        if _holder(job) == "the directory"
        else "add and commit one"
    )
    return Problem(code="requirements-missing", what=what, fix=fix)


def _has_directory(directory: str, listing: Listing) -> bool:
    return directory in _directories(listing)


def _directories(listing: Listing) -> set[str]:
    return {parent for file in listing for parent in _parents(file)} | {"."}


def _recognised(
    job: Job, path: str, listing: Listing, read: Read, nnodes: int
) -> tuple[Recognition | None, list[Problem]]:
    def text(name: str) -> str | None:
        found = read(name) if listing.get(name, _SYMLINK) not in (_SYMLINK, _SUBMODULE) else None
        return None if found is None else found.decode("utf-8-sig", "replace")

    source = text(path)
    if source is None:
        what = f"{path} could not be fetched, so the machines will find out what trains"
        return None, [Problem(code="files-not-read", level="note", what=what)]
    try:
        found = recognise(source, path, text)
    except (SyntaxError, ValueError, RecursionError) as error:
        line = getattr(error, "lineno", None) or 1
        said = getattr(error, "msg", None) or str(error)
        what = f"{path} can't be read as Python: {said}"
        return None, [
            Problem(code="entrypoint-not-parsed", level="warning", what=what, where=f"{path}:{line}")
        ]
    return found, [*_engine(job, found, path, nnodes), *_launch_settings(job, found, nnodes)]


def _engine(job: Job, found: Recognition, path: str, nnodes: int) -> Iterator[Problem]:
    where = f"{found.file}:{found.line}"
    if job.engine != "auto" and misfit(job.engine, found.engine):
        seen = f"{ENGINE_NAMES[found.engine]} ({found.evidence})"
        what = f"engine is {job.engine}, but {path} is written for {seen}"
        yield Problem(
            code="engine-differs", what=what, where=where, fix=f"--engine {found.engine.partition('-')[0]}"
        )
    elif job.engine not in ("auto", found.engine.removesuffix("-cli")):
        seen = f"{ENGINE_NAMES[found.engine]} ({found.evidence})"
        what = f"engine is {job.engine}, but {path} looks like {seen}"
        yield Problem(code="engine-differs", level="warning", what=what, where=where)
    elif found.engine == "python" and job.engine == "auto" and nnodes > 1:
        what = f"{path} uses no training library that is known here: each machine would run it alone"
        fix = "train with Lightning or torch.distributed, or name the engine with --engine"
        yield Problem(code="engine-unknown", level="warning", what=what, where=f"{path}:1", fix=fix)


def _launch_settings(job: Job, found: Recognition, nnodes: int) -> Iterator[Problem]:
    """What the machines will say of them; whether these have GPUs, and how many, is not known here."""
    nproc = int(job.nproc_per_node) if job.nproc_per_node.isdigit() else 0
    without, with_gpus = (conflicts(found, nnodes, nproc or 1, has_gpu) for has_gpu in (False, True))
    for setting in found.hard_coded:
        text = rules.shown(setting.text)
        if setting not in without and setting not in with_gpus:
            yield _noted(setting, _harmless(setting, nnodes))
        elif job.adapt:
            yield _noted(setting, _overruled(setting, nnodes))
        elif job.allow_single:
            yield _noted(setting, f"{text} is set; the machines may train separately")
        elif setting in without and setting in with_gpus and (nproc or setting.name != "devices"):
            why = reason(setting, nnodes, nproc, has_gpu=False)
            yield _refused(setting, f"{text} is set, but {why}: they would refuse to train")
        else:
            yield _refused(
                setting,
                f"{text} is set: {_OTHERS.get(setting.name, 'machines that differ')} would refuse to train",
            )


def _noted(setting: HardCoded, what: str) -> Problem:
    return Problem(code="launch-setting", level="note", what=what, where=setting.where)


def _refused(setting: HardCoded, what: str) -> Problem:
    fix = f"{setting.edit}; or generate with --adapt"
    return Problem(code="hard-coded", level="warning", what=what, where=setting.where, fix=fix)


def _harmless(setting: HardCoded, nnodes: int) -> str:
    text = f"{rules.shown(setting.text)} is set"
    if setting.owner == "trainer_defaults":
        return f"{text} in trainer_defaults; the launcher's arguments win over it"
    if setting.name == "num_nodes":
        return f"{text}; right for {nnodes} machines and no other number"
    if setting.name == "devices" and setting.value not in ("auto", -1, "-1"):
        return f"{text}; right for machines with as many ranks"
    return f"{text}; fine here"


def _overruled(setting: HardCoded, nnodes: int) -> str:
    instead = {"num_nodes": str(nnodes), "init_method": "env://"}.get(setting.name, "the launcher's")
    return f"{rules.shown(setting.text)} will be overruled: {instead}"


def _parents(path: str) -> Iterator[str]:
    parent = posixpath.dirname(path)
    while parent:
        yield parent
        parent = posixpath.dirname(parent)


def _is_requirements(path: str) -> bool:
    name = posixpath.basename(path)
    return name == "requirements.txt" or (name.startswith("requirements-") and name.endswith(".txt"))
