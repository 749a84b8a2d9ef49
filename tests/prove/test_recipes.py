"""docs/silent-single.md says what happens: some of its rows are run again."""

from __future__ import annotations

import re

import pytest

from tests.prove.recipes import PAGE, RECIPES, row, tried

AGAIN = ("plain under torchrun", "Trainer, variables", "CLI under torchrun, --trainer.num_nodes")


@pytest.mark.payload
@pytest.mark.parametrize("name", AGAIN)
def test_a_recipe_ends_as_its_row_says(name: str) -> None:
    """The same last line, exit codes and verdict; `make silent-single` writes the page anew."""
    recipe = next(recipe for recipe in RECIPES if recipe.name == name)

    assert row(recipe, tried(recipe)) in PAGE.read_text(encoding="utf-8").splitlines()


def test_every_recipe_has_its_row_and_its_cure() -> None:
    """No row is without a recipe, and what trains alone is followed by an edit that makes it one run."""
    rows = re.findall(
        r"^\| ([^|]+) \| `(.*?)` \|.*\| ([^|]*) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE
    )

    assert [(recipe.name, recipe.shown, recipe.mend or "·") for recipe in RECIPES] == rows


def test_cures_name_rows_that_exist_and_worked() -> None:
    """A row that is named as the mended one ends as one run."""
    text = PAGE.read_text(encoding="utf-8")
    for recipe in RECIPES:
        for name in re.findall(r"`([^`]*)`", recipe.mend):
            if name in {other.name for other in RECIPES}:
                (line,) = [line for line in text.splitlines() if line.startswith(f"| {name} |")]
                assert "| one run of world size 2 " in line, name
