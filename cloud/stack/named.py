"""A name that a person typed -> the stack, or a sentence with the near miss."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from cloud.errors import Problem, ProblemsFound
from cloud.stack import record

if TYPE_CHECKING:
    from pathlib import Path

    from cloud.stack.api import Cloud, Stack
    from cloud.stack.record import Record


def named(cloud: Cloud, name: str, runs_dir: Path) -> Stack:
    """Return the stack of a name or an id. Raises ProblemsFound `unknown-stack`, and CloudError."""
    found = cloud.stack(name) if name else None
    if found is None:
        raise unknown(cloud, name, runs_dir)
    return found


def unknown(cloud: Cloud, name: str, runs_dir: Path) -> ProblemsFound:
    """Return what to raise for a name that no stack has; what is remembered here is told apart."""
    stacks = [stack.name for stack in cloud.stacks()]
    near = difflib.get_close_matches(name, stacks, n=1)
    kept = record.read(runs_dir, name) if name in record.names(runs_dir) else None
    if kept is not None and kept.stack_id and kept.cloud == cloud.label:
        return ProblemsFound(_gone(kept, runs_dir))
    what = f"{name or 'the empty name'} is no stack of {cloud.label}"
    if kept is not None and kept.stack_id:
        what += f"; {record.directory(runs_dir, name)} remembers one of {kept.cloud}"
    if near:
        fix = f"did you mean {near[0]}?"
    elif stacks:
        fix = f"there {'are' if len(stacks) > 1 else 'is'} {', '.join(stacks[:5])}"
    else:
        fix = "this project has no stack of hotrun; look at OS_CLOUD if it should"
    return ProblemsFound(Problem(code="unknown-stack", what=what, fix=fix))


def _gone(kept: Record, runs_dir: Path) -> Problem:
    """A stack that was there: when and by whom it went, as far as is known here, and what is here of it."""
    place = record.directory(runs_dir, kept.name)
    if kept.deleted:
        what = f"{kept.name} is gone: `down` on this computer deleted it, {kept.deleted}"
    else:
        at = record.written_at(runs_dir, kept.name)
        what = f"{kept.name} is gone from {kept.cloud}, and not by a `down` of this computer"
        what += f", which saw it last {at}" if at else ""
    runs = ", ".join(sorted(kept.fetched))
    here = f"the results of run {runs} are in {place}" if runs else "its results were not fetched to here"
    return Problem(code="stack-gone", what=what, fix=f"{here}; `up` makes another stack")
