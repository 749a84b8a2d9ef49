"""What a person reviews before anything is made."""

from __future__ import annotations

import pytest

from cloud import hot, plan
from cloud.errors import ProblemsFound
from tests.unit.clusters import cluster

TEXT = hot.text(cluster(ref="main", args="--epochs 3", setup="make data"))


def test_review_names_machines_network_source_and_job() -> None:
    """Every line that decides what happens and what it costs."""
    lines = str(plan.make(TEXT, {"ssh_cidr": "10.0.0.0/8"}, "my.yml")).splitlines()
    assert [
        "my.yml",
        "  cluster   1 master (m1.medium) + 2 workers (m1.medium), image CC-Ubuntu24.04",
        "  network   10.8.0.0/23, out through public, port 22 of the master from 10.0.0.0/8",
        "  source    https://github.com/you/digits.git at main",
        "  job       python train.py --epochs 3   in .",
        "  setup     make data",
    ] == lines[:6]
    assert lines[6].startswith("  size      ")
    assert lines[6].endswith(" of 49,149 bytes")
    assert len(lines) == 7


def test_review_ends_with_what_was_found() -> None:
    """Level, place, sentence, and what to do."""
    lines = str(plan.make(TEXT)).splitlines()
    assert lines[-2].startswith("  note      template.yml:")
    assert (
        lines[-1]
        == "            fix: --parameter ssh_cidr=RANGE with that of your own network, or generate with --ssh-cidr"
    )


def test_overrides_count() -> None:
    """The plan is about what would be launched, not about the file's defaults."""
    made = plan.make(TEXT, {"workers": "0"})
    assert (0, 1) == (made.workers, made.nnodes)
    assert "1 master (m1.medium), image" in str(made)
    assert made.is_ready


def test_invalid_values_stay_visible() -> None:
    """A plan with errors can be looked at, and is not ready."""
    made = plan.make(TEXT, {"engine": "torchh"})
    assert not made.is_ready
    assert made.parameters["engine"] == "torchh"
    assert "error     --parameter engine: engine is 'torchh'" in str(made)


def test_sizes_are_those_of_the_machines() -> None:
    """The total is what the master would really get, with placeholders in the place of facts."""
    sizes = plan.make(TEXT).sizes
    assert sizes["boot script"] + sizes["node program"] + sizes["job line"] == sizes["total"]
    assert sizes["job line at worst"] >= 3_500
    assert sizes["total at worst"] <= sizes["limit"], (
        "what the form takes could make a stack that can't be deleted"
    )
    assert plan.make(TEXT, {"args": "x" * 500}).sizes["total"] == sizes["total"] + 500 - len("--epochs 3")


def test_text_that_is_no_template_is_refused() -> None:
    """There is nothing to plan."""
    with pytest.raises(ProblemsFound):
        plan.make("hello")
