"""Recorded results -> the benchmark's page: every row's target, figure and spread follow from the lines alone."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from bench import report
from bench.plan import Comparison
from bench.table import COMPARISONS, GROUPS
from bench.verdicts import seconds_to_98, verdicts

RECORDED = Path(__file__).with_name("bench_results.jsonl")
ROW = next(row for row in COMPARISONS if row.key == "loop-fp32")


@pytest.fixture
def records() -> list[dict[str, Any]]:
    """A quick run as it was recorded: one round, few steps."""
    return [json.loads(line) for line in RECORDED.read_text(encoding="utf-8").splitlines()]


def rounds(records: list[dict[str, Any]], pairs: list[tuple[float, float]]) -> list[dict[str, Any]]:
    """The two sides of ROW with these training seconds (theirs, ours), a round each."""
    found = []
    for number, seconds in enumerate(pairs):
        for name, train_seconds in zip((ROW.theirs, ROW.ours), seconds, strict=True):
            line = copy.deepcopy(next(record for record in records if record["contender"] == name))
            found.append({**line, "round": number, "train_seconds": train_seconds})
    return found


def test_ratios_are_taken_within_a_round(records: list[dict[str, Any]]) -> None:
    """Each round gives its own ratio; the median is reached, the least and the greatest are the spread."""
    (verdict,) = verdicts([ROW], rounds(records, [(40.0, 10.0), (30.0, 10.0), (50.0, 10.0)]))

    assert verdict.values == (4.0, 3.0, 5.0)
    assert verdict.reached == 4.0
    assert verdict.word == "reached"


def test_a_missed_target_shows_its_figure_and_its_note(records: list[dict[str, Any]]) -> None:
    """The page says missed, how far, and what notes.toml says of it."""
    page = report.text(rounds(records, [(30.0, 10.0)]), {ROW.key: "Why it is so."})

    assert "| at least 3.50 x | 3.00 x | 3.00 x to 3.00 x | 1 | missed |" in page
    assert "is missed. Why it is so." in page


def test_an_upper_bound_is_missed_above_it(records: list[dict[str, Any]]) -> None:
    """Where the target is the most that is allowed, more is a miss."""
    row = Comparison(key="x", group="lightning", title="", cause="", measure="train_seconds", ours="Lightning",
                     theirs="plain loop", how="ours / theirs", target=0.1, is_upper_bound=True)  # fmt: skip
    (verdict,) = verdicts([row], records)

    assert verdict.word == "missed"


def test_a_run_without_figures_is_named_with_its_reason(records: list[dict[str, Any]]) -> None:
    """What this machine can't do stands on the page as not measured, and why."""
    lines = [
        {**record, "reason": "network namespaces need root"} if record["group"] == "links" else record
        for record in records
    ]

    assert "not measured: network namespaces need root" in report.text(lines, {})


def test_a_later_line_of_the_same_run_counts(records: list[dict[str, Any]]) -> None:
    """A run that failed and was repeated is judged by the repetition."""
    failed = [{**record, "reason": "exit code 1"} for record in rounds(records, [(1.0, 1.0)])]
    (verdict,) = verdicts([ROW], failed + rounds(records, [(40.0, 10.0)]))

    assert verdict.values == (4.0,)


def test_the_first_epoch_with_98_percent_counts() -> None:
    """A peer's time to 98 % is the training time of that epoch; a run that never reached it has none."""
    curve = [{"train_seconds": 8.0, "test_accuracy": 0.97}, {"train_seconds": 16.0, "test_accuracy": 0.981}]

    assert seconds_to_98({"curve": curve}) == 16.0
    assert seconds_to_98({"curve": curve[:1]}) is None
    assert seconds_to_98({"train_seconds": 3.0, "test_accuracy": 0.983}) == 3.0


def test_every_comparison_names_contenders_of_its_group() -> None:
    """A row of the table can only compare what runs."""
    names = {group.name: {contender.name for contender in group.contenders} for group in GROUPS}
    unknown = [row.key for row in COMPARISONS if not {row.ours, row.theirs} - {""} <= names[row.group]]

    assert unknown == []
    assert len({row.key for row in COMPARISONS}) == len(COMPARISONS)


def test_notes_belong_to_comparisons() -> None:
    """A note whose comparison is gone would never be seen."""
    assert set(report.notes()) <= {row.key for row in COMPARISONS}


def test_the_same_results_give_the_same_page_and_plots(records: list[dict[str, Any]], tmp_path: Path) -> None:
    """No date, no random name: two reports of one file are the same bytes."""
    first, second = (report.write(records, tmp_path / name) for name in ("first", "second"))

    assert first.read_bytes() == second.read_bytes()
    drawn = sorted(path.name for path in (first.parent / "performance").iterdir())
    assert drawn == ["links.png", "ranks.png", "ratios.png"]
    for name in drawn:
        assert (first.parent / "performance" / name).read_bytes() == (
            second.parent / "performance" / name
        ).read_bytes()
