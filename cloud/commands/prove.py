"""`prove`: any launcher's command under the probe: was this run distributed?"""

from __future__ import annotations

import os
import signal
import sys
import time
from typing import TYPE_CHECKING, Any

import click

from cloud.commands.options import Command, make_ui, reporting
from cloud.errors import Interrupted, Problem, RunFailed

if TYPE_CHECKING:
    from cloud.prove.launch import Ended, Place
    from cloud.prove.verdict import Verdict

LATE_S = 10.0  # until what other hosts wrote is seen here


@click.command(
    cls=Command,
    example="prove -- torchrun --nproc-per-node 2 train.py",
    short_help="Run any command; say whether it was distributed.",
    context_settings={"allow_interspersed_args": False},
)
@click.argument("command", nargs=-1, required=True, metavar="-- COMMAND ...", type=click.Path())
@click.option(
    "--proof-dir", type=click.Path(), metavar="DIR", help="Keep the records there. All hosts must share it."
)
@reporting
def prove(*, command: tuple[str, ...], proof_dir: str | None, quiet: bool, as_json: bool, debug: bool) -> int:
    """Run a command of any launcher, and say whether its processes trained as one.

    Ends with 0 for one run of several ranks, else with 5. The command's input and output
    stay as they are; with --json its output goes to stderr.
    """
    from cloud.prove import launch

    del debug  # main() reads it
    ui = make_ui(quiet=quiet, as_json=as_json)
    is_shared = launch.several_hosts(command, os.environ)
    sys.stdout.flush()
    with launch.place(proof_dir, is_shared) as place:
        words = launch.passed_on(command)
        if len(words) > len(command):
            ui.say(f"started as: {' '.join(words)}")
        variables = launch.environment(place, os.environ)
        began = time.monotonic()
        ended = launch.run(words, variables, stdout=2 if as_json else None)
        seconds = time.monotonic() - began
        found = _judged(place, LATE_S if is_shared else 0.0)
    problem = _problem(ended, found)
    code = 0 if problem is None else Interrupted.exit_code if ended.interrupted_by else RunFailed.exit_code
    if ui.is_json:
        ui.document(_document(command, ended, found, problem, code=code, seconds=seconds))
        return code
    ui.problems(found.warnings)
    if problem is not None:
        ui.problems([problem])
    elif not quiet:
        ui.result(found.what)
    return code


def _judged(place: Place, late_s: float) -> Verdict:
    """The verdict; a shared directory is looked at again while ranks are missing in it."""
    from cloud.prove.verdict import verdict

    until = time.monotonic() + late_s
    while True:
        found = verdict(place.records())
        if found.code not in {"proof-incomplete", "nothing-trained"} or time.monotonic() > until:
            return found
        time.sleep(0.5)


def _problem(ended: Ended, found: Verdict) -> Problem | None:
    """What the command is to blame for, its own failure first; None when all is well."""
    if ended.interrupted_by:
        what = f"interrupted by {ended.interrupted_by}; until then: {found.what}"
        return Problem(code="interrupted", what=what)
    if ended.code:
        how = (
            f"ended with exit code {ended.code}" if ended.code > 0 else f"was ended by {_signal(-ended.code)}"
        )
        what = f"the command {how}; until then: {found.what}"
        return Problem(code="command-failed", what=what, fix="its own lines above say why")
    if found.code:
        return Problem(code=found.code, what=found.what, fix=found.fix)
    return None


def _signal(number: int) -> str:
    return signal.Signals(number).name if number in signal.valid_signals() else f"signal {number}"


def _document(
    command: tuple[str, ...],
    ended: Ended,
    found: Verdict,
    problem: Problem | None,
    *,
    code: int,
    seconds: float,
) -> dict[str, Any]:
    problems = [*found.warnings, *([problem] if problem else [])]
    return {
        "schema": 1, "exit_code": code, "command": list(command), "command_exit_code": ended.code,
        "verdict": found.what, "runs": [run.as_json() for run in found.runs], "alone": found.alone,
        "seconds": round(seconds, 2), "problems": [each.as_json() for each in problems],
    }  # fmt: skip
