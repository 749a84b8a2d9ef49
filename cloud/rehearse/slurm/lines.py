"""A job's log while it grows -> lines, each with the machine that wrote it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from cloud.node.console import node_name, parse_line

if TYPE_CHECKING:
    from pathlib import Path

JOB = "job"  # who wrote what no machine did
_LABEL = re.compile(r"\s*(\d+): ?")  # of srun --label: the task, one per node
_RANK = re.compile(r"\[rank (\d+)\] ")


class Growing:
    """A file that is read on from where the last look ended; it may not be there yet."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read, self._rest = 0, b""

    def lines(self, *, is_over: bool = False) -> list[str]:
        """Whole lines since the last look; when it is over, the last one too."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._read)
                data = file.read()
        except OSError:
            data = b""
        self._read += len(data)
        *whole, self._rest = (self._rest + data).split(b"\n")
        if is_over and self._rest:
            whole, self._rest = [*whole, self._rest], b""
        return [_shown(line) for line in whole]


def whose(line: str, names: list[str]) -> tuple[str, str]:
    """`master`, `worker-1` … or `job`, and the line without srun's label."""
    label = _LABEL.match(line)
    bare = line[label.end() :] if label and int(label[1]) < len(names) else line
    fields = parse_line(bare)
    if fields is not None:
        return (fields["node"] if fields["node"] in names else JOB), bare
    if bare is not line and label is not None:
        return names[int(label[1])], bare
    rank = _RANK.match(bare)
    if rank and int(rank[1]) < len(names):
        return node_name(int(rank[1])), bare
    return JOB, line


def _shown(raw: bytes) -> str:
    """The last state of a line that was written over with carriage returns."""
    return raw.decode("utf-8", "replace").rstrip("\r").rpartition("\r")[2].rstrip()
