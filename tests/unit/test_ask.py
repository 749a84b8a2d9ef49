from __future__ import annotations

import io

import pytest

from cloud import config
from cloud.ask import QUESTIONS, ask
from cloud.errors import RequestError
from cloud.ui import Ui

ANSWERS = "https://github.com/you/digits.git\n4\n.\ntrain.py\n"


class TerminalIn(io.StringIO):
    """An input that says it is a terminal."""

    def isatty(self) -> bool:
        """Return True."""
        return True


def session(text: str, *, terminal: bool = False) -> tuple[Ui, io.StringIO, io.StringIO]:
    """A Ui whose person types `text`."""
    out, err = io.StringIO(), io.StringIO()
    return Ui(stdin=TerminalIn(text) if terminal else io.StringIO(text), stdout=out, stderr=err), out, err


def answered(text: str, *, terminal: bool = False) -> dict[str, object]:
    """Key -> value of a session."""
    ui, _, _ = session(text, terminal=terminal)
    return {entry.key: entry.value for entry in ask(ui) if isinstance(entry, config.Given)}


def test_the_questions_are_those_that_scripts_answer() -> None:
    """Word for word and in this order."""
    assert [question.text for question in QUESTIONS] == [
        "Enter an HTTPS .git repo URL to clone",
        "How many workers would you like to run? (min 0, max 254)",
        "What directory is your requirements.txt in? (. for root directory of repo)",
        "What Python file is your entrypoint in, relative to that directory? (e.g. main.py)",
    ]


@pytest.mark.parametrize("terminal", [True, False])
@pytest.mark.parametrize("ending", ["\n", "\r\n", "  \n"])
def test_four_lines_are_four_answers(terminal: bool, ending: str) -> None:
    """Blanks and line ends around an answer don't count."""
    expected = {
        "repo": "https://github.com/you/digits.git", "workers": "4", "requirements": ".", "entrypoint": "train.py",
    }  # fmt: skip

    assert expected == answered(ANSWERS.replace("\n", ending), terminal=terminal)


@pytest.mark.parametrize("terminal", [True, False])
def test_an_empty_third_line_is_the_top_of_the_repository(terminal: bool) -> None:
    """As the question says."""
    assert answered("https://h/x\n0\n\nm.py\n", terminal=terminal)["requirements"] == "."


def test_a_wrong_answer_is_explained_and_asked_again() -> None:
    """At a terminal, until it is right."""
    ui, out, err = session("https://h/x\n300\nmany\n\n4\n.\nm.py\n", terminal=True)

    ask(ui)

    assert err.getvalue().count(QUESTIONS[1].text) == 4
    assert "  workers is 300, but at most 254 are possible; write 0 to 254\n" in err.getvalue()
    assert out.getvalue() == ""


def test_all_wrong_answers_of_a_pipe_are_named() -> None:
    """Each with its number and reason, and nothing is asked twice."""
    ui, _, err = session("https://me:pw@h/x\n300\n")

    with pytest.raises(RequestError) as caught:
        ask(ui)

    found = [(problem.where, problem.code) for problem in caught.value.problems]
    assert found == [
        ("answer 1", "repo-has-credentials"),
        ("answer 2", "workers-out-of-range"),
        ("answer 3", "answer-missing"),
        ("answer 4", "answer-missing"),
    ]
    assert err.getvalue().count(QUESTIONS[1].text) == 1
    assert "pw" not in err.getvalue() + str(caught.value)


def test_the_end_of_the_input_ends_the_questions() -> None:
    """Ctrl-D at a terminal is no endless loop."""
    ui, _, _ = session("https://h/x\n", terminal=True)

    with pytest.raises(RequestError) as caught:
        ask(ui)

    assert [problem.where for problem in caught.value.problems] == ["answer 2"]


def test_only_what_is_missing_is_asked() -> None:
    """The numbers stay those of the questions."""
    ui, _, _ = session("7\n", terminal=True)

    (given,) = ask(ui, {"workers"})

    assert isinstance(given, config.Given)
    assert (given.value, given.origin) == ("7", "answer 2")
