"""Where a node keeps its things, every path below one root. Pure.

HOTRUN_ROOT is that root; on a machine of its own it is unset and the paths are absolute.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Layout:
    """Paths of one node."""

    root: Path

    @property
    def state(self) -> Path:
        """Runs, data and home of the program."""
        return self.root / "var/lib/hotrun"

    @property
    def tools(self) -> Path:
        """uv's small environment and the gitconfig."""
        return self.root / "opt/hotrun/tools"

    @property
    def environments(self) -> Path:
        """One directory per lock."""
        return self.root / "opt/hotrun/env"

    @property
    def logs(self) -> Path:
        """One file per stage, of the newest start."""
        return self.root / "var/log/hotrun"

    @property
    def data(self) -> Path:
        """Data sets: shared by the ranks of a node, kept between runs."""
        return self.state / "data"

    @property
    def home(self) -> Path:
        """HOME of the user's program."""
        return self.state / "home"

    @property
    def bytecode(self) -> Path:
        """Compiled modules of the program's environment, which its own user may not write."""
        return self.state / "bytecode"

    def attempt(self, run: str, attempt: int) -> Path:
        """Everything of one attempt; on the master what is collected, too."""
        return self.state / "runs" / run / str(attempt)

    @property
    def memory(self) -> Path:
        """What a master that starts again must know of its run."""
        return self.state / "runs/current.json"

    def checkpoints(self, run: str) -> Path:
        """HOTRUN_CHECKPOINT_DIR of the user's program, for all attempts."""
        return self.state / "runs" / run / "checkpoints"

    def kept(self, run: str) -> Path:
        """This node's copies of the newest checkpoints of rank 0."""
        return self.state / "runs" / run / "kept"

    def checkout(self, run: str) -> Path:
        """The repository as this run uses it, fresh for every run."""
        return self.state / "runs" / run / "src"
