"""A stack's results -> runs/NAME, every file against its SHA-256; what is there already is not loaded again.

Over ssh while it trains (a snapshot) and after; without ssh what the master told Heat.
"""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from cloud.errors import NoAccess, Problem, ProblemsFound, RunFailed
from cloud.manifest import MANIFEST, MASTERS_STATUS, STATUS, at_home, damaged
from cloud.stack import record, told
from cloud.stack.fetch import nothing
from cloud.stack.fetch.progress import size_text
from cloud.stack.fetch.ssh import Transfer
from cloud.stack.shell import NoShell, shell_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path
    from typing import Literal

    from cloud.stack.api import Cloud, Stack
    from cloud.stack.fetch.listing import Listing
    from cloud.stack.fetch.ssh import Came
    from cloud.stack.shell import Shell
    from cloud.ui import Ui

EARLIER = "earlier"
_OWN_MISTAKES = ("identity-missing", "ssh-missing", "ssh-key-unusable")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """What is at home now."""

    folder: Path
    run: str
    attempt: int
    files: int
    """Of the run, whether they came now or before."""
    size_bytes: int
    is_whole: bool
    """Whether everything that the run left is here and is what the manifest says."""
    is_snapshot: bool
    """Whether the run was still going on."""
    how: Literal["ssh", "heat"]
    missing: tuple[str, ...] = ()
    """Sentences: what did not come, and how to get it."""
    problems: tuple[Problem, ...] = ()

    @property
    def exit_code(self) -> int:
        """0 when all came that there is by now, 4 without ssh, 5 when files are damaged or stayed there."""
        if any(problem.level == "error" for problem in self.problems):
            return RunFailed.exit_code
        return 0 if self.how == "ssh" else NoAccess.exit_code

    @property
    def sentence(self) -> str:
        """What is where."""
        if self.how == "heat":
            return f"{self.folder}: what the master told Heat, and nothing else"
        kind = "everything" if self.is_whole else "a snapshot" if self.is_snapshot else "not everything"
        return f"{self.folder}: {kind}, {self.files:,} files, {size_text(self.size_bytes)}"

    def as_json(self) -> dict[str, Any]:
        """The document of `fetch --json`, without its exit code."""
        return {
            "schema": 1, "folder": str(self.folder), "run": self.run, "attempt": self.attempt,
            "files": self.files, "bytes": self.size_bytes, "whole": self.is_whole,
            "snapshot": self.is_snapshot, "how": self.how, "missing": list(self.missing),
            "problems": [problem.as_json() for problem in self.problems],
        }  # fmt: skip


def fetch(
    cloud: Cloud, stack: Stack, ui: Ui, runs_dir: Path, identity: Path | None = None, *,
    run: str = "", sleep: Callable[[float], None] = time.sleep,
) -> Fetched:  # fmt: skip
    """Bring home what a stack has. Interrupted, it goes on where it was when it is called again.

    `run`: an earlier run's id; it comes to earlier/RUN-ATTEMPT beside the newest, which stays as it is.
    Raises RequestError `run-exists`; NoShell when neither ssh nor Heat has anything, and when a connection
    breaks for good; ProblemsFound `nothing-to-fetch` when no machine has told anything yet, `run-unknown`.
    """
    record.require_place(runs_dir, cloud.label, stack.name, stack.id)  # a record would make the stack ours
    folder = record.directory(runs_dir, stack.name)
    if run and run != (said := told.by(stack, cloud.resources(stack.id))).run:
        return _earlier(cloud, stack, said, run, ui=ui, runs_dir=runs_dir, identity=identity, sleep=sleep)
    shell = None
    try:
        try:
            shell = shell_of(cloud, stack, identity)
            transfer = Transfer(shell, folder, ui, sleep)
            listing = transfer.look()
        except NoShell as error:
            if error.problems[0].code in _OWN_MISTAKES:
                raise
            fetched = _from_heat(cloud, stack, folder, error, ui.program)
        else:
            fetched = _bring(transfer, listing, shell, folder)
    finally:
        if shell is not None:
            shell.close()
    if fetched.is_whole:
        _remember(cloud, stack, runs_dir, fetched.run)
    return fetched


def _earlier(
    cloud: Cloud, stack: Stack, said: told.Told, run: str, *, ui: Ui, runs_dir: Path, identity: Path | None,
    sleep: Callable[[float], None],
) -> Fetched:  # fmt: skip
    """Bring an earlier run home; only the master has it, so only ssh leads to it."""
    folder = record.directory(runs_dir, stack.name)
    with shell_of(cloud, stack, identity) as shell:
        found = Transfer(shell, folder, ui, sleep).look(run)
        if found.run != run:
            raise ProblemsFound(nothing.no_run(stack, said, run))
        place = folder / EARLIER / found.key.replace("/", "-")
        fetched = _bring(Transfer(shell, place, ui, sleep), found, shell, place)
    if fetched.is_whole:
        _remember(cloud, stack, runs_dir, run, is_newest=False)
    return fetched


def from_machine(
    shell: Shell, ui: Ui, folder: Path, *, sleep: Callable[[float], None] = time.sleep
) -> Fetched:
    """Bring home over ssh, and nothing else; see `fetch`."""
    transfer = Transfer(shell, folder, ui, sleep)
    return _bring(transfer, transfer.look(), shell, folder)


def _bring(transfer: Transfer, listing: Listing, shell: Shell, folder: Path) -> Fetched:
    shell.keep(folder)
    _set_aside(folder, listing.key)
    came = transfer.bring(listing)
    listing = came.listing
    problems = _problems(folder, came)
    _finish(folder, listing.is_whole)
    return Fetched(
        folder=folder, run=listing.run, attempt=listing.attempt, files=len(came.done),
        size_bytes=sum(each.size for each in came.done.values()), is_whole=listing.is_whole and not problems,
        is_snapshot=not listing.is_whole, how="ssh", problems=tuple(problems),
        missing=() if listing.is_whole else (_snapshot(listing.phase),),
    )  # fmt: skip


def _snapshot(phase: str) -> str:
    if phase == "running":
        return "a snapshot: the run goes on; logs and results of workers come when it has ended"
    return "only the master's logs: it has judged no run"


def _problems(folder: Path, came: Came) -> list[Problem]:
    again = "fetch again; the machine's disk or memory may be failing if it happens twice"
    found = damaged(folder, [each.place for each in came.damaged], again) if came.damaged else []
    for names, how in (
        ([f"{each.path} ({why})" for each, why in came.failed], "could not be fetched"),
        (list(came.listing.refused), "have names that lead elsewhere"),
    ):
        if names:
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            what = f"{', '.join(names[:3])}{more}: {how} and stay on the master"
            fix = "get them with hotrun ssh while the machines exist"
            found.append(Problem(code="results-incomplete", what=what, fix=fix))
    return found


def _finish(folder: Path, is_whole: bool) -> None:
    """The manifest with the names of here, and the master's status as the status of the run."""
    raw = folder / MANIFEST
    if is_whole and raw.is_file():
        record.put(raw, at_home(raw.read_text(encoding="utf-8", errors="surrogateescape")))
    if (folder / MASTERS_STATUS).is_file():
        shutil.copyfile(folder / MASTERS_STATUS, folder / STATUS)


def _set_aside(folder: Path, key: str) -> None:
    """Move what an earlier run, or an earlier attempt, left here, so that two never mix."""
    before = _marked(folder)
    if before != key:
        found = [folder / name for name in ("results", "proof", MANIFEST, MASTERS_STATUS)]
        found += [path for path in (folder / "logs").glob("*") if path.is_dir()]
        found = [path for path in found if path.exists()]
        aside = folder / EARLIER / (before.replace("/", "-") or "before")
        if before and found:  # `fetch --run` must know it again
            _mark(aside, before)
        for path in found:
            target = aside / path.relative_to(folder)
            target.parent.mkdir(parents=True, exist_ok=True)
            if target.is_dir():
                shutil.rmtree(target)
            path.replace(target)
    _mark(folder, key)


def _mark(folder: Path, key: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    record.put(folder / record.FETCHED, json.dumps({"run": key}) + "\n")


def _marked(folder: Path) -> str:
    try:
        return str(json.loads((folder / record.FETCHED).read_text(encoding="utf-8"))["run"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _from_heat(cloud: Cloud, stack: Stack, folder: Path, error: NoShell, program: str) -> Fetched:
    """What the master told Heat: its status and the program's own result.json."""
    said = told.by(stack, cloud.resources(stack.id))
    result = said.result
    if result is None and said.gate is None and not said.machines and not stack.is_silent:
        raise ProblemsFound(nothing.nothing_yet(stack, program)) from error
    if result is None:
        raise error
    run, attempt = str(result.get("run") or ""), int(result.get("attempt") or 1)
    key = f"{run}/{attempt}"
    try:
        _keep_small(folder, key, result)
    except OSError as trouble:
        raise record.not_writable(folder, trouble) from trouble
    problem = error.problems[0]
    missing = f"models, files, logs and proof are on the master only: {problem.what}"
    return Fetched(
        folder=folder, run=run, attempt=attempt, files=2, size_bytes=0, is_whole=False, is_snapshot=False,
        how="heat", missing=(missing,), problems=(replace(problem, level="warning"),),
    )  # fmt: skip


def _keep_small(folder: Path, key: str, result: Mapping[str, Any]) -> None:
    if not (_marked(folder) == key and (folder / MANIFEST).is_file()):  # never less than what is here
        _set_aside(folder, key)
        record.put(folder / STATUS, json.dumps(result, indent=1) + "\n")
        (folder / "results").mkdir(exist_ok=True)
        record.put(folder / "results/result.json", json.dumps(result.get("result") or {}, indent=1) + "\n")


def _remember(cloud: Cloud, stack: Stack, runs_dir: Path, run: str, *, is_newest: bool = True) -> None:
    resources = () if record.of_stack(runs_dir, stack) else cloud.resources(stack.id)
    known = record.claim(runs_dir, cloud.label, stack.name, stack.id).grow(resources)
    record.write(runs_dir, known.brought(run, is_newest=is_newest))
