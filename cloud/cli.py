"""argv -> a command -> an exit code. The work is in functions that raise; nothing is decided here."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click
from click.core import ParameterSource

from cloud import __version__
from cloud.commands.change import rerun, resize
from cloud.commands.completion import completion
from cloud.commands.down import down, reap
from cloud.commands.generate import force_option, generate, make, out_option
from cloud.commands.look import tensorboard, tunnel
from cloud.commands.options import Command, make_ui, reporting
from cloud.commands.plan import plan
from cloud.commands.prove import prove
from cloud.commands.read import check, explain
from cloud.commands.rehearse import rehearse
from cloud.commands.shell import fetch, logs, ssh
from cloud.commands.status import status
from cloud.commands.up import up
from cloud.errors import HotrunError, Interrupted, Problem, RequestError
from cloud.ui import Ui

if TYPE_CHECKING:
    from collections.abc import Sequence


class _Group(click.Group):
    """Commands in the order of a person's work, not of the alphabet, below what they touch."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        return list(self.commands)

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        width = max(len(name) for name in self.commands)
        limit = formatter.width - width - 6
        for title, commands in _COMMANDS.items():
            with formatter.section(title):
                formatter.write_dl(
                    [(f"{each.name:{width}}", each.get_short_help_str(limit)) for each in commands]
                )

    format_epilog = Command.format_epilog
    example = "generate --repo . --workers 2 --entrypoint main.py"


_COMMANDS: dict[str, tuple[click.Command, ...]] = {
    "A template": (generate, explain, check),
    "On this computer": (rehearse, prove, completion),
    "On a cloud": (plan, up, status, logs, ssh, tensorboard, tunnel, fetch, resize, rerun, down, reap),
}


@click.group(
    cls=_Group,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80},
)
@out_option
@force_option
@reporting
@click.version_option(__version__, message="hotrun %(version)s")
@click.pass_context
def cli(ctx: click.Context, *, out: str | None, force: bool, quiet: bool, as_json: bool, debug: bool) -> int:
    """Make one Heat template whose machines train a git repository together.

    Without a command: asks four questions, then writes template.yml.
    """
    del debug  # run() reads it
    if ctx.invoked_subcommand is not None:
        _refuse_early_flags(ctx)
        return 0
    from cloud.config import Request

    ui = make_ui(quiet=quiet, as_json=as_json)
    if ui.is_interactive and out != "-" and not quiet and not as_json:
        ui.result(f"hotrun {__version__} · one Heat template from four answers")
        ui.result()
    return make(Request(), out, is_forced=force, ui=ui, is_guided=True)


def _refuse_early_flags(ctx: click.Context) -> None:
    """A flag before the command would be lost: it belongs to the four questions."""
    for parameter in ctx.command.params:
        is_typed = ctx.get_parameter_source(str(parameter.name)) is ParameterSource.COMMANDLINE
        if is_typed and parameter.name != "debug":
            what = f"{parameter.opts[-1]} stands before {ctx.invoked_subcommand}"
            raise RequestError(Problem(code="usage", what=what, fix="write it behind the command"))


for _command in (command for commands in _COMMANDS.values() for command in commands):
    cli.add_command(_command)


def main() -> NoReturn:
    """Run the command of this process and end it with the exit code of docs/errors.md."""
    for stream, errors in ((sys.stdin, "surrogateescape"), (sys.stdout, "replace"), (sys.stderr, "replace")):
        if isinstance(stream, io.TextIOWrapper):  # odd bytes become a problem of a value, never a crash
            stream.reconfigure(errors=errors)
    sys.exit(run(sys.argv[1:], program_name(sys.argv[0])))


def run(arguments: Sequence[str], program: str = "hotrun") -> int:
    """Run one command and return its exit code; every failure has been shown."""
    own = arguments[: arguments.index("--")] if "--" in arguments else arguments  # not prove's command
    ui = Ui(is_json="--json" in own, program=program)
    is_debug = "--debug" in own
    try:
        try:
            code = cli.main(args=list(arguments), prog_name=program, standalone_mode=False)
            sys.stdout.flush()
        except HotrunError as error:
            return _failed(error, ui, is_debug)
        except click.UsageError as error:
            return _failed(RequestError(_usage(error, program)), ui, is_debug)
        except (KeyboardInterrupt, click.Abort):
            return _failed(Interrupted(Problem(code="interrupted", what="interrupted")), ui, False)
    except BrokenPipeError:  # the reader has seen enough
        _silence()
        return 0
    except OSError as error:
        if error.errno != errno.ENOSPC:
            return _bug(error, ui, is_debug)
        what = f"{error.filename or 'the disk'} can't be written: the disk is full"
        return _failed(HotrunError(Problem(code="disk-full", what=what, fix="free some space")), ui, is_debug)
    except Exception as error:  # noqa: BLE001 - whatever is left is a bug, and says so
        return _bug(error, ui, is_debug)
    return code if isinstance(code, int) else 0


def program_name(path: str) -> str:
    """Return what to type to call the program again, from the path it was called by."""
    name = Path(path).name
    if name == "__main__.py":
        return "python3 -m cloud"
    if name != "generator.py":
        return "hotrun"
    with contextlib.suppress(ValueError):  # another drive
        relative = os.path.relpath(path)
        path = path if relative.startswith("..") else relative
    return f"python3 {path}"


def _failed(error: HotrunError, ui: Ui, is_debug: bool) -> int:
    if is_debug:
        ui.traceback(error)
    ui.failure(error)
    return error.exit_code


def _bug(error: Exception, ui: Ui, is_debug: bool) -> int:
    ui.traceback(error)
    what = f"this is a bug in hotrun {__version__}: {type(error).__name__}: {error}"
    fix = "" if is_debug else "report it with the lines above and the command you typed"
    ui.failure(HotrunError(Problem(code="bug", what=what, fix=fix)))
    return HotrunError.exit_code


NEAR = 0.7  # of 1: `adpat` for `adapt`, but not `input`


def _usage(error: click.UsageError, program: str) -> Problem:
    """Click's sentence in our form: it begins with what was typed, and the near miss is the hint."""
    command = error.ctx.command_path.removeprefix(program).strip() if error.ctx else ""
    fix = f"{program} {command} --help".replace("  ", " ")
    near = getattr(error, "possibilities", None) or []
    if isinstance(error, click.NoSuchOption):
        what = f"{error.option_name} is not a flag of {command or program}"
        near = [flag for flag in near if _is_near(error.option_name, flag)]
        if not command and error.option_name in {name for param in generate.params for name in param.opts}:
            fix, near = f"{program} generate {error.option_name} …", []
    elif isinstance(error, click.BadOptionUsage):
        what = f"{error.option_name} {'needs a value' if 'requires' in error.message else 'takes no value'}"
    elif isinstance(error, click.MissingParameter) and error.param is not None:
        what = f"{error.param.make_metavar(error.ctx)} is missing" if error.ctx else "a value is missing"
    elif unknown := re.match(r"No such command '(.*)'", error.message):
        what = f"{unknown[1]} is not a command"
        import difflib

        near = difflib.get_close_matches(unknown[1], list(cli.commands))
    else:
        message = error.format_message().rstrip(".")
        what = f"{command}: {message[:1].lower()}{message[1:]}" if command else message
    if near:
        fix = f"did you mean {near[0]}?"
    return Problem(code="usage", what=what, fix=fix)


def _is_near(typed: str, flag: str) -> bool:
    """Whether a flag may have been meant: click's own measure counts what all of them begin with."""
    import difflib

    ours, theirs = (word.removeprefix("--").removeprefix("no-") for word in (typed, flag))
    return difflib.SequenceMatcher(None, ours, theirs).ratio() >= NEAR


def _silence() -> None:
    """Give the interpreter a stdout that it can flush at its end."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
