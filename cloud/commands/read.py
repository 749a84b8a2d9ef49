"""`check` and `explain`: read a template, and say what is wrong with it or what it does."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cloud.commands.options import (
    Command,
    make_ui,
    overrides,
    parameter_option,
    read_template,
    reporting,
    template_argument,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cloud.errors import Problem
    from cloud.ui import Ui

PROBLEMS_FOUND = 3


@click.command(cls=Command, example="check template.yml", short_help="Find problems without a cloud.")
@template_argument
@parameter_option
@reporting
def check(template: str, parameters: tuple[str, ...], quiet: bool, as_json: bool, debug: bool) -> int:
    """Find all problems of a template that can be found without a cloud.

    Ends with what each part takes of the user data.
    """
    from cloud import plan
    from cloud.errors import ProblemsFound

    del debug  # main() reads it
    ui = make_ui(quiet=quiet, as_json=as_json)
    text = read_template(template)
    try:
        planned = plan.make(text, overrides(parameters), template)
        problems, sizes = planned.problems, planned.sizes
    except ProblemsFound as found:
        problems, sizes = found.problems, {}
    code = PROBLEMS_FOUND if any(problem.level == "error" for problem in problems) else 0
    if ui.is_json:
        listed = [problem.as_json() for problem in problems]
        ui.document(
            {"schema": 1, "exit_code": code, "template": template, "problems": listed, "sizes": sizes}
        )
    else:
        _show(template, problems, sizes, ui)
    return code


@click.command(
    cls=Command, example="explain template.yml", short_help="Say what a template does, in plain words."
)
@template_argument
@click.option(
    "--unpack",
    type=click.Path(),
    metavar="DIR",
    help="Write the node program and the resolved user data there.",
)
@parameter_option
@reporting
def explain(
    *, template: str, unpack: str | None, parameters: tuple[str, ...], quiet: bool, as_json: bool, debug: bool
) -> int:
    """Say in plain words what every resource, parameter and stage of a template does."""
    from cloud import explain as explanation
    from cloud import plan

    del debug  # main() reads it
    ui = make_ui(quiet=quiet, as_json=as_json)
    planned = plan.make(read_template(template), overrides(parameters), template)
    told = explanation.explain(planned)
    if unpack is not None:
        explanation.unpack(planned, Path(unpack))
    if ui.is_json:
        problems = [problem.as_json() for problem in planned.problems]
        ui.document({"schema": 1, "exit_code": 0, "text": told, "unpacked": unpack, "problems": problems})
    elif not ui.is_quiet:
        ui.result(told.rstrip("\n"))
        if unpack is not None:
            ui.say(f"unpacked into {unpack}")
    return 0


def _show(template: str, problems: Sequence[Problem], sizes: Mapping[str, int], ui: Ui) -> None:
    ui.problem_table(problems)
    if ui.is_quiet:
        return
    if problems:
        ui.result()
    if sizes:
        ui.table(
            ("part of the user data", "bytes"),
            [(part, f"{size:,}") for part, size in sizes.items()],
            numbers=(1,),
        )
        ui.result()
    ui.result(f"{template}: {_count(problems)}")


def _count(problems: Sequence[Problem]) -> str:
    levels = [problem.level for problem in problems]
    counts = [
        (levels.count("error"), "error"),
        (levels.count("warning"), "warning"),
        (levels.count("note"), "note"),
    ]
    told = [f"{number} {word}{'s' if number > 1 else ''}" for number, word in counts if number]
    return ", ".join(told) or "no problems found"
