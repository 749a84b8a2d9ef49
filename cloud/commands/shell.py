"""`fetch`, `logs` and `ssh`: what the machines of a stack have, over ssh where that is possible."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cloud.commands.options import Command, F, make_ui, reporting
from cloud.errors import HotrunError, Interrupted, Problem, RequestError

if TYPE_CHECKING:
    from cloud.stack.api import Cloud, Stack
    from cloud.stack.shell.follow_logs import Wanted
    from cloud.ui import Ui

LAST_ERRORS = 1  # the first error explains the others

runs_dir_option = click.option(
    "--runs-dir", type=click.Path(), default="runs", metavar="DIR", help="Where results are.  [runs]"
)
identity_option = click.option(
    "--identity", "-i", type=click.Path(), metavar="FILE", help="The private key for ssh.  [ssh's own]"
)


def machine_options(function: F) -> F:
    """Add STACK, --identity and --runs-dir."""
    for option in (
        runs_dir_option,
        identity_option,
        click.argument("stack", metavar="STACK"),
    ):
        function = option(function)
    return function


@click.command(
    cls=Command, example="fetch digits -i ~/.ssh/id_ed25519", short_help="Bring a stack's results home."
)
@machine_options
@click.option("--run", default="", metavar="ID", help="An earlier run, to runs/STACK/earlier.  [the newest]")
@reporting
def fetch(*, stack: str, identity: str | None, runs_dir: str, run: str, quiet: bool, as_json: bool,
          debug: bool) -> int:  # fmt: skip
    """Bring results, logs and proof to runs/STACK, every file against its SHA-256; also while it trains.

    Interrupted, it goes on where it was when it is called again. Without ssh it brings what the
    master told Heat, and says what is missing.
    """
    from cloud.stack import fetch as fetching

    del debug  # main() reads it
    ui = make_ui(quiet=quiet, as_json=as_json)
    cloud, found = found_stack(stack, Path(runs_dir), ui)
    try:
        fetched = fetching.fetch(cloud, found, ui, Path(runs_dir), key_file(identity), run=run)
    except KeyboardInterrupt:
        what = f"interrupted; what has arrived stays in {Path(runs_dir) / found.name}"
        fix = f"{ui.program} fetch {found.name} goes on from there"
        raise Interrupted(Problem(code="interrupted", what=what, fix=fix)) from None
    code = fetched.exit_code
    if ui.is_json:
        ui.document({"exit_code": code, **fetched.as_json()})
        return code
    ui.problems(fetched.problems)
    for sentence in fetched.missing:
        ui.say(sentence)
    if not quiet:
        ui.result(fetched.sentence)
    return code


@click.command(cls=Command, example="logs digits --follow", short_help="One stream of all machines' logs.")
@machine_options
@click.option("--follow", "-f", is_flag=True, help="Go on until the run ends.")
@click.option("--node", default="", metavar="MACHINE", help="Only this one: master, worker-3 …")
@click.option(
    "--lines", default=200, metavar="N", type=click.IntRange(0), help="Of each log, at first.  [200]"
)
@reporting
def logs(*, stack: str, identity: str | None, runs_dir: str, follow: bool, node: str, lines: int,
         quiet: bool, as_json: bool, debug: bool) -> int:  # fmt: skip
    """Show the machines' logs: over ssh, else Nova's consoles, else those that were fetched.

    With --json every line is a document of its own.
    """
    from cloud.stack.shell.follow_logs import Wanted

    del debug  # main() reads it
    ui = make_ui(quiet=quiet, as_json=as_json)
    if node:
        _require_name(node, "--node")
    _show(stack, Path(runs_dir), key_file(identity), Wanted(node=node, follow=follow, back=lines), ui)
    return 0


class _WithCommand(Command):
    """Keeps what stands behind `--` for the machine."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take it away before click looks for flags in it."""
        at = args.index("--") if "--" in args else len(args)
        ctx.meta[_BEHIND] = args[at + 1 :]
        return super().parse_args(ctx, args[:at])


_BEHIND = "hotrun.behind"


@click.command(
    cls=_WithCommand,
    example="ssh digits worker-1 -- nvidia-smi",
    short_help="A shell on a machine, or one command.",
)
@machine_options
@click.argument("machine", default="master", metavar="[MACHINE] [-- COMMAND ...]")
@click.option("--print", "is_printed", is_flag=True, help="Print the ssh command instead of running it.")
@reporting
def ssh(*, stack: str, identity: str | None, runs_dir: str, machine: str, is_printed: bool,
        quiet: bool, as_json: bool, debug: bool) -> int:  # fmt: skip
    """Log in to the master or a worker, with the host keys that the master reported.

    Ends with the exit code of ssh. Workers are reached through the master.
    """
    from cloud.stack import record
    from cloud.stack.shell import shell_of

    del debug  # main() reads it
    ui = make_ui(quiet=quiet, as_json=as_json)
    _require_name(machine, "MACHINE")
    command = click.get_current_context().meta[_BEHIND]
    cloud, found = found_stack(stack, Path(runs_dir), ui)
    _require_there(found, machine, "MACHINE")
    with shell_of(cloud, found, key_file(identity)) as shell:
        shell.require(machine)
        config = shell.keep(record.directory(Path(runs_dir), found.name))
    line = ["ssh", "-F", str(config), machine, *(["--", *command] if command else [])]
    if ui.is_json:
        ui.document({"schema": 1, "exit_code": 0, "command": line})
    elif is_printed:
        ui.result(shlex.join(line))
    else:
        sys.stdout.flush()
        sys.stderr.flush()
        os.execv(shutil.which("ssh") or "ssh", line)  # noqa: S606 - this program has nothing more to do
    return 0


def _show(name: str, runs_dir: Path, identity: Path | None, wanted: Wanted, ui: Ui) -> None:
    """Show lines from the best source there is."""
    from cloud.stack import record, told
    from cloud.stack.shell import NoShell, follow_logs, run_end, shell_of

    printed, folder = _Printer(ui), record.directory(runs_dir, name)
    try:
        cloud, stack = found_stack(name, runs_dir, ui)
    except HotrunError as error:
        for line in follow_logs.of_folder(folder, wanted):
            printed.line(line)
        if not printed.count:
            raise
        ui.say(f"these are the fetched logs: {error}")
        return
    if wanted.node and not (folder / "logs" / f"{wanted.node}.log").exists():
        _require_there(stack, wanted.node, "--node")
    said = told.by(stack, cloud.resources(stack.id))
    ui.problems([each for each in said.problems if each.level == "error"][:LAST_ERRORS])
    try:
        with shell_of(cloud, stack, identity) as shell:
            shown = follow_logs.OverSsh(shell, wanted, ui.say, lambda: run_end.why_over(cloud, stack))
            for line in shown.lines():
                printed.line(line)
            return
    except NoShell as error:
        if identity is not None and error.problems[0].code == "identity-missing":
            raise
        ui.say(f"no ssh: {error.problems[0].what}")
    ui.say("showing the consoles, which keep only their end")
    for line in follow_logs.of_consoles(cloud, stack, wanted, time.sleep):
        printed.line(line)
    if not printed.count:
        for line in follow_logs.of_folder(folder, wanted):
            printed.line(line)
    if not printed.count:
        raise follow_logs.no_logs(stack.name)


class _Printer:
    """Prints `worker-3 │ line`, in a column as wide as the widest name so far."""

    def __init__(self, ui: Ui) -> None:
        self._ui, self._width, self.count = ui, len("worker-1"), 0

    def line(self, line: Any) -> None:
        """One line, at once."""
        self.count += 1
        self._width = max(self._width, len(line.node))
        if self._ui.is_json:
            self._ui.result(json.dumps({"node": line.node, "stage": line.stage, "text": line.text}))
        else:
            self._ui.result(f"{line.node:{self._width}} │ {line.text}")
        sys.stdout.flush()


def found_stack(name: str, runs_dir: Path, ui: Ui) -> tuple[Cloud, Stack]:
    """Log in, and find the stack of that name; one that is not ours is refused."""
    from cloud.stack.change.changing import require_ours
    from cloud.stack.login.access import connect, require_sdk
    from cloud.stack.named import named

    require_sdk()
    cloud = connect(note=ui.say)
    found = named(cloud, name, runs_dir)
    require_ours(found)
    return cloud, found


def key_file(identity: str | None) -> Path | None:
    """Where --identity points, None without one."""
    return Path(identity).expanduser() if identity else None


def _require_name(word: str, origin: str) -> None:
    from cloud.stack.shell.config import is_machine

    if not is_machine(word):
        what = f"{origin} is {word}, but machines are called master, worker-1, worker-2 …"
        raise RequestError(Problem(code="machine-unknown", what=what))


def _require_there(stack: Stack, machine: str, origin: str) -> None:
    """Raise RequestError for a machine that the stack does not have, with those that it has."""
    from cloud.node.console import node_rank

    if node_rank(machine) <= stack.workers:
        return
    workers = {0: "", 1: " and worker-1", 2: ", worker-1 and worker-2"}
    there = f"master{workers.get(stack.workers, f' and worker-1 to worker-{stack.workers}')}"
    what = f"{origin} is {machine}, but the machines of {stack.name} are {there}"
    if not stack.workers:
        what = f"{origin} is {machine}, but {stack.name} has one machine only, its master"
    raise RequestError(Problem(code="machine-unknown", what=what))
