"""Every example's template is the accepted one."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

import pytest

from tests.golden.accept import COMMAND, EXAMPLES, HERE, accepted, golden

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_template_is_the_accepted_one(example: Path) -> None:
    """An example gives the template that was accepted for it, character for character."""
    file = accepted(example)
    expected = file.read_text(encoding="utf-8") if file.exists() else ""
    actual = golden(example)
    difference = difflib.unified_diff(
        expected.splitlines(), actual.splitlines(), file.name, "now", lineterm="", n=2
    )
    assert expected == actual, "\n".join(["", *difference, "", f"to accept it: {COMMAND}"])


def test_every_golden_file_has_its_example() -> None:
    """No accepted template is left of an example that is gone."""
    assert {accepted(example) for example in EXAMPLES} == set(HERE.glob("*.golden.yml"))
