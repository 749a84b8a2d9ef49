"""`plan`: a template against a cloud, with nothing made."""

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
    from cloud.stack.launch.survey import Survey
    from cloud.ui import Ui

PROBLEMS_FOUND = 3


@click.command(
    cls=Command,
    example="plan template.yml --name digits",
    short_help="Hold a template against a cloud; make nothing.",
)
@template_argument
@click.option("--name", metavar="NAME", help="Name of the stack.  [the repository's and a number]")
@click.option(
    "--environment", "-e", type=click.Path(), metavar="FILE", help="A Heat environment file with parameters."
)
@click.option("--prices", type=click.Path(), metavar="FILE", help="What flavors cost per hour, as YAML.")
@click.option(
    "--runs-dir", type=click.Path(), default="runs", metavar="DIR", help="Where results go.  [runs]"
)
@parameter_option
@reporting
def plan(
    *, template: str, name: str | None, environment: str | None, prices: str | None, runs_dir: str,
    parameters: tuple[str, ...], quiet: bool, as_json: bool, debug: bool,
) -> int:  # fmt: skip
    """Find all that would keep a template from becoming a stack, and what the stack would cost.

    Asks the cloud of OS_CLOUD or OS_*, and makes nothing.
    """
    from cloud import by_hand
    from cloud import plan as planning
    from cloud.stack.judge import prices as price_table
    from cloud.stack.launch import create, environment_file
    from cloud.stack.launch.survey import survey
    from cloud.stack.login.access import connect, require_sdk

    del debug  # main() reads it
    ui = make_ui(quiet=quiet, as_json=as_json)
    given = overrides(parameters)
    kept = environment_file.read(Path(environment)) if environment else {}
    table = price_table.read(Path(prices)) if prices else None
    planned = planning.make(read_template(template), {**kept, **given}, template)
    if name is not None:
        by_hand.require_name(name)
    require_sdk()
    cloud = connect(note=ui.say)
    name = name or create.unused_name(cloud, create.Wish(plan=planned, given={}, runs_dir=Path(runs_dir)))
    ui.say(f"asking {cloud.label}")
    found = survey(cloud, planned, name, prices=table, say=ui.say)
    lines = by_hand.lines(
        planned, given, program=ui.program, template=template, name=name, environment=environment or ""
    )
    code = 0 if found.is_ready else PROBLEMS_FOUND
    if ui.is_json:
        ui.document(
            {"schema": 1, "exit_code": code, "template": template, **found.as_json(), "command": lines[1]}
        )
    else:
        _show(template, found, lines, ui)
    return code


def _show(template: str, found: Survey, lines: tuple[str, str], ui: Ui) -> None:
    from cloud.stack.launch.survey import count, show

    if ui.is_quiet:
        ui.problems(found.problems, limit=None, on_stdout=True)
        return
    ui.result(f"plan for {template} on {found.label}")
    ui.result()
    show(found, ui)
    ui.result()
    if found.is_ready and template != "-":  # what came through a pipe has no name to type
        ui.rows(zip(("run it", "or"), lines, strict=True), whole=True)
        ui.result()
    ui.result(f"{count(found.problems)}; nothing was created")
