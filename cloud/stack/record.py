"""runs/NAME/cloud.json: what this computer remembers of a stack. A help: Heat holds the truth.

Written whole and moved into place, so that a killed command leaves the old file or the new one. There is no
secret in it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeGuard

from cloud.errors import Problem, RequestError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cloud.stack.api import Resource, Stack

FILE = "cloud.json"
SCHEMA = 1
FETCHED = ".fetched.json"  # what `fetch` leaves, also where there was no record
_REHEARSED = ("status.json", "template.yml", "events.jsonl")


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What is remembered of one stack."""

    cloud: str
    """`Cloud.label` of where it is."""
    name: str
    template_sha256: str
    """Of the file's bytes, 64 hexadecimal digits."""
    stack_id: str = ""
    """Empty from before the create until its answer."""
    resources: tuple[tuple[str, str], ...] = ()
    """(type, physical id) of all that was ever seen of it; only grows."""
    run: str = ""
    """The run id that the master told last."""
    fetched_run: str = ""
    """The run whose results came home last, whole."""
    fetched_runs: tuple[str, ...] = ()
    """All runs whose results came home, whole; older records have the last one only."""
    deleted: str = ""
    """When `down` had deleted it, `2026-11-22 00:40 UTC`; empty while it may be there."""

    @property
    def fetched(self) -> frozenset[str]:
        """The runs that need not be fetched any more."""
        return frozenset(run for run in (*self.fetched_runs, self.fetched_run) if run)

    def brought(self, run: str, *, is_newest: bool = True) -> Self:
        """Return the record with a run whose results are at home now."""
        grown = dataclasses.replace(self, fetched_runs=tuple(sorted(self.fetched | {run})))
        return dataclasses.replace(grown, run=run, fetched_run=run) if is_newest else grown

    def grow(self, resources: Iterable[Resource | tuple[str, str]]) -> Self:
        """Return the record with these resources too; those without a physical id are left out."""
        pairs = [each if isinstance(each, tuple) else (each.type, each.id) for each in resources]
        new = dict.fromkeys(pair for pair in pairs if pair[1] and pair not in self.resources)
        return dataclasses.replace(self, resources=(*self.resources, *new)) if new else self


def directory(runs_dir: Path, name: str) -> Path:
    """Where a stack's files are."""
    return runs_dir / name


def read(runs_dir: Path, name: str) -> Record | None:
    """Return what is remembered of a stack; None without a record, and for one that can't be understood."""
    try:
        document = json.loads((directory(runs_dir, name) / FILE).read_text(encoding="utf-8"))
        return _record(document)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def of_stack(runs_dir: Path, stack: Stack) -> Record | None:
    """Return what is remembered of this very stack."""
    found = read(runs_dir, stack.name)
    return found if found is not None and found.stack_id == stack.id else None


def write(runs_dir: Path, record: Record) -> None:
    """Keep a record, whole or not at all. Raises RequestError where it can't be written."""
    place = directory(runs_dir, record.name)
    document = {"schema": SCHEMA, **dataclasses.asdict(record)}
    try:
        place.mkdir(parents=True, exist_ok=True)
        put(place / FILE, json.dumps(document, indent=1) + "\n")
    except OSError as error:
        raise not_writable(place / FILE, error) from error


def not_writable(place: Path, error: OSError) -> RequestError:
    """What to raise for a runs directory that takes no files."""
    what = f"{place} can't be written: {error.strerror or error}"
    fix = "go where you can write, or name a place with --runs-dir"
    return RequestError(Problem(code="runs-not-writable", what=what, fix=fix))


def claim(runs_dir: Path, cloud: str, name: str, stack_id: str = "", template_sha256: str = "") -> Record:
    """Return the record of what will be, or is, a stack, made with its directory where there is none.

    Of an earlier stack of this name only the ids stay, for `down`. Raises RequestError: `run-exists` where
    the directory is a rehearsal's or another cloud's stack's.
    """
    before = require_place(runs_dir, cloud, name, stack_id)
    if _is_of(before, stack_id):
        sha256 = before.template_sha256 or template_sha256
        fresh = dataclasses.replace(before, template_sha256=sha256, cloud=cloud)
    else:
        fresh = Record(
            cloud=cloud, name=name, template_sha256=template_sha256, stack_id=stack_id,
            resources=before.resources if before else (),
        )  # fmt: skip
    if fresh != before:
        write(runs_dir, fresh)
    return fresh


def require_place(runs_dir: Path, cloud: str, name: str, stack_id: str = "") -> Record | None:
    """Return the record that is there, if any; nothing is made or changed.

    Raises RequestError `run-exists` where a stack must not write.
    """
    before = read(runs_dir, name)
    whose = "" if _is_of(before, stack_id) else _whose(directory(runs_dir, name), before, cloud)
    if whose:
        what = f"{directory(runs_dir, name)} holds {whose} and is never overwritten"
        fix = "name another place with --runs-dir" + ("" if stack_id else ", or another --name")
        raise RequestError(Problem(code="run-exists", what=what, fix=fix))
    return before


def _is_of(before: Record | None, stack_id: str) -> TypeGuard[Record]:
    return before is not None and before.stack_id == stack_id != ""


def _whose(place: Path, before: Record | None, cloud: str) -> str:
    """What somebody else left there; empty where nobody did."""
    if before is not None:
        return "" if before.cloud == cloud else f"a stack of {before.cloud}"
    is_stacks = (place / FILE).exists() or (place / FETCHED).exists()
    return "a rehearsal" if not is_stacks and any((place / file).exists() for file in _REHEARSED) else ""


def written_at(runs_dir: Path, name: str) -> str:
    """When something was noted last, `2026-11-22 00:40 UTC`; empty where nobody knows."""
    try:
        seconds = (directory(runs_dir, name) / FILE).stat().st_mtime
    except OSError:
        return ""
    return moment(dt.datetime.fromtimestamp(seconds, dt.UTC))


def moment(time: dt.datetime) -> str:
    """A time as it is kept and said."""
    return f"{time.astimezone(dt.UTC):%Y-%m-%d %H:%M} UTC"


def names(runs_dir: Path) -> list[str]:
    """Names of all stacks that are remembered here."""
    return sorted(path.parent.name for path in runs_dir.glob(f"*/{FILE}")) if runs_dir.is_dir() else []


def put(path: Path, text: str) -> None:
    """Write a file beside itself and move it into place: the disk has the old text or the new one."""
    number, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(number, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(temporary).unlink()
        raise


def _record(document: dict[str, Any]) -> Record:
    texts = ("cloud", "name", "template_sha256", "stack_id", "run", "fetched_run", "deleted")
    pairs = tuple((str(kind), str(identity)) for kind, identity in document.get("resources", ()))
    runs = document.get("fetched_runs")
    return Record(
        **{key: str(document.get(key) or "") for key in texts}, resources=pairs,
        fetched_runs=tuple(str(run) for run in runs) if isinstance(runs, list) else (),
    )  # fmt: skip
