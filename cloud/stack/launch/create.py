"""A plan -> a stack of it: the one that is there already, or a new one, without rollback.

What this computer remembers (record.py) is written before the stack is asked for: whenever `up` is killed,
the next `up` or `down` finds what there is.
"""

from __future__ import annotations

import dataclasses
import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cloud import by_hand
from cloud.errors import Problem, ProblemsFound, RequestError
from cloud.stack import api, record
from cloud.stack.launch import changed
from cloud.stack.watch import reasons

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cloud.plan import Plan
    from cloud.stack.api import Cloud, Stack
    from cloud.stack.record import Record

_LOOKED_AT = 5  # stacks with the same template, newest first
_KEPT = ("cloud.json", "status.json", "template.yml")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What was asked for."""

    plan: Plan
    given: Mapping[str, Any]
    """Parameters that were given, by flag, by environment file or by choice."""
    name: str = ""
    """Empty: of the repository, with the first free number."""
    runs_dir: Path = Path("runs")
    accepts_changes: bool = False
    program: str = "hotrun"


def existing(cloud: Cloud, wish: Wish) -> Stack | None:
    """Return the stack to go on with: of this name, or without a name the newest of this very template.

    Raises ProblemsFound: `stack-name-taken` by a stack that is not ours, what is wrong with the template and
    the parameters, `template-changed`; and CloudError.
    """
    if not wish.name:
        return _same(cloud, wish)
    stack = cloud.stack(wish.name)
    if stack is None:
        return None
    if not stack.is_ours:
        what = f"the project has a stack {wish.name} that was not made by {wish.program}"
        raise ProblemsFound(
            Problem(code="stack-name-taken", what=what, where="flag --name", fix="choose another --name")
        )
    if stack.action == "DELETE":
        what = f"the stack {wish.name} is being deleted ({stack.status})"
        fix = f"{wish.program} down {wish.name} waits for its end; or choose another --name"
        raise ProblemsFound(Problem(code="stack-name-taken", what=what, where="flag --name", fix=fix))
    if not wish.plan.is_ready and not wish.accepts_changes:  # as for a new stack
        raise ProblemsFound(*(one for one in wish.plan.problems if one.level == "error"))
    words = differences(cloud, stack, wish)
    if words and not wish.accepts_changes:
        raise ProblemsFound(_changed(wish, stack, words))
    return stack


def differences(cloud: Cloud, stack: Stack, wish: Wish) -> list[str]:
    """Return in words what of the template and the given parameters is not so in a stack."""
    words = changed.parameters(wish.given, stack)
    if changed.tag(wish.plan.text) in stack.tags:
        return words
    import yaml

    content = yaml.safe_load(cloud.template(stack.id))
    return [*changed.templates(wish.plan.template.document, content), *words]


def require_reviewed(wish: Wish) -> None:
    """Refuse a file that was edited after its rehearsal, unless that is accepted. Raises ProblemsFound."""
    rehearsal = changed.reviewed(wish.runs_dir, wish.plan.text)
    if rehearsal and not wish.accepts_changes:
        what = f"{wish.plan.template.name} is not the file that was rehearsed as {rehearsal}"
        difference = f"diff {wish.runs_dir / rehearsal}/template.yml {wish.plan.template.name}"
        fix = f"rehearse it again, or --accept-changes; the difference: {difference}"
        raise ProblemsFound(Problem(code="template-changed", what=what, fix=fix))


def free_name(cloud: Cloud, wish: Wish) -> str:
    """Return the wished name, or the repository's with the first number that no stack and no run has."""
    if wish.name:
        _require_place(cloud, wish)
        return wish.name
    return unused_name(cloud, wish)


def unused_name(cloud: Cloud, wish: Wish) -> str:
    """Return the repository's name with the first number that no stack and no run has."""
    base = by_hand.stack_name(wish.plan)
    for number in itertools.count(1):
        name = f"{base}-{number}"
        if not _is_kept(wish.runs_dir, name, cloud.label) and cloud.stack(name) is None:
            return name
    raise AssertionError("unreachable")


def create(
    cloud: Cloud, wish: Wish, name: str, parameters: Mapping[str, str], environment: Mapping[str, Any]
) -> tuple[str, Record]:
    """Begin to make the stack; its id and what is remembered now. Raises CloudError, RequestError."""
    kept = remember(cloud, wish, name)
    place = record.directory(wish.runs_dir, name)
    write(place, wish.plan, environment)
    tags = (api.TAG, changed.tag(wish.plan.text))
    try:
        stack_id = cloud.create(
            name, wish.plan.text, parameters, timeout_min=by_hand.timeout_min(wish.plan), tags=tags
        )
    except api.CloudError as error:
        raise _translated(error, name) from error
    kept = dataclasses.replace(kept, stack_id=stack_id)
    record.write(wish.runs_dir, kept)
    return stack_id, kept


def remember(cloud: Cloud, wish: Wish, name: str, stack_id: str = "") -> Record:
    """Write down what will be, or is, a stack. Raises RequestError, also `run-exists`."""
    return record.claim(wish.runs_dir, cloud.label, name, stack_id, changed.sha256(wish.plan.text))


def write(place: Path, plan: Plan, environment: Mapping[str, Any]) -> None:
    """Keep what the stack is made from. Raises RequestError."""
    import json

    from cloud.stack.launch import environment_file

    values = {name: value for name, value in plan.parameters.items() if not name.startswith("OS::")}
    try:
        record.put(place / "template.yml", plan.text)
        record.put(place / "parameters.json", json.dumps(values, indent=1) + "\n")
    except OSError as error:
        raise record.not_writable(place, error) from error
    if environment:
        environment_file.write(place / "environment.yml", environment)


def _same(cloud: Cloud, wish: Wish) -> Stack | None:
    """The newest stack of this very file whose parameters are those that were given."""
    mark = changed.tag(wish.plan.text)
    alike = [stack for stack in cloud.stacks() if mark in stack.tags and stack.action != "DELETE"]
    for one in alike[:_LOOKED_AT]:
        stack = cloud.stack(one.id)
        if stack is not None and not changed.parameters(wish.given, stack):
            return stack
    return None


def _require_place(cloud: Cloud, wish: Wish) -> None:
    """A rehearsal's or another stack's results are never written into."""
    by_hand.require_name(wish.name)
    if _is_kept(wish.runs_dir, wish.name, cloud.label, is_own_allowed=True):
        what = f"{wish.runs_dir / wish.name} exists already and is never overwritten"
        fix = "choose another --name, or another --runs-dir"
        raise RequestError(Problem(code="run-exists", what=what, where="flag --name", fix=fix))


def _is_kept(runs_dir: Path, name: str, label: str, *, is_own_allowed: bool = False) -> bool:
    """Whether a directory holds something worth keeping: not one of a stack that was never made."""
    place = record.directory(runs_dir, name)
    if not any((place / file).exists() for file in _KEPT):
        return False
    kept = record.read(runs_dir, name)
    if kept is None or kept.cloud != label:
        return True
    if is_own_allowed:
        return bool(kept.fetched_run)
    return bool(kept.stack_id)


def _changed(wish: Wish, stack: Stack, words: Sequence[str]) -> Problem:
    what = f"the stack {stack.name} is there and was made from something else: {'; '.join(words)}"
    fix = "--accept-changes follows this one as it is; another --name makes a second stack; or first "
    fix += f"{wish.program} down {stack.name}"
    return Problem(code="template-changed", what=what, where="flag --name" if wish.name else "", fix=fix)


def _translated(error: api.CloudError, name: str) -> api.CloudError:
    """A name that was taken a moment ago, a quota: what it means."""
    said = error.problems[0].what if error.problems else str(error)
    if error.status == 409:
        what = f"the name {name} was taken in this moment: {said}"
        return api.CloudError(
            Problem(code="stack-name-taken", what=what, fix="choose another --name"), status=409
        )
    if 400 <= error.status < 500 and (known := reasons.problem(said)).code != "stack-failed":
        return api.CloudError(known, status=error.status)
    return error
