"""What a machine says that it has -> the files that may come home. Pure: names come from another machine.

A name may hold any character, but leads to one place below results/, logs/ or proof/.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from cloud.manifest import KINDS, MANIFEST, MASTERS_STATUS, STATUS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MAX_FILES = 2_000_000
_RUN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,100}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


class BadAnswer(ValueError):
    """What was said is no listing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Remote:
    """One file on the master."""

    path: str
    size: int
    sha256: str = ""
    """As the manifest has it; empty while there is none."""

    @property
    def place(self) -> str:
        """Where it lies in runs/NAME."""
        return MASTERS_STATUS if self.path == STATUS else self.path


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """All files of one attempt."""

    run: str
    attempt: int
    phase: str
    """`collected` when the master has judged it, `ended` for an earlier run that nobody judged; else what is
    there is a snapshot."""
    files: tuple[Remote, ...]
    refused: tuple[str, ...] = ()
    """Names that lead elsewhere."""

    @property
    def is_whole(self) -> bool:
        """Whether it is all that the run will ever leave."""
        is_judged = self.phase == "collected" and any(each.path == MANIFEST for each in self.files)
        return is_judged or self.phase == "ended"

    @property
    def key(self) -> str:
        """Which attempt of which run this is."""
        return f"{self.run}/{self.attempt}"


def listing(lines: Iterable[bytes]) -> Listing:
    """Read the answer to `list`. Raises BadAnswer for one that is none or ends early."""
    told = _documents(lines)
    head = next(told)
    run, attempt, phase = head.get("run"), head.get("attempt"), head.get("phase")
    if not isinstance(run, str) or not isinstance(attempt, int) or (run and not _RUN.fullmatch(run)):
        raise BadAnswer(f"the run {run!r}")
    files: dict[str, Remote] = {}
    refused: list[str] = []
    for each in told:
        if "end" in each:
            return Listing(
                run=run,
                attempt=attempt,
                phase=str(phase),
                files=tuple(files.values()),
                refused=tuple(refused),
            )
        path, size, sha256 = each.get("path"), each.get("size"), each.get("sha256")
        if not isinstance(path, str) or not isinstance(size, int) or size < 0 or len(files) >= MAX_FILES:
            raise BadAnswer(str(each)[:80])
        if not is_harmless(path):
            refused.append(path)
            continue
        known = sha256 if isinstance(sha256, str) and _SHA256.fullmatch(sha256) else ""
        files[path] = Remote(path=path, size=size, sha256=known)
    raise BadAnswer("its list ended early")


def is_harmless(path: str) -> bool:
    """Whether a name leads to a file below results/, logs/ or proof/, and nowhere else on any system."""
    if path in (MANIFEST, STATUS):
        return True
    pure = PurePosixPath(path)
    parts = path.split("/")
    if str(pure) != path or "\0" in path or any(part in ("", ".", "..") for part in parts):
        return False
    return len(parts) > 1 and parts[0] in KINDS


def document(line: bytes) -> dict[str, Any]:
    """One line of an answer. Raises BadAnswer for what is no JSON object."""
    try:
        found = json.loads(line)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise BadAnswer(repr(line[:80]))
    return found


def _documents(lines: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    for line in lines:
        yield document(line)
    raise BadAnswer("its list ended early")
