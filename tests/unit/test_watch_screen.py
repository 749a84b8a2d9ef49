"""What a person sees while a stack is followed: the title whole, and one word for a machine that has not spoken."""

from __future__ import annotations

import pytest

from cloud.stack.watch import outcome_text, screen, views
from cloud.stack.watch.views import View

TITLE = "digits-1 on chameleon / KVM@TACC / project CHI-12345 · 1 master + 12 workers · until 2026-11-22 12:00 UTC"


def test_a_long_title_goes_on_below() -> None:
    """No part of it is cut: the deadline is at its end."""
    assert screen.fitting(TITLE, 200) == [TITLE]
    lines = screen.fitting(TITLE, 72)
    assert lines == [
        "digits-1 on chameleon / KVM@TACC / project CHI-12345",
        "1 master + 12 workers · until 2026-11-22 12:00 UTC",
    ]
    assert screen.fitting(TITLE, 5) == TITLE.split(" · ")


@pytest.mark.parametrize(
    ("machine", "word"),
    [
        ("BUILD", "being made"), ("ACTIVE", "no word from it yet"), ("ERROR", "failed in the cloud"),
        ("SHUTOFF", "shutoff"), ("gone", "gone"),
    ],
)  # fmt: skip
def test_a_machine_before_its_first_word_has_one_word(machine: str, word: str) -> None:
    """In the table, in the list of states and in what is waited for."""
    view = View(name="master", rank=0, machine=machine)
    assert screen.cells(view, 0.0)[0].plain == word
    assert outcome_text.states([view]) == [f"master   {word}"]
    assert views.last_heard(view) == f"master ({word})"


def test_a_machine_that_was_not_asked_for_leaves_the_table_empty() -> None:
    """Most rows would say so at first."""
    view = View(name="master", rank=0, machine="planned")
    assert screen.cells(view, 0.0)[0].plain == ""
    assert views.last_heard(view) == "master (not made yet)"
