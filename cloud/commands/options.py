"""What commands share: help with an example, --json and --quiet, settings as flags, reading a template."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from cloud import paragraph
from cloud.errors import Problem, RequestError
from cloud.request.settings import SETTINGS, Setting
from cloud.ui import MAX_COLUMNS, Ui

F = TypeVar("F", bound=Callable[..., Any])

MAX_TEMPLATE_BYTES = 10_000_000


class Command(click.Command):
    """A command whose help ends with one example line, under the name that the program was called by."""

    def __init__(self, *args: Any, example: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.example = example

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the example as it is typed."""
        with formatter.section("Example"):
            formatter.write(f"  {ctx.find_root().info_name} {self.example}\n")


def reporting(function: F) -> F:
    """Add --json, --quiet and --debug."""
    for option in (
        click.option("--debug", is_flag=True, help="Show the traceback of a failure."),
        click.option(
            "-q", "--quiet", is_flag=True, help="No progress, and no result where the exit code tells it."
        ),
        click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead."),
    ):
        function = option(function)
    return function


def template_argument(function: F) -> F:
    """Add TEMPLATE, completed as a file."""
    return click.argument("template", type=click.Path(), metavar="TEMPLATE")(function)


def parameter_option(function: F) -> F:
    """Add --parameter K=V, as often as wanted."""
    return click.option(
        "--parameter", "parameters", multiple=True, metavar="K=V", help="Set a parameter, as Horizon would."
    )(function)


def setting_options(function: F) -> F:
    """Add one flag per entry of settings.py, in its order."""
    for setting in reversed(SETTINGS):
        function = _option(setting)(function)
    return function


def make_ui(*, quiet: bool = False, as_json: bool = False) -> Ui:
    """Return the Ui of this command, which knows the name the program was called by."""
    return Ui(is_quiet=quiet, is_json=as_json, program=str(click.get_current_context().find_root().info_name))


def show_page(text: str, ui: Ui) -> None:
    """Print a page of sentences and commands, at a terminal as wide as that is."""
    if sys.stdout.isatty():
        columns = min(shutil.get_terminal_size().columns, MAX_COLUMNS)
        text = paragraph.page(text, columns, ui.program)
    ui.result(text)


def read_template(template: str) -> str:
    """Return the text of a template; `-` is standard input. Raises RequestError."""
    try:
        if template == "-":
            return sys.stdin.buffer.read().decode("utf-8")
        path = Path(template)
        if path.is_file() and path.stat().st_size > MAX_TEMPLATE_BYTES:
            what = f"{template} has {path.stat().st_size:,} bytes, too many for a template"
            raise RequestError(Problem(code="file-unreadable", what=what))
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise RequestError(
            Problem(code="file-unreadable", what=f"{template} is not text in UTF-8")
        ) from error
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        fix = "make it with generate" if isinstance(error, FileNotFoundError) else ""
        what = f"{template} can't be read: {reason}"
        raise RequestError(Problem(code="file-unreadable", what=what, fix=fix)) from error


def overrides(parameters: tuple[str, ...], workers: int | None = None) -> dict[str, str]:
    """Return parameters by name; raises RequestError for what is not K=V."""
    found: dict[str, str] = {}
    problems = []
    for parameter in parameters:
        key, equals, value = parameter.partition("=")
        if not equals or not key:
            what = f"{parameter} is not a name and a value with = between"
            fix = "write --parameter workers=2"
            problems.append(Problem(code="usage", what=what, where="flag --parameter", fix=fix))
        found[key] = value
    if problems:
        raise RequestError(*problems)
    if workers is not None:
        found["workers"] = str(workers)
    return found


def _option(setting: Setting) -> Callable[[F], F]:
    names = [setting.flag] + (["--" + setting.alias.replace("_", "-")] if setting.alias else [])
    if setting.kind == "switch":
        no_flag = setting.flag.replace("--", "--no-", 1)
        return click.option(f"{setting.flag}/{no_flag}", setting.key, default=None, help=setting.sentence)
    ending = f"  [{setting.shown_default}]" if setting.shown_default else ""
    several = setting.kind == "pairs"
    words = setting.choices

    def complete(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
        return [word for word in words if word.startswith(incomplete)]

    return click.option(
        *names, setting.key, metavar=setting.metavar, multiple=several, help=setting.sentence + ending,
        shell_complete=complete if words else None,
    )  # fmt: skip
