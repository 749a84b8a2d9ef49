from __future__ import annotations

import io
import json
import re

import pytest

from cloud.errors import Problem, RequestError
from cloud.ui import Ui


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        """Return True."""
        return True


def ui(
    *, terminal: bool = False, is_quiet: bool = False, is_json: bool = False
) -> tuple[Ui, io.StringIO, io.StringIO]:
    """A Ui with its stdout and stderr."""
    kind = Terminal if terminal else io.StringIO
    out, err = kind(), kind()
    return Ui(stdin=io.StringIO(), stdout=out, stderr=err, is_quiet=is_quiet, is_json=is_json), out, err


def problem(**changes: str) -> Problem:
    """A problem with changes."""
    values = {"code": "workers-out-of-range", "what": "workers is 300, but at most 254 are possible",
              "where": "hotrun.yml:4", "fix": "lower workers"}  # fmt: skip
    return Problem(**{**values, **changes})  # type: ignore[arg-type]


def test_a_problem_is_place_sentence_hint_and_page() -> None:
    """The form that STYLE asks for, on stderr."""
    shown, out, err = ui()

    shown.problems([problem()])

    assert out.getvalue() == ""
    assert err.getvalue() == (
        "hotrun.yml:4: workers is 300, but at most 254 are possible\n"
        "  hint: lower workers\n"
        "  docs: docs/errors.md#workers-out-of-range\n"
    )


def test_ten_problems_are_shown_and_the_rest_counted() -> None:
    """Nobody reads the eleventh."""
    shown, _, err = ui()

    shown.problems([problem(what=f"line {number}", fix="") for number in range(17)])

    assert err.getvalue().count("line ") == 10
    assert err.getvalue().endswith("and 7 more\n")


def test_warnings_say_so_without_colour() -> None:
    """Colour is never the only sign."""
    shown, _, err = ui()

    shown.problems([problem(level="warning")])

    assert err.getvalue().startswith("hotrun.yml:4: warning: workers is 300")


def test_a_terminal_gets_colour_unless_told_not_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """NO_COLOR and a dumb terminal are respected."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    shown, _, err = ui(terminal=True)
    shown.problems([problem()])
    monkeypatch.setenv("NO_COLOR", "1")
    plain, _, plain_err = ui(terminal=True)
    plain.problems([problem()])

    assert "\x1b[31m" in err.getvalue()
    assert "\x1b" not in plain_err.getvalue()


def test_a_terminal_of_80_columns_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """Long sentences go on below themselves."""
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("NO_COLOR", "1")
    shown, out, err = ui(terminal=True)

    shown.problems([problem(what="many words " * 30, fix="more words " * 30)])
    shown.rows([("cluster", "some words " * 30)])
    shown.problem_table([problem(what="many words " * 30, fix="more words " * 30)])

    lines = re.sub(r"\x1b\[[0-9;]*m", "", err.getvalue() + out.getvalue()).splitlines()
    assert max(len(line) for line in lines) <= 80


def test_control_characters_are_shown_not_obeyed() -> None:
    """No text of a user, a repository or a program moves the cursor or opens markup."""
    shown, out, err = ui(terminal=True)

    shown.problems([problem(what="a\x1b[2Jb", fix="[bold]c[/bold]\x07")])
    shown.problem_table([problem(what="a\x1b[2Jb", fix="[bold]c[/bold]\x07")])
    shown.result("d\x9b2Je\u202ef")
    shown.say("g\rh")

    assert "\\x1b[2J" in err.getvalue()
    assert "[bold]c[/bold]\\x07" in out.getvalue()
    assert "d\\x9b2Je\\u202ef" in out.getvalue()
    assert "g\\x0dh" in err.getvalue()
    everything = out.getvalue() + err.getvalue()
    assert [odd for odd in ("\x1b[2J", "\x07", "\x9b", "\u202e", "\r") if odd in everything] == []


def test_quiet_keeps_problems_and_results() -> None:
    """Only progress is left out."""
    shown, out, err = ui(is_quiet=True)

    shown.say("working")
    shown.result("done")
    shown.problems([problem()])

    assert out.getvalue() == "done\n"
    assert "working" not in err.getvalue()
    assert "workers is 300" in err.getvalue()


def test_a_failure_is_a_document_where_json_was_asked_for() -> None:
    """stdout holds one JSON document also when nothing was done."""
    shown, out, err = ui(is_json=True)

    shown.failure(RequestError(problem()))

    document = json.loads(out.getvalue())
    assert (document["exit_code"], document["problems"]) == (2, [problem().as_json()])
    assert err.getvalue() == ""


def test_a_question_through_a_pipe_leaves_stdout_clean() -> None:
    """The question goes to stderr, the answer is one line, and the end of the input is None."""
    out, err = io.StringIO(), io.StringIO()
    shown = Ui(stdin=io.StringIO("first\r\n\n"), stdout=out, stderr=err)

    answers = [shown.ask("Which"), shown.ask("Which"), shown.ask("Which")]

    assert answers == ["first", "", None]
    assert (out.getvalue(), err.getvalue()) == ("", "Which: \n" * 3)


def test_columns_are_as_wide_as_their_text() -> None:
    """Numbers stand to the right."""
    shown, out, _ = ui()

    shown.table(("part", "bytes"), [("boot script", "3,644"), ("total", "40,214")], numbers=(1,))

    assert out.getvalue() == "  part           bytes\n  boot script    3,644\n  total         40,214\n"


def test_a_command_in_a_hint_is_never_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is copied is on one line."""
    monkeypatch.setenv("COLUMNS", "80")
    shown, _, err = ui(terminal=True)
    fix = f"{'x' * 55} hotrun down digits --discard, and then look again"
    shown.problems([problem(fix=fix)])
    assert "\n        hotrun down digits --discard, and then look again\n" in err.getvalue()
