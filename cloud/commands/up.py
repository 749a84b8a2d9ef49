"""`up`: a template becomes a stack, is followed, its results come home."""

from __future__ import annotations

from pathlib import Path

import click

from cloud.commands.options import (
    Command,
    make_ui,
    overrides,
    parameter_option,
    read_template,
    reporting,
    show_page,
    template_argument,
)


@click.command(
    cls=Command, example="up template.yml", short_help="Launch a template, follow it, fetch its results."
)
@template_argument
@click.option("--name", metavar="NAME", help="Name of the stack.  [the repository's and a number]")
@click.option(
    "--environment", "-e", type=click.Path(), metavar="FILE", help="A Heat environment file with parameters."
)
@click.option("--max-hours", metavar="H", help="When the machines power off.  [the template's]")
@click.option("--down", "ends_with_down", is_flag=True, help="Delete the stack once its results are here.")
@click.option("--detach", is_flag=True, help="Come back as soon as the cloud has begun.")
@click.option(
    "--accept-changes", is_flag=True, help="Go on although the template is not the rehearsed or launched one."
)
@click.option(
    "--identity", "-i", type=click.Path(), metavar="FILE", help="The private key for ssh.  [ssh's own]"
)
@click.option(
    "--runs-dir", type=click.Path(), default="runs", metavar="DIR", help="Where results go.  [runs]"
)
@parameter_option
@reporting
def up(*, template: str, name: str | None, environment: str | None, max_hours: str | None,
       ends_with_down: bool, detach: bool, accept_changes: bool, identity: str | None, runs_dir: str,
       parameters: tuple[str, ...], quiet: bool, as_json: bool, debug: bool) -> int:  # fmt: skip
    """Launch a template, follow it and fetch its results.

    Type it again to go on with a stack that is there. Ctrl-C keeps the stack, or deletes it when you say so.
    """
    from cloud import by_hand
    from cloud.rehearse.screen import teller
    from cloud.stack.launch.survey import count
    from cloud.stack.launch.up import NotReady, Options
    from cloud.stack.launch.up import up as bring_up
    from cloud.stack.login.access import connect, require_sdk

    ui = make_ui(quiet=quiet, as_json=as_json)
    given = overrides(parameters)
    if max_hours is not None:
        given["max_hours"] = max_hours
    if name is not None:
        by_hand.require_name(name)
    options = Options(
        template=template, text=read_template(template), name=name or "", parameters=given,
        environment=Path(environment) if environment else None, runs_dir=Path(runs_dir),
        identity=Path(identity) if identity else None, is_detached=detach, ends_with_down=ends_with_down,
        accepts_changes=accept_changes,
    )  # fmt: skip
    require_sdk()
    try:
        ended = bring_up(connect(note=teller(ui)), options, ui)  # a plain print would tear the table
    except NotReady as error:
        if ui.is_json or debug:
            raise
        shown = tuple(one for one in error.problems if one.level != "note")
        ui.problems(shown, limit=None)
        ui.say(f"{count(shown)}; nothing was created")
        return error.exit_code
    if ui.is_json:
        ui.document(ended.as_json())
    else:
        show_page(str(ended).rstrip("\n"), ui)
    return ended.exit_code
