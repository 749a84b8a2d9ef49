"""What the master's manifest says of files, and whether they are that. The names of a run's files at home.

A rehearsal and `fetch` leave the same files in the same places; both read this.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

from cloud.errors import Problem

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

KINDS = ("results", "logs", "proof")
MANIFEST = "manifest.sha256"
STATUS = "status.json"
MASTERS_STATUS = "master-status.json"  # in a run's directory STATUS is what this program made of it
_LINE = re.compile(r"([0-9a-f]{64}) [ *](.+)")
_BLOCK = 1 << 20


def at_home(text: str) -> str:
    """A manifest with the names that the files have in a run's directory."""
    return "".join(f"{_renamed(line)}\n" for line in text.splitlines())


def verify(directory: Path, manifest: str) -> list[Problem]:
    """Compare the files below `directory` with the lines of a `sha256sum` manifest."""
    wrong = []
    for line in manifest.splitlines():
        matched = _LINE.fullmatch(line)
        if matched and sha256(directory / matched[2]) != matched[1]:
            wrong.append(matched[2])
    return damaged(directory, wrong, "rehearse again") if wrong else []


def damaged(directory: Path, wrong: list[str], fix: str) -> list[Problem]:
    """One problem for files that are not what the manifest says."""
    more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
    what = f"{directory}: {', '.join(wrong[:3])}{more} not as the master's manifest says"
    return [Problem(code="results-damaged", what=what, fix=fix)]


def sha256(path: Path, on_bytes: Callable[[int], object] = lambda _: None) -> str:
    """Of a file, 64 hexadecimal digits; empty when it can't be read. `on_bytes`: hears how many were read."""
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while chunk := file.read(_BLOCK):
                digest.update(chunk)
                on_bytes(len(chunk))
    except OSError:
        return ""
    return digest.hexdigest()


def _renamed(line: str) -> str:
    matched = _LINE.fullmatch(line)
    return f"{matched[1]}  {MASTERS_STATUS}" if matched and matched[2] == STATUS else line
