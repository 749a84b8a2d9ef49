"""A run's files on a machine, and how they are brought home."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

from cloud.stack.fetch import Fetched, from_machine
from cloud.ui import Ui

FILES = {
    "results/model.ckpt": os.urandom(3_000_001),
    "results/result.json": b'{"accuracy": 0.9}',
    "results/empty": b"",
    "results/worker-1/a b%'\"\\$(x)ü.txt": b"odd",
    "logs/master/train.log": b"epoch 1\n",
    "logs/worker-1/train.log": b"epoch 1\n",
    "proof/rank0-master-0.json": b"{}",
}


def brought(site: Any, folder: Path, said: io.StringIO | None = None) -> Fetched:
    """Fetch over ssh, without pauses."""
    with site.shell() as shell:
        return from_machine(shell, Ui(stderr=said or io.StringIO()), folder, sleep=lambda _: None)


def content(folder: Path) -> dict[str, bytes]:
    """All results, logs and proof at home."""
    found = (path for kind in ("results", "logs", "proof") for path in (folder / kind).rglob("*"))
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found if path.is_file()}
