"""`down` and `reap`: delete stacks, and look that nothing of them is left."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cloud.commands.options import Command, make_ui, reporting
from cloud.commands.shell import identity_option, key_file

if TYPE_CHECKING:
    from cloud.stack.down import Downed
    from cloud.ui import Ui

runs_dir_option = click.option(
    "--runs-dir", type=click.Path(), default="runs", metavar="DIR", help="Where results are.  [runs]"
)


@click.command(
    cls=Command, example="down digits", short_help="Delete a stack, and look that nothing is left."
)
@click.argument("stack", metavar="STACK")
@click.option("--discard", is_flag=True, help="Delete results that were not fetched as well.")
@click.option("--yes", is_flag=True, help="Delete a stack too that was not made by hotrun.")
@runs_dir_option
@reporting
def down(
    *, stack: str, discard: bool, yes: bool, runs_dir: str, quiet: bool, as_json: bool, debug: bool
) -> int:
    """Delete a stack in any state, wait, and ask for every single thing that it had.

    Ends with 0 only when nothing is left. Results that were not fetched are not deleted.
    """
    from cloud.stack import down as downing
    from cloud.stack import named
    from cloud.stack.login import access

    del debug  # main() reads it
    access.require_sdk()
    ui = make_ui(quiet=quiet, as_json=as_json)
    place = Path(runs_dir)
    cloud = access.connect(note=ui.say)
    found = cloud.stack(stack) if stack else None
    if found is None:
        downed = downing.gone(cloud, stack, ui, place) if stack else None
        if downed is None:
            raise named.unknown(cloud, stack, place)
    else:
        downed = downing.down(cloud, found, ui, place, discard=discard, anyway=yes)
    show(downed, ui)
    return downed.exit_code


@click.command(cls=Command, example="reap --dry-run", short_help="Delete stacks past their deadline.")
@click.option("--dry-run", is_flag=True, help="Say what would be deleted, and delete nothing.")
@click.option("--timer", is_flag=True, help="Print a timer that runs this every hour.")
@identity_option
@runs_dir_option
@reporting
def reap(
    *, dry_run: bool, timer: bool, identity: str | None, runs_dir: str, quiet: bool, as_json: bool,
    debug: bool,
) -> int:  # fmt: skip
    """Delete every stack of hotrun whose hours are over; results are fetched first where that works.

    A stack that this computer has no record of making may be somebody else's: it stays, with exit
    code 5, while it has results that did not all come home.
    """
    from cloud.stack.down import reap as reaping
    from cloud.stack.down import timer as units
    from cloud.stack.login import access

    del debug  # main() reads it
    ui = make_ui(quiet=quiet, as_json=as_json)
    place, key = Path(runs_dir), key_file(identity)
    if timer:
        os_cloud = os.environ.get("OS_CLOUD", "")
        made = units.texts(_program(), os_cloud, place.absolute(), key.absolute() if key else None)
        if ui.is_json:
            ui.document({"schema": 1, "exit_code": 0, **made})
        else:
            ui.result(units.page(made, os_cloud))
        return 0

    access.require_sdk()
    cloud = access.connect(note=ui.say)
    reaped = reaping.reap(cloud, ui, place, dry_run=dry_run, identity=key)
    if ui.is_json:
        ui.document(reaped.as_json())
    else:
        reaping.show(reaped, ui)
    return reaped.exit_code


def show(downed: Downed, ui: Ui) -> None:
    """Print how a `down` ended: what is left with the command for each, or that nothing is."""
    if ui.is_json:
        ui.document(downed.as_json())
        return
    things = f"{downed.asked} thing{'' if downed.asked == 1 else 's'}"
    if not downed.left and downed.state == "gone":
        ui.result(f"{downed.name} is gone; asked for {things} it had: none is left")
    else:
        ends = {
            "gone": f"{downed.name} is gone, but not everything went with it",
            "failed": f"{downed.name} could not be deleted: {downed.reason}",
            "deadline": f"{downed.name} is still being deleted, and the time for it is over",
        }
        ui.result(ends[downed.state])
        ui.result(f"  still there, {len(downed.left)} of {things}:")
        ui.rows([(str(one), one.command) for one in downed.left], whole=True)
        ui.result(f"  then: {ui.program} down {downed.name}")
    for line in downed.lease:
        ui.result(f"  {line}")


def _program() -> list[str]:
    """How this program is called from anywhere: absolute, with its Python where it is a file."""
    called = Path(sys.argv[0])
    if called.name == "__main__.py":
        called = called.with_name("generator.py")  # the same program, and no current directory to depend on
    path = str(called.absolute()) if called.exists() else ""
    if called.suffix == ".py":
        return [sys.executable, path]
    return [path or "hotrun"]
