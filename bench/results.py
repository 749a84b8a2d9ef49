"""results.jsonl: one line per run, appended as it ends, so that an interrupted benchmark goes on."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from bench.commands import ROOT, fingerprint

if TYPE_CHECKING:
    from pathlib import Path

    from bench.plan import Turn

CODE = ("payload", "bench/peers")  # what the figures are figures of


def code_hash(root: Path = ROOT) -> str:
    """SHA-256 over the programs that are measured: lines made by others are not counted."""
    total = hashlib.sha256()
    for path in sorted(path for folder in CODE for path in (root / folder).rglob("*.py")):
        total.update(str(path.relative_to(root)).encode() + b"\0" + path.read_bytes())
    return total.hexdigest()


class Results:
    """The lines of a file that belong to this code."""

    def __init__(self, path: Path, code: str) -> None:
        self.path, self.code = path, code
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        every = [json.loads(line) for line in lines if _is_whole(line)]
        self.records: list[dict[str, Any]] = [line for line in every if line.get("code") == code]
        self.others = len(every) - len(self.records)

    def add(self, record: dict[str, Any]) -> None:
        """Append a line."""
        line = {"code": self.code, **record}
        self.records.append(line)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def has(self, turn: Turn) -> bool:
        """Whether the turn was run to its end, by this code."""
        return any(not record.get("reason") for record in self.of([turn]))

    def of(self, planned: list[Turn]) -> list[dict[str, Any]]:
        """The lines of these turns, their contenders being what they are now."""
        keys = {(turn.group, turn.contender.name, turn.round, fingerprint(turn)) for turn in planned}
        names = ("group", "contender", "round", "fingerprint")
        return [record for record in self.records if tuple(record[name] for name in names) in keys]


def _is_whole(line: str) -> bool:
    """A killed benchmark may leave half a line."""
    try:
        json.loads(line)
    except ValueError:
        return False
    return True
