"""Text for people, wrapped: commands stay whole."""

from __future__ import annotations

import pytest

from cloud import paragraph

COMMANDS = (
    "hotrun down digits --discard",
    "hotrun up runs/digits/template.yml --name digits",
    "hotrun resize digits N",
    "hotrun fetch digits --run 20260101-1200",
    "hotrun generate --from template.yml",
    "hotrun reap",
)


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("before", range(30, 70, 3))
def test_a_command_is_never_broken(command: str, before: int) -> None:
    """Wherever the line ends: what is copied is on one line, and the prose around it is wrapped."""
    text = f"{'x' * before} {command}, then look again, as long as there is something to see"
    lines = paragraph.wrapped(text, 76, "hotrun")
    assert any(command in line for line in lines), lines
    assert all(len(line) <= 76 for line in lines), lines
    assert " ".join(lines) == text


def test_prose_behind_a_command_is_wrapped() -> None:
    """A command ends where its words end."""
    text = "hotrun down digits deletes it whole and hotrun up makes another; " * 4
    lines = paragraph.wrapped(text, 40, "hotrun")
    assert all(len(line) <= 40 for line in lines), lines


def test_a_page_keeps_its_form() -> None:
    """Long sentences go on below themselves; commands to type, logs and short lines stay as they are."""
    text = "\n".join(
        [
            "Heat has lost digits; the stack is kept",
            "",
            "  " + "a sentence that is long " * 5,
            "    a line of a log " + "x" * 90,
            "  fix    hotrun down digits deletes it whole, then hotrun up; waiting does not help, whatever it says",
            "",
            "next   hotrun down digits      delete it; its machines cost until then, and for ever and ever and ever",
            "       hotrun rerun digits     again on its machines, once the cause is mended, as soon as it can be",
            "runs/digits/    results/result.json  results/metrics.csv  results/loss.png  logs/  proof/  and more of it",
        ]
    )
    lines = paragraph.page(text, 80, "hotrun").split("\n")
    kept = [line for line in text.split("\n") if line.startswith(("Heat", "    ", "next", "runs"))]
    assert [line for line in lines if line in kept] == kept
    assert "         help, whatever it says" in lines
    assert sum(line.startswith("  a sentence") or "that is long" in line for line in lines) == 2
    assert paragraph.page(text, 500, "hotrun") == text
