"""`resize` and `rerun`: change a stack that is there, and replace none of its machines."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cloud.commands.down import runs_dir_option
from cloud.commands.options import Command, make_ui, reporting, show_page

if TYPE_CHECKING:
    from cloud.stack.api import Cloud, Stack
    from cloud.stack.change.rerun import Begun
    from cloud.stack.change.resize import Resized
    from cloud.ui import Ui

identity_option = click.option(
    "--identity", "-i", type=click.Path(), metavar="FILE", help="Private key of the stack's key pair."
)


@click.command(cls=Command, example="resize digits 4", short_help="Change the number of workers of a run.")
@click.argument("stack", metavar="STACK")
@click.argument("workers", metavar="N")
@click.option("--wait/--detach", default=True, help="Wait until it trains again, or only ask for it.  [wait]")
@identity_option
@runs_dir_option
@reporting
def resize(
    *, stack: str, workers: str, wait: bool, identity: str | None, runs_dir: str, quiet: bool, as_json: bool,
    debug: bool,
) -> int:  # fmt: skip
    """Change the number of workers of a stack that trains; it goes on from its newest checkpoint.

    No machine that stays is replaced.
    """
    from cloud.stack.change import resize as resizing
    from cloud.stack.shell import viewer as viewing

    del debug  # main() reads it
    count = _workers(workers, "N")
    ui = make_ui(quiet=quiet, as_json=as_json)
    cloud, found = _found(stack, runs_dir, ui)
    viewer = viewing.Viewer(cloud, Path(identity) if identity else None)
    try:
        resized = resizing.resize(
            cloud, found, count, ui, Path(runs_dir), is_detached=not wait, viewer=viewer
        )
    finally:
        viewer.close()
    if ui.is_json:
        ui.document(resized.as_json())
    else:
        _show_resized(resized, ui)
    return 0


@click.command(cls=Command, example="rerun digits --ref main", short_help="Run again on the same machines.")
@click.argument("stack", metavar="STACK")
@click.option("--ref", metavar="REF", help="Branch, tag or commit to run.  [as before]")
@click.option("--args", metavar='"…"', help='Arguments of the program, "" for none.  [as before]')
@click.option("--workers", metavar="N", help="Machines beside the master.  [as before]")
@click.option("--detach", is_flag=True, help="Only ask for it, and don't follow.")
@click.option("--anyway", is_flag=True, help="Also when the last run's results were not fetched.")
@identity_option
@runs_dir_option
@reporting
def rerun(
    *, stack: str, ref: str | None, args: str | None, workers: str | None, detach: bool, anyway: bool,
    identity: str | None, runs_dir: str, quiet: bool, as_json: bool, debug: bool,
) -> int:  # fmt: skip
    """Run again on the machines of an ended run: another commit, other arguments, more or fewer workers.

    No machine is replaced; those that are shut off are started. It is refused while the last run's
    results are not fetched.
    """
    from cloud.stack.change import rerun as rerunning

    del debug  # main() reads it
    count = _workers(workers, "--workers") if workers is not None else None
    ui = make_ui(quiet=quiet, as_json=as_json)
    cloud, found = _found(stack, runs_dir, ui)
    asked = rerunning.Rerun(ref=ref, args=args, workers=count, anyway=anyway)
    begun = rerunning.begin(cloud, found, asked, ui, Path(runs_dir), is_followed=not detach)
    if not detach:
        ui.say(_told(begun))
        key = Path(identity) if identity else None
        asking = _Asked(runs_dir=Path(runs_dir), identity=key)
        return _follow(cloud, cloud.stack(found.id) or found, asking, ui, begun.number)
    if ui.is_json:
        ui.document(begun.as_json())
    else:
        ui.result(f"{_told(begun)}; follow it: {ui.program} status {begun.name}")
    return 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """How the new run is followed."""

    runs_dir: Path
    identity: Path | None
    ends_with_down: bool = False


def _follow(cloud: Cloud, stack: Stack, asked: _Asked, ui: Ui, number: int) -> int:
    """Follow a run as `up` does, and fetch its results."""
    from cloud.rehearse.interrupts import Interrupts
    from cloud.stack.launch.session import Session

    with Interrupts() as interrupts:
        ended = Session(cloud, stack, asked, ui, interrupts, number=number).run()
    if ui.is_json:
        ui.document(ended.as_json())
    else:
        show_page(str(ended).rstrip("\n"), ui)
    return ended.exit_code


def _told(begun: Begun) -> str:
    args = f" {begun.args}" if begun.args else ""
    ref = begun.ref[:7] if len(begun.ref) == 40 else begun.ref or "the default branch"
    return f"{begun.name} runs again (rerun {begun.number}): {ref}{args}, 1 master + {begun.workers} workers"


def _found(name: str, runs_dir: str, ui: Ui) -> tuple[Cloud, Stack]:
    from cloud.stack import named
    from cloud.stack.login import access

    access.require_sdk()
    cloud = access.connect(note=ui.say)
    return cloud, named.named(cloud, name, Path(runs_dir))


def _workers(text: str, flag: str) -> int:
    """A number of workers; raises RequestError."""
    from cloud.errors import Problem, RequestError
    from cloud.model import MAX_WORKERS
    from cloud.request import rules

    try:
        return int(rules.whole_number(0, MAX_WORKERS, "workers-out-of-range")(text))
    except rules.Refused as refused:
        where = f"flag {flag}" if flag.startswith("-") else f"argument {flag}"
        problem = Problem(code=refused.code, what=f"workers {refused.why}", where=where, fix=refused.fix)
        raise RequestError(problem) from refused


def _show_resized(resized: Resized, ui: Ui) -> None:
    name, count = resized.name, resized.after
    if resized.before == count:
        ui.result(f"{name} has {count} workers already; nothing was changed")
    elif not resized.is_followed:
        ui.result(f"{name}: {resized.before} -> {count} workers asked for; look: {ui.program} status {name}")
    elif resized.trains:
        ui.result(f"{name} trains again with {count} workers (before: {resized.before})")
    else:
        ui.result(f"{name} has {count} workers now (before: {resized.before})")
        ui.result(f"  {resized.unseen}")
    for machine in resized.replaced:
        ui.result(f"  {machine} was made anew: what only it had is gone")
