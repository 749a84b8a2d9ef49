"""A template of today against the stack that is there, and against what was rehearsed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import yaml

from cloud import hot
from cloud.stack.launch import changed
from tests.unit.clusters import cluster
from tests.unit.signalled import stack

if TYPE_CHECKING:
    from pathlib import Path

TEXT = hot.text(cluster())


def test_a_template_is_the_same_through_heat() -> None:
    """Heat keeps the content, not the lines and the comments."""
    through_heat = yaml.safe_load(yaml.safe_dump(yaml.safe_load(TEXT)))
    assert changed.templates(yaml.safe_load(TEXT), through_heat) == []


def test_what_differs_is_said_in_words() -> None:
    """A parameter with both defaults, a machine's text, a resource that is new or gone; eight at most."""
    mine, theirs = yaml.safe_load(TEXT), yaml.safe_load(TEXT)
    mine["parameters"]["entrypoint"]["default"] = "other.py"
    mine["resources"]["boot"]["properties"]["group"] = "script"
    mine["resources"]["volume"] = {"type": "OS::Cinder::Volume"}
    del mine["outputs"]["ssh"]
    assert changed.templates(mine, theirs) == [
        "parameter entrypoint has the default 'other.py', was 'train.py'",
        "what the machines are told to run (resource boot) differs",
        "resource volume is new",
        "output ssh is gone",
    ]
    mine["parameters"] = {f"p{number}": {} for number in range(20)}
    assert changed.templates(mine, theirs)[-1].startswith("and ")
    assert len(changed.templates(mine, theirs)) == 9


@pytest.mark.parametrize(
    ("given", "shown", "is_same"),
    [
        (1, "1", True), ("1", "1.0", True), ("2", "1", False), (["8.8.8.8", "1.1.1.1"], "8.8.8.8,1.1.1.1", True),
        ("a", "a", True), ("a", "b", False), ("secret", "******", True), ("nan", "nan", True),
    ],
)  # fmt: skip
def test_a_given_parameter_is_compared_as_heat_shows_it(given: object, shown: str, is_same: bool) -> None:
    """Heat gives text: numbers are compared as numbers, lists as it writes them, hidden ones not at all."""
    found = changed.parameters({"x": given}, stack(parameters={"x": shown}))
    assert (found == []) is is_same


def test_what_is_not_given_stands() -> None:
    """`resize` changed the stack's workers: that is no change of the template."""
    assert changed.parameters({}, stack(parameters={"workers": "9"})) == []


def rehearsed(runs: Path, name: str, text: str) -> None:
    """A rehearsal's directory."""
    (runs / name).mkdir(parents=True)
    (runs / name / "template.yml").write_text(text)


def test_a_file_edited_after_its_rehearsal_is_found(tmp_path: Path) -> None:
    """The same first lines with other content, and no rehearsal of this very file."""
    edited = TEXT.replace("default: train.py", "default: other.py")
    rehearsed(tmp_path, "digits-1", TEXT)
    assert changed.reviewed(tmp_path, edited) == "digits-1"
    assert changed.reviewed(tmp_path, TEXT) == ""
    rehearsed(tmp_path, "digits-2", edited)
    assert changed.reviewed(tmp_path, edited) == ""


def test_a_file_that_nobody_rehearsed_is_no_change(tmp_path: Path) -> None:
    """Another command made it; and a stack's own directory is no rehearsal."""
    rehearsed(tmp_path, "digits-1", hot.text(cluster(workers=5)))
    rehearsed(tmp_path, "stack-1", TEXT)
    (tmp_path / "stack-1/cloud.json").write_text("{}")
    assert changed.reviewed(tmp_path, TEXT.replace("train.py", "other.py")) == ""
    assert changed.reviewed(tmp_path / "nowhere", TEXT) == ""
