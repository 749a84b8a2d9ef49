"""`python PROGRAM COMMAND …`, as job.sbatch says it; PROGRAM is the directory that holds `node/`.

On the script's own machine: prepare, archive, begin, plan, verdict, lost, late, failed.
By srun on every node: the others.
"""

from __future__ import annotations

import sys
from typing import Callable, Sequence

from . import look, plan, prepare, run, verdict

COMMANDS: dict[str, Callable[[Sequence[str]], int]] = {
    "prepare": prepare.main,
    "archive": prepare.archive,
    "begin": verdict.begin,
    "look": look.main,
    "plan": plan.main,
    "set-up": run.set_up,
    "train": run.train_node,
    "tell": run.tell,
    "verdict": verdict.main,
    "lost": verdict.lost,
    "late": verdict.late,
    "failed": verdict.failed,
}


def main() -> int:
    """Run one command."""
    return COMMANDS[sys.argv[1]](sys.argv[2:])


if __name__ == "__main__":
    sys.exit(main())
