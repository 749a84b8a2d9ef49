"""The only printing: results on stdout, progress and problems on stderr, or one JSON document.

Text of users and programs is never taken for markup, and its control characters are shown, not obeyed.
Colour is for a terminal without NO_COLOR, and never the only sign.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import sys
import traceback
from typing import TYPE_CHECKING, Any, TextIO

from cloud import paragraph

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from rich.console import Console

    from cloud.errors import HotrunError, Problem

MAX_PROBLEMS = 10
MAX_COLUMNS = 100  # longer lines are hard to read, however wide the terminal is
_STYLES = {"error": "red", "warning": "yellow", "note": "cyan"}
_COLOURS = {"error": "31", "warning": "33", "note": "36"}


class Ui:
    """Speaks to the person, or to the program, that called."""

    def __init__(
        self,
        *,
        is_quiet: bool = False,
        is_json: bool = False,
        program: str = "hotrun",
        stdin: TextIO | None = None,
        stdout: TextIO | None = None,
        stderr: TextIO | None = None,
    ) -> None:
        self.is_quiet = is_quiet
        self.is_json = is_json
        self.program = program
        self._stdin = stdin or sys.stdin or io.StringIO()  # None where a service manager closed it
        self._stdout, self._stderr = stdout or sys.stdout, stderr or sys.stderr
        self._progress: Console | None = None

    @property
    def is_interactive(self) -> bool:
        """Whether a person can be asked."""
        return self._stdin.isatty()

    @property
    def progress(self) -> Console:
        """A rich console on stderr, for what moves."""
        if self._progress is None:
            from rich.console import Console

            self._progress = Console(file=self._stderr, markup=False, highlight=False, emoji=False)
        return self._progress

    def result(self, text: str = "") -> None:
        """One result on stdout, as it is."""
        print(_printable(text), file=self._stdout)

    def raw(self, text: str) -> None:
        """A whole file on stdout, byte for byte, whatever the terminal's encoding is."""
        self._stdout.flush()
        buffer = getattr(self._stdout, "buffer", None)
        if buffer is None:
            self._stdout.write(text)
        else:
            buffer.write(text.encode())
        self._stdout.flush()

    def document(self, content: Mapping[str, Any]) -> None:
        """The one JSON document of a command on stdout."""
        print(json.dumps(content, indent=2, ensure_ascii=False), file=self._stdout)

    def say(self, text: str = "") -> None:
        """One line of progress on stderr; nothing with --quiet."""
        if not self.is_quiet:
            print(_printable(text), file=self._stderr, flush=True)

    def whisper(self, text: str, *, elsewhere: str) -> None:
        """A line with a secret, for a terminal alone; where stderr may become a file, `elsewhere`."""
        self.say(text if self._stderr.isatty() else elsewhere)

    def explain(self, text: str) -> None:
        """Say why an answer is asked for again, below the question."""
        for line in self._wrapped(_printable(text), self._stderr, 2):
            print("  " + line, file=self._stderr, flush=True)

    def ask(self, question: str) -> str | None:
        """Ask on a terminal, or read the next line of a pipe; None at the end of the input.

        The question goes to stderr where stdout or stdin is no terminal: stdout stays the result.
        """
        if self.is_interactive and self._stdout.isatty() and self._stdin is sys.stdin:
            try:
                import readline  # noqa: F401 - arrow keys in the answer

                return input(question + ": ")
            except EOFError:
                self.result()
                return None
        print(question + ": ", end="" if self.is_interactive else "\n", file=self._stderr, flush=True)
        line = self._stdin.readline()
        return line.rstrip("\r\n") if line else None

    def rows(self, pairs: Iterable[tuple[str, str]], *, whole: bool = False) -> None:
        """Aligned `label  text` lines on stdout, two blanks in; long text goes on below itself.

        `whole`: commands to copy, which stay one line whatever the terminal's width.
        """
        listed = list(pairs)
        column = max((len(label) for label, _ in listed), default=0) + 2
        for label, text in listed:
            indent = " " * (2 + column)
            shown = _printable(text)
            lines = [shown] if whole else self._wrapped(shown, self._stdout, len(indent))
            self.result(f"  {label:{column}}{lines[0]}")
            for line in lines[1:]:
                self.result(indent + line)

    def table(
        self, header: Sequence[str], rows: Iterable[Sequence[str]], numbers: Sequence[int] = ()
    ) -> None:
        """Columns on stdout as wide as their text; `numbers` are those aligned to the right."""
        cells = [[_printable(cell) for cell in row] for row in (header, *rows)]
        widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
        for row in cells:
            aligned = (
                f"{cell:>{width}}" if column in numbers else f"{cell:<{width}}"
                for column, (cell, width) in enumerate(zip(row, widths, strict=True))
            )
            self.result("  " + "   ".join(aligned).rstrip())

    def problems(
        self, problems: Sequence[Problem], limit: int | None = MAX_PROBLEMS, on_stdout: bool = False
    ) -> None:
        """All problems in their order, `limit` at most, then how many more there are."""
        file = self._stdout if on_stdout else self._stderr
        shown = problems if limit is None else problems[:limit]
        for problem in shown:
            for line in self._problem(problem, file):
                print(line, file=file)
        if len(problems) > len(shown):
            print(f"and {len(problems) - len(shown)} more", file=file)

    def problem_table(self, problems: Sequence[Problem]) -> None:
        """Problems as a table at a terminal, as lines elsewhere; both on stdout, all of them."""
        if not self._stdout.isatty():
            self.problems(problems, limit=None, on_stdout=True)
            return
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=bool(problems))
        for column in ("level", "code", "what"):
            table.add_column(column, no_wrap=column == "level", overflow="fold")
        for number, problem in enumerate(problems):
            if number:
                table.add_row()
            place = f"{problem.where}: " if problem.where else ""
            told = Text(_printable(place + problem.what))
            if problem.fix:
                told.append(f"\n{_printable(problem.fix)}", style="dim")
            table.add_row(Text(problem.level, style=_STYLES[problem.level]), Text(problem.code), told)
        if problems:
            Console(file=self._stdout, markup=False, highlight=False, emoji=False).print(table)

    def traceback(self, error: BaseException) -> None:
        """The traceback of a bug, or of anything with --debug."""
        traceback.print_exception(error, file=self._stderr)

    def failure(self, error: HotrunError) -> None:
        """What ended a command: as problems on stderr, or as the JSON document that was asked for."""
        if self.is_json:
            problems = [problem.as_json() for problem in error.problems]
            self.document({"schema": 1, "exit_code": error.exit_code, "problems": problems})
        else:
            self.problems(error.problems)

    def _problem(self, problem: Problem, file: TextIO) -> list[str]:
        where = f"{_printable(problem.where)}: " if problem.where else ""
        level = "" if problem.level == "error" else f"{problem.level}: "
        first, *others = self._wrapped(where + level + _printable(problem.what), file, 4) or [""]
        lines = [self._painted(first, _COLOURS[problem.level], file), *(f"    {line}" for line in others)]
        lines += [f"    {_printable(logged)}" for logged in problem.log]
        if problem.fix:
            hint, *others = self._wrapped("hint: " + _printable(problem.fix), file, 8)
            lines += [f"  {hint}", *(f"        {line}" for line in others)]
        if problem.level != "note":
            lines.append(f"  docs: {problem.docs}")
        return lines

    def _wrapped(self, text: str, file: TextIO, indent: int) -> list[str]:
        """Lines that fit the terminal, commands whole; one line elsewhere, for grep."""
        if not file.isatty():
            return [text]
        columns = min(shutil.get_terminal_size().columns, MAX_COLUMNS) - indent
        return paragraph.wrapped(text, columns, self.program)

    def _painted(self, text: str, colour: str, file: TextIO) -> str:
        if not file.isatty() or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
            return text
        return f"\x1b[{colour}m{text}\x1b[0m"


def _printable(text: str) -> str:
    """Keep line ends; show every other control character as its number, so that no text moves the cursor."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() or char == "\n" else _escaped(char) for char in text)


def _escaped(char: str) -> str:
    return f"\\x{ord(char):02x}" if ord(char) < 0x100 else f"\\u{ord(char):04x}"
