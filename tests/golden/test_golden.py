"""Every example's template is the accepted one."""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING

import pytest

from cloud import __version__, check
from tests.golden.accept import (
    COMMAND,
    EXAMPLES,
    HERE,
    JOBS,
    OWN,
    TEMPLATE,
    accepted,
    golden,
    golden_job,
    published,
)

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("example", [*EXAMPLES, *JOBS], ids=lambda path: path.stem)
def test_template_is_the_accepted_one(example: Path) -> None:
    """An example gives the template, or job, that was accepted for it, character for character."""
    file = accepted(example)
    expected = file.read_text(encoding="utf-8") if file.exists() else ""
    actual = golden_job(example) if example in JOBS else golden(example)
    difference = difflib.unified_diff(
        expected.splitlines(), actual.splitlines(), file.name, "now", lineterm="", n=2
    )
    assert expected == actual, "\n".join(["", *difference, "", f"to accept it: {COMMAND}"])


def test_every_golden_file_has_its_example() -> None:
    """No accepted template is left of an example that is gone."""
    assert {accepted(example) for example in (*EXAMPLES, *JOBS)} == set(HERE.glob("*.golden.*"))


def test_the_published_example_is_the_template_of_today() -> None:
    """docs/examples/mnist.yml is what the program makes now, byte for byte, node program and all."""
    is_stale = TEMPLATE.read_text(encoding="utf-8") != published()
    assert not is_stale, f"{TEMPLATE} is not what hotrun {__version__} makes; to write it anew: {COMMAND}"


def test_the_published_example_is_for_everybody() -> None:
    """It has no errors, nobody's key pair, the payload of this repository, and says where one's own address goes."""
    text = TEMPLATE.read_text(encoding="utf-8")
    assert not check.is_error(check.problems(text))
    assert (OWN.job.requirements, OWN.job.entrypoint) == ("payload", "main.py")
    assert (HERE.parents[1] / "payload" / "main.py").is_file()
    assert (HERE.parents[1] / "payload" / "requirements.txt").is_file()
    above = text[: text.index("- label: Training")]
    assert re.search(r"put the address\s+(# )?of your copy there", above)
