"""`tensorboard` and `tunnel`: a run's events in the browser, and a port of the master on this computer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cloud.commands.options import Command, F, make_ui, reporting
from cloud.commands.shell import found_stack, identity_option, key_file, runs_dir_option
from cloud.errors import HotrunError, Problem, RequestError

if TYPE_CHECKING:
    from cloud.look.over_ssh import Wanted
    from cloud.look.staying import Stay


def looking_options(function: F) -> F:
    """Add --identity, --runs-dir, --port and --no-browser."""
    for option in (
        click.option("--no-browser", is_flag=True, help="Print the address and open nothing."),
        click.option(
            "--port",
            type=click.IntRange(1, 65535),
            metavar="N",
            help="Port on this computer.  [the same number, or a free one]",
        ),
        runs_dir_option,
        identity_option,
    ):
        function = option(function)
    return function


@click.command(
    cls=Command, example="tensorboard digits", short_help="Show a run in TensorBoard, also while it trains."
)
@click.argument("run", metavar="STACK|RUN")
@looking_options
@reporting
def tensorboard(*, run: str, identity: str | None, runs_dir: str, port: int | None, no_browser: bool,
                quiet: bool, as_json: bool, debug: bool) -> int:  # fmt: skip
    """Start TensorBoard and open it in the browser, until Ctrl-C.

    For a STACK it starts on the master, behind an ssh tunnel. For a RUN, the name of a rehearsal or the
    directory of what was rehearsed or fetched, it starts here.
    """
    from cloud.look import here, over_ssh, place, staying

    del debug  # main() reads it
    ui = make_ui(quiet=quiet, as_json=as_json)
    with staying.Stay(ui, what="TensorBoard", opens=not no_browser) as stay:
        directory = place.local(run, Path(runs_dir))
        if directory is None:
            wanted = over_ssh.Wanted(stack=run, port=port)
            directory = _on_the_master(wanted, Path(runs_dir), key_file(identity), stay)
        here.show(directory, port, stay)
    return 0


@click.command(
    cls=Command, example="tunnel digits ray", short_help="A port of the master on this computer, over ssh."
)
@click.argument("stack", metavar="STACK")
@click.argument("what", metavar="ray|tensorboard|PORT")
@looking_options
@reporting
def tunnel(*, stack: str, what: str, identity: str | None, runs_dir: str, port: int | None,
           no_browser: bool, quiet: bool, as_json: bool, debug: bool) -> int:  # fmt: skip
    """Let a port of 127.0.0.1 here lead to one of the master's, until Ctrl-C.

    `ray` is Ray's dashboard (8265), `tensorboard` a TensorBoard that runs there (6006).
    """
    from cloud.look import over_ssh, staying
    from cloud.stack.shell import shell_of

    del debug  # main() reads it
    ui = make_ui(quiet=quiet, as_json=as_json)
    there = over_ssh.number(what)
    if there is None:
        said = f"{what} is neither ray nor tensorboard nor a port from 1 to 65535"
        raise RequestError(Problem(code="port-unknown", what=said, fix=f"{ui.program} tunnel {stack} 8080"))
    opens = not no_browser and what in over_ssh.PORTS
    with staying.Stay(ui, what="the tunnel", opens=opens) as stay:
        cloud, found = found_stack(stack, Path(runs_dir), ui)
        with shell_of(cloud, found, key_file(identity)) as shell:
            over_ssh.port(shell, there, over_ssh.Wanted(stack=found.name, port=port), stay)
    return 0


def _on_the_master(wanted: Wanted, runs_dir: Path, identity: Path | None, stay: Stay) -> Path:
    """Show a stack's newest run on its master, to the end; where that can't be, return what was fetched."""
    from cloud.look import over_ssh, place
    from cloud.stack.shell import shell_of

    fetched = place.fetched(wanted.stack, runs_dir)
    try:
        cloud, found = found_stack(wanted.stack, runs_dir, stay.ui)
        with shell_of(cloud, found, identity) as shell:
            over_ssh.tensorboard(shell, replace(wanted, stack=found.name), stay)
    except HotrunError as error:
        if fetched is None or stay.is_ready or error.problems[0].code in _OWN_MISTAKES:
            raise
        stay.ui.say(f"showing what was fetched: {error}")
        return fetched


_OWN_MISTAKES = {"identity-missing", "port-taken"}
