"""An outcome -> the screen that a person reads. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cloud.errors import Problem
from cloud.rehearse.sentences import as_one, explained, figures, other_problems, where
from cloud.stack.watch import stalled
from cloud.stack.watch.views import before_a_word

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cloud.stack.watch.outcome import Outcome
    from cloud.stack.watch.views import View

MAX_STATES = 20  # machines whose states are listed


def text(outcome: Outcome) -> str:
    """Return all lines."""
    if outcome.exit_code == 130:
        lines = _interrupted(outcome)
    else:
        lines = {"done": _success, "failed": _failure, "running": _running}[outcome.state](outcome)
    return "\n".join([*lines, *_down(outcome)])


def _interrupted(outcome: Outcome) -> list[str]:
    if outcome.is_gone:
        return [f"interrupted; {outcome.name} was deleted"]
    return [line for one in outcome.problems for line in (one.what, f"  {one.fix}") if line.strip()]


def _down(outcome: Outcome) -> list[str]:
    """What became of the stack that was to be deleted."""
    if not outcome.down:
        return []
    left, down = outcome.down.get("left") or [], f"{outcome.program} down {outcome.name}"
    if outcome.is_gone:
        told = [
            f"{outcome.name} is deleted; asked for {outcome.down.get('asked', 0)} things it had: none is left"
        ]
    else:
        told = [f"{outcome.name} is not gone whole: {len(left)} things are left; {down}"]
    return ["", *told, *map(str, outcome.down.get("lease") or [])]


def _success(outcome: Outcome) -> list[str]:
    lines = [as_one(outcome), *figures(outcome.result), *other_problems(outcome.problems)]
    lines += [f"  fix: {one.fix}" for one in outcome.problems if one.fix and one.level == "warning"]
    return [*lines, "", *where(outcome.run_dir, [] if outcome.is_gone else _ends(outcome))]


def _failure(outcome: Outcome) -> list[str]:
    errors = outcome.errors
    first = errors[0][1] if errors else Problem(code="stack-failed", what="it failed")
    lines = [_headline(outcome, first), "", *(explained(errors, outcome.run_dir, {}) if errors else [])]
    lines += other_problems(outcome.problems)
    if outcome.nodes and len(outcome.nodes) <= MAX_STATES:
        lines += ["", *states(outcome.nodes)]
    return [*lines, "", *_go_on(outcome)]


def _headline(outcome: Outcome, first: Problem) -> str:
    kept = "the stack is gone" if outcome.is_gone else "the stack is kept"
    if outcome.exit_code == 6:
        return f"the deadline passed; {kept}"
    if first.code == "not-distributed":
        return f"every process ended with exit 0, but the machines did not train as one; {kept}"
    if first.code == stalled.CODE:
        return f"Heat has lost {outcome.name}; {kept}"
    if first.node:
        return f"{first.node} failed{f' in {first.stage}' if first.stage else ''}; {kept}"
    return f"{outcome.name} failed; {kept}"


def _go_on(outcome: Outcome) -> list[str]:
    if outcome.is_gone:
        return [f"kept in {outcome.run_dir}/"]
    is_made = bool(outcome.nodes) and all(view.is_up for view in outcome.nodes)
    steps = _ends(outcome)
    if is_made:
        steps.append(
            f"{outcome.program} rerun {outcome.name}     again on its machines, once the cause is mended"
        )
    return [f"{'next' if not index else '':7}{step}" for index, step in enumerate(steps)]


def _ends(outcome: Outcome) -> list[str]:
    """What ends a stack, so that it is not refused: what stayed on the machines is said before."""
    down = f"{outcome.program} down {outcome.name}"
    if not outcome.stays:
        return [f"{down}      delete it; its machines cost until then"]
    rest = f"{down} --discard      delete it with what only its machines have; they cost until then"
    if outcome.stays == "unreachable":
        return [rest]
    fetch = f"{outcome.program} fetch {outcome.name} --identity FILE"
    return [f"{fetch}      bring what its machines have, with its key", rest]


def _running(outcome: Outcome) -> list[str]:
    lines = [f"{outcome.name}: {outcome.stack_status}, {outcome.waiting_for}", ""]
    lines += states(outcome.nodes) if len(outcome.nodes) <= MAX_STATES else []
    return [
        *lines,
        "",
        f"look    {outcome.program} status {outcome.name}",
        f"end     {outcome.program} down {outcome.name}",
    ]


def states(nodes: Sequence[View]) -> list[str]:
    """Return a line for each machine: where it is or how it ended."""
    width = max((len(node.name) for node in nodes), default=0) + 3
    return [f"{node.name:{width}}{_state(node)}" for node in nodes]


def _state(node: View) -> str:
    if node.state == "waiting":
        return before_a_word(node)
    if node.state == "running":
        return f"in {node.stage}"
    has_place = node.state in ("failed", "stopped", "lost") and node.stage
    return f"{node.state} in {node.stage}" if has_place else node.state
