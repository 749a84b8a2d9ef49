"""runs/NAME/: what a rehearsal leaves for the person. A directory that exists is never written into.

What the master collected is copied from its root and checked against its manifest.
"""

from __future__ import annotations

import itertools
import json
import re
import shutil
import threading
import time
from typing import TYPE_CHECKING, Any

from cloud.errors import Problem, RequestError
from cloud.manifest import MANIFEST, MASTERS_STATUS, STATUS, at_home, verify

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["MANIFEST", "STATUS", "Kept", "attempt_directory", "collect", "line_of", "make", "status"]

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9._-]{0,62}")  # also a stack's name
_ATTEMPT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*/[0-9]+")


class Kept:
    """A run's directory and its list of events."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._events = (directory / "events.jsonl").open("a", encoding="utf-8")
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        """The run's name."""
        return self.directory.name

    def log(self, node: str) -> Path:
        """The log of one machine."""
        return self.directory / "logs" / f"{node}.log"

    def event(self, kind: str, **fields: Any) -> None:
        """Append one event with the time of day (UTC)."""
        now = time.time()
        at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now % 1 * 1000):03d}Z"
        with self._lock:
            if not self._events.closed:
                self._events.write(json.dumps({"at": at, "event": kind, **fields}) + "\n")
                self._events.flush()

    def write(self, name: str, document: Any) -> None:
        """Write a text, or anything else as JSON."""
        text = document if isinstance(document, str) else json.dumps(document, indent=1) + "\n"
        (self.directory / name).write_text(text, encoding="utf-8")

    def close(self) -> None:
        """No more events."""
        with self._lock:
            self._events.close()


def make(runs_dir: Path, name: str | None, short_name: str) -> Kept:
    """Make the run's directory: `name`, or the first free `short_name-1`, `-2` …

    Raises RequestError for a name that is no stack's name or is taken, and for a place that can't be written.
    """
    if name is not None and not _NAME.fullmatch(name):
        what = f"--name is {name!r}, but a name begins with a letter and has letters, digits, dots, - and _"
        raise RequestError(Problem(code="name-invalid", what=what, where="flag --name"))
    base = short_name if short_name[:1].isalpha() else f"run-{short_name}"
    for candidate in [name] if name else (f"{base[:50]}-{number}" for number in itertools.count(1)):
        directory = runs_dir / candidate
        try:
            directory.mkdir(parents=True)
        except FileExistsError:
            if not runs_dir.is_dir():
                break
            continue
        except OSError as error:
            what = f"{directory} can't be made: {error.strerror}"
            raise RequestError(
                Problem(code="runs-not-writable", what=what, fix="go where you can write")
            ) from error
        (directory / "logs").mkdir()
        return Kept(directory)
    what = f"{runs_dir / name if name else runs_dir} exists already and is never overwritten"
    raise RequestError(
        Problem(code="run-exists", what=what, where="flag --name", fix="choose another --name")
    )


def attempt_directory(master_root: Path) -> Path | None:
    """Where the master keeps the newest attempt, or None before there was one."""
    runs = master_root / "var/lib/hotrun/runs"
    try:
        latest = (runs / "latest").read_text(encoding="utf-8").strip()
    except OSError:
        return None
    return runs / latest if _ATTEMPT.fullmatch(latest) and (runs / latest).is_dir() else None


def status(attempt: Path | None) -> dict[str, Any]:
    """The master's status document, empty when it wrote none."""
    try:
        document = json.loads((attempt / STATUS).read_text(encoding="utf-8")) if attempt else {}
    except (OSError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}


def collect(attempt: Path, kept: Kept) -> list[Problem]:
    """Copy proof, logs, results, the status and the manifest; return what does not match the manifest."""
    try:
        for part in ("proof", "logs", "results"):
            if (attempt / part).is_dir():
                shutil.copytree(attempt / part, kept.directory / part, symlinks=True, dirs_exist_ok=True)
    except OSError as error:  # a full disk: shutil's own error is one too
        what = f"not everything could be copied to {kept.directory}: {str(error)[:200]}"
        fix = f"free some space and copy {attempt} before the next rehearsal"
        return [Problem(code="results-not-kept", what=what, fix=fix)]
    if (attempt / STATUS).is_file():
        shutil.copy2(attempt / STATUS, kept.directory / MASTERS_STATUS)
    if not (attempt / MANIFEST).is_file():
        return []
    manifest = at_home((attempt / MANIFEST).read_text(encoding="utf-8"))
    kept.write(MANIFEST, manifest)
    return verify(kept.directory, manifest)


def line_of(log: Path, problem: Problem, otherwise: int) -> int:
    """The line of a log that holds the last of the problem's own lines, else `otherwise`; from 1 on."""
    wanted = next((line.strip() for line in reversed(problem.log) if line.strip()), "")
    found = 0
    if wanted:
        with log.open(encoding="utf-8", errors="replace") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip().endswith(wanted):
                    found = number
    return found or otherwise
