"""Compiled modules of torch for machines that never ran: kept from one that did, as links.

Every new machine would compile torch anew, 20 s of a core. The path below the bytecode directory is the module's
own, so that of another root is replaced; Python looks at each module's time and size before it believes one.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

_BYTECODE = "var/lib/hotrun/bytecode"
_ENVIRONMENTS = "opt/hotrun/env"


def keep(root: Path, store: Path) -> None:
    """Keep what this machine compiled, where nothing is kept yet."""
    compiled = root / _BYTECODE / _below_itself(root)
    if compiled.is_dir() and not store.exists():
        partial = store.with_name(store.name + ".part")
        shutil.rmtree(partial, ignore_errors=True)
        subprocess.run(["cp", "-al", str(compiled), str(partial)], check=True)
        partial.rename(store)


def lay(store: Path, root: Path) -> None:
    """Give a new machine what is kept."""
    target = root / _BYTECODE / _below_itself(root)
    if store.is_dir() and not target.exists():
        target.parent.mkdir(parents=True)
        subprocess.run(["cp", "-al", str(store), str(target)], check=True)


def _below_itself(root: Path) -> Path:
    return (root / _ENVIRONMENTS).relative_to("/")
