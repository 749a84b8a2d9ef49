"""`up`: plan, create or pick up, follow, fetch, down when asked. The order of it; each is done elsewhere."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cloud import plan as planning
from cloud.errors import HotrunError, Interrupted, Problem, ProblemsFound, RequestError
from cloud.rehearse.interrupts import Interrupts
from cloud.stack import record
from cloud.stack.launch import create
from cloud.stack.launch.session import Session

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cloud.stack.api import Cloud, Stack
    from cloud.stack.launch.create import Wish
    from cloud.stack.watch.outcome import Outcome
    from cloud.ui import Ui


_LEVELS = ("error", "warning", "note")


class NotReady(ProblemsFound):
    """The cloud can't make the stack as it is asked for; nothing was made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How to bring a template up."""

    template: str
    """The path as the person typed it."""
    text: str
    """What stands there."""
    name: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    """Those of --parameter and --max-hours."""
    environment: Path | None = None
    """A Heat environment file."""
    runs_dir: Path = Path("runs")
    identity: Path | None = None
    """The private key for ssh, where it is not one that ssh finds by itself."""
    is_detached: bool = False
    ends_with_down: bool = False
    accepts_changes: bool = False


def up(cloud: Cloud, options: Options, ui: Ui) -> Outcome:
    """Bring a template up, or go on with its stack. What ended badly on the cloud is an Outcome.

    Raises ProblemsFound, RequestError and CloudError for what is known before a stack is made.
    """
    with Interrupts() as interrupts:
        try:
            with interrupts.at_once():
                wish, environment = _wish(options, ui)
                stack = create.existing(cloud, wish)
                ready = None if stack else _ready(cloud, wish, options, environment, ui)
        except Interrupted as error:
            raise Interrupted(Problem(code="interrupted", what="interrupted; nothing was created")) from error
        if ready is not None:
            stack = _create(cloud, ready, ui)
        assert stack is not None, "either it was there or it was made"
        session = Session(cloud, stack, options, ui, interrupts)
        if options.ends_with_down:
            session.require_own()
        create.remember(cloud, wish, stack.name, stack.id)
        if ready is None:
            ui.say(_there_already(stack, wish, is_own=session.is_own))
            _say_difference(cloud, stack, wish, ui)
        return session.left_alone() if options.is_detached else session.run()


def _wish(options: Options, ui: Ui) -> tuple[Wish, dict[str, Any]]:
    """What was asked for, read and judged without a cloud. Raises ProblemsFound, RequestError."""
    from cloud.stack.launch import environment_file

    if options.environment is not None:
        environment = environment_file.read(options.environment)
    else:
        environment = _kept_environment(options.runs_dir, options.name) if options.name else {}
    given = {**environment, **options.parameters}
    plan = planning.make(options.text, given, options.template)
    if "max_hours" in options.parameters and "max_hours" not in plan.template.section("parameters"):
        what = (
            f"{options.template} has no parameter max_hours, so --max-hours can't be written into its stack"
        )
        fix = "make the template again with this version: generate; its old deadline is inside its boot text"
        raise RequestError(Problem(code="max-hours-unknown", what=what, where="flag --max-hours", fix=fix))
    wish = create.Wish(
        plan=plan, given=given, name=options.name, runs_dir=options.runs_dir,
        accepts_changes=options.accepts_changes, program=ui.program,
    )  # fmt: skip
    return wish, environment


def _kept_environment(runs_dir: Path, name: str) -> dict[str, Any]:
    """What was chosen at a terminal for this name before."""
    from cloud.stack.launch import environment_file

    place = record.directory(runs_dir, name) / "environment.yml"
    return environment_file.read(place) if place.is_file() else {}


@dataclass(frozen=True, slots=True)
class _Ready:
    """All that a create needs."""

    wish: Wish
    name: str
    parameters: Mapping[str, str]
    environment: Mapping[str, Any]


def _ready(cloud: Cloud, wish: Wish, options: Options, environment: dict[str, Any], ui: Ui) -> _Ready:
    """Ask the cloud and the person; nothing is made. Raises ProblemsFound with all that stands in the way."""
    from cloud.stack.launch.choose import choose
    from cloud.stack.launch.survey import survey

    create.require_reviewed(wish)
    name = create.free_name(cloud, wish)
    if not wish.name and not environment:  # chosen before a plan that failed
        environment = _kept_environment(wish.runs_dir, name)
        given = {**environment, **options.parameters}
        wish = dataclasses.replace(
            wish, plan=planning.make(options.text, given, options.template), given=given
        )
    if ui.is_interactive and not ui.is_json and not ui.is_quiet:
        place = record.directory(wish.runs_dir, name) / "environment.yml"
        chosen = choose(cloud, wish.plan, ui, place, given=set(wish.given), known=environment)
        if chosen:
            environment = {**environment, **chosen}
            given = {**environment, **options.parameters}
            plan = planning.make(options.text, given, options.template)
            wish = dataclasses.replace(wish, plan=plan, given=given)
    ui.say(f"asking {cloud.label} whether {name} can be made")
    found = survey(cloud, wish.plan, name, say=ui.say)
    if not found.is_ready:
        raise NotReady(*sorted(found.problems, key=lambda one: _LEVELS.index(one.level)))
    if not ui.is_quiet and not ui.is_json:
        ui.problems([each for each in found.problems if each.level != "note"])
        for line in found.cost:
            ui.say(line)
    return _Ready(wish, name, found.parameters, environment)


def _create(cloud: Cloud, ready: _Ready, ui: Ui) -> Stack:
    """Make the stack; an interrupt now is kept for afterwards, when there is something to decide."""
    stack_id, _ = create.create(cloud, ready.wish, ready.name, ready.parameters, ready.environment)
    stack = cloud.stack(stack_id)
    if stack is None:
        raise HotrunError(
            Problem(code="stack-gone", what=f"the stack {ready.name} was deleted as it was made")
        )
    ui.say(f"{ready.name} is being made; {ui.program} down {ready.name} ends it at any time")
    return stack


def _there_already(stack: Stack, wish: Wish, *, is_own: bool) -> str:
    """What is followed instead of a new stack, and that it may be somebody else's."""
    if is_own or wish.name:
        return f"{stack.name} is there already ({stack.status}); going on with it"
    return (
        f"a stack of this template is there already: {stack.name}, made at "
        f"{record.moment(stack.created)} ({stack.status}); this computer has no record of it, so it may "
        "be somebody else's of this project; following it; --name NAME makes another"
    )


def _say_difference(cloud: Cloud, stack: Stack, wish: Wish, ui: Ui) -> None:
    """With --accept-changes a stack that differs is followed as it is, and that is said."""
    for words in create.differences(cloud, stack, wish) if wish.accepts_changes else ():
        ui.say(f"accepted: {words}")
