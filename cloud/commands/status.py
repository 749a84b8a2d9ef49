"""`status`: all stacks of a project in a list, or one of them machine by machine."""

from __future__ import annotations

from pathlib import Path

import click

from cloud.commands.options import Command, make_ui, reporting, show_page


@click.command(
    cls=Command, example="status digits-1", short_help="All stacks, or where the machines of one are."
)
@click.argument("stack", metavar="[STACK]", required=False)
@click.option(
    "--identity", "-i", type=click.Path(), metavar="FILE", help="The private key for ssh.  [ssh's own]"
)
@click.option(
    "--runs-dir", type=click.Path(), default="runs", metavar="DIR", help="Where results are.  [runs]"
)
@reporting
def status(
    *, stack: str | None, identity: str | None, runs_dir: str, quiet: bool, as_json: bool, debug: bool
) -> int:
    """Say how all stacks of hotrun are, or at which stage each machine of one is now.

    Changes nothing; asks Heat, Nova, the consoles, and the master over ssh where there is a key.
    """
    from cloud.stack.change.changing import require_ours
    from cloud.stack.login.access import connect, require_sdk
    from cloud.stack.named import named
    from cloud.stack.watch import standing

    del debug  # main() reads it
    ui = make_ui(quiet=quiet, as_json=as_json)
    require_sdk()
    cloud = connect(note=ui.say)
    if stack is None:
        listed = standing.every(cloud)
        if ui.is_json:
            ui.document(standing.as_json(listed, cloud.label))
        else:
            standing.show_all(listed, cloud.label, ui)
        return 0
    found = named(cloud, stack, Path(runs_dir))
    require_ours(found)
    one = standing.one(cloud, found, Path(runs_dir), Path(identity) if identity else None, ui.program)
    if ui.is_json:
        ui.document(one.as_json())
    else:
        standing.show(one, ui, lambda text: show_page(text, ui))
    return 0
