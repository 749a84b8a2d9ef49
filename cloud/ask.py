"""The four questions -> entries of a `Request`. At a terminal a wrong answer is explained and asked again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cloud.config import Given, problem_of, value_of
from cloud.errors import Problem, RequestError
from cloud.request import rules

if TYPE_CHECKING:
    from collections.abc import Collection

    from cloud.ui import Ui


@dataclass(frozen=True, slots=True)
class Question:
    """One question, word for word as scripts have answered it for years."""

    key: str
    """Key of settings.py that the answer gives."""
    text: str
    default: str = ""
    """What an empty line means; empty when one is wrong."""


QUESTIONS = (
    Question("repo", "Enter an HTTPS .git repo URL to clone"),
    Question("workers", "How many workers would you like to run? (min 0, max 254)"),
    Question(
        "requirements", "What directory is your requirements.txt in? (. for root directory of repo)", "."
    ),
    Question(
        "entrypoint", "What Python file is your entrypoint in, relative to that directory? (e.g. main.py)"
    ),
)


def ask(ui: Ui, keys: Collection[str] | None = None) -> list[Given | Problem]:
    """Ask for `keys`, all four when none are named, and return the answers.

    Through a pipe each question takes one line; raises RequestError with everything that is wrong then.
    """
    asked = [
        (number, question)
        for number, question in enumerate(QUESTIONS, 1)
        if keys is None or question.key in keys
    ]
    if ui.is_interactive:
        return [_answer(ui, number, question) for number, question in asked]
    return _piped(ui, asked)


def _answer(ui: Ui, number: int, question: Question) -> Given:
    shown = f"{question.text} [{question.default}]" if question.default else question.text
    while True:
        line = ui.ask(shown)
        if line is None:
            raise RequestError(_unanswered(number, question))
        given = _given(number, question, line)
        try:
            value_of(given)
        except rules.Refused as refused:
            what = problem_of(given, refused).what
            ui.explain(f"{what}; {refused.fix}" if refused.fix else what)
        else:
            return given


def _piped(ui: Ui, asked: list[tuple[int, Question]]) -> list[Given | Problem]:
    answers: list[Given | Problem] = []
    problems: list[Problem] = []
    for number, question in asked:
        line = ui.ask(question.text)
        if line is None:
            problems.append(_unanswered(number, question))
            continue
        given = _given(number, question, line)
        answers.append(given)
        try:
            value_of(given)
        except rules.Refused as refused:
            problems.append(problem_of(given, refused))
    if problems:
        raise RequestError(*problems)
    return answers


def _given(number: int, question: Question, line: str) -> Given:
    return Given(key=question.key, value=line.strip() or question.default, origin=f"answer {number}")


def _unanswered(number: int, question: Question) -> Problem:
    return Problem(
        code="answer-missing",
        what=f"{question.key} has no answer: the input ended before this line",
        where=f"answer {number}",
        fix="give four lines: address, workers, directory, Python file",
    )
