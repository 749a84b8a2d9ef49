"""Whether deleting a stack would lose results: what the master told against what was fetched. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloud.errors import Problem
from cloud.stack.shell.config import no_way_in

if TYPE_CHECKING:
    from cloud.stack.api import Stack
    from cloud.stack.record import Record
    from cloud.stack.told import Told

CODE = "results-not-fetched"


def at_stake(stack: Stack, told: Told, kept: Record | None, program: str = "hotrun") -> Problem | None:
    """Return why a stack must not be deleted yet, None when there is nothing to lose.

    Machines that never passed the gate have trained nothing. A run that trains is refused even when it was
    fetched in between.
    """
    name = stack.name
    lose = f"or lose them: {program} down {name} --discard"
    fix = f"{program} fetch {name}, then {program} down {name}; {lose}"
    why = no_way_in(stack)
    if why:  # fetch brings little, and never makes this refusal go away
        fix = f"{why}, so {program} fetch {name} brings only what Heat was told, its figures and not its "
        fix += f"files; with that here, or without: {program} down {name} --discard"
    if told.result is None and told.state == "running":
        what = f"{name} trains now (run {told.run})"
        return Problem(code=CODE, what=what, fix=f"wait for its end: {program} status {name}; {fix}")
    what = newest(stack, told, kept)
    if what:
        return Problem(code=CODE, what=what, fix=fix)
    earlier = [run for run in told.earlier if run not in _fetched(kept)]
    if earlier:
        what = f"results of {name} were not fetched to this computer (earlier run {', '.join(earlier)})"
        if not why:
            fix = f"they are on the master: {program} fetch {name} --run {earlier[0]}; {lose}"
        return Problem(code=CODE, what=what, fix=fix)
    return None


def newest(stack: Stack, told: Told, kept: Record | None) -> str:
    """Return what would be lost of the newest run, the one that `fetch` brings; empty for nothing."""
    name, fetched = stack.name, _fetched(kept)
    if told.result is not None and told.run not in fetched:
        where = f"; fetched was run {kept.fetched_run}" if kept and kept.fetched_run else ""
        return f"the results of {name} were not fetched to this computer (run {told.run}{where})"
    if told.is_training and told.run not in fetched:
        return f"run {told.run} of {name} never said how it ended: its results may be on the master"
    may_have_begun = stack.is_silent and stack.is_settled and not stack.has_failed
    if may_have_begun and not told.state and len(fetched) <= stack.rerun:  # one for each run
        return f"the machines of {name} don't tell the cloud anything (NO_SIGNAL), so it may have results"
    return ""


def _fetched(kept: Record | None) -> frozenset[str]:
    return kept.fetched if kept else frozenset()
