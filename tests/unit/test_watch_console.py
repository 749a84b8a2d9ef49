"""Ends of consoles, read again and again: what is new, and what a line is."""

from __future__ import annotations

import pytest

from cloud.stack.watch.console import Consoles, news, whole_lines


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ([], ["a", "b"], ["a", "b"]),
        (["a", "b"], ["a", "b"], []),
        (["a", "b"], ["a", "b", "c"], ["c"]),
        (["a", "b", "c"], ["b", "c", "d"], ["d"]),
        (["x"] * 9, ["x"] * 10, []),
        (["a", "b"], ["y", "z"], ["y", "z"]),
    ],
)
def test_only_new_lines_of_a_console_count(before: list[str], after: list[str], expected: list[str]) -> None:
    """Nova gives the end of a console each time; lines that were there before are not told again."""
    assert news(before, after) == expected


def test_lines_are_taken_whole_and_without_the_journals_prefix() -> None:
    """The line that is being written waits; colours, progress and what systemd puts before are no part of it."""
    text = "[   12.3] bash[812]: hotrun: node=master stage=network state=begin\r\n\x1b[1mab\x1b[0m\n 1%\r 2%\nhalf a li"
    assert whole_lines(text) == ["hotrun: node=master stage=network state=begin", "ab", " 2%"]


def test_a_machine_made_anew_begins_anew() -> None:
    """What the console of its predecessor told is forgotten."""
    consoles = Consoles()
    consoles.take("master", "hotrun: node=master stage=network state=ok s=1.0\n", 0.0)
    consoles.forget("master")
    assert consoles.machine("master").stages == {}


def test_what_was_there_before_a_run_is_not_of_it() -> None:
    """A baseline is taken without a word; only what comes behind it counts."""
    consoles, old = Consoles(), "hotrun: node=master stage=finish state=ok s=0.1\n"
    consoles.skip("master", old)
    assert consoles.take("master", old, 0.0) == []
    assert consoles.machine("master").stages == {}
    assert [line for line, _ in consoles.take("master", f"{old}new\n", 0.0)] == ["new"]
