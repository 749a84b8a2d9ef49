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
    def born(self) -> Path:
        """When this machine started first: its server and seconds since 1970."""
        return self.state / "born"

    @property
    def judged(self) -> Path:
        """The newest run that was judged here: how many reruns came before it."""
        return self.state / "judged"

    @property
    def untold(self) -> Path:
        """The newest result's signal while Heat has not taken it."""
        return self.state / "untold"

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

    def run(self, run: str) -> Path:
        """Everything of one run."""
        return self.state / "runs" / run

    def attempt(self, run: str, attempt: int) -> Path:
        """On the master: what is collected of one attempt."""
        return self.run(run) / str(attempt)

    def here(self, run: str, attempt: int) -> Path:
        """What this node itself produces in one attempt: proof and results, before they go to the master."""
        return self.run(run) / f"{attempt}-here"

    @property
    def memory(self) -> Path:
        """What a master that starts again must know of its run."""
        return self.state / "runs/current.json"

    def checkpoints(self, run: str) -> Path:
        """HOTRUN_CHECKPOINT_DIR of the user's program, for all attempts."""
        return self.run(run) / "checkpoints"

    def kept(self, run: str) -> Path:
        """This node's copies of the newest checkpoints of rank 0."""
        return self.run(run) / "kept"

    def checkout(self, run: str) -> Path:
        """The repository as this run uses it, fresh for every run."""
        return self.run(run) / "src"
