"""Records of runs -> a verdict per comparison: paired by round, median or mean, spread, target. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from bench.plan import Comparison

Record = Mapping[str, Any]
"""A line of results.jsonl."""
Word = Literal["reached", "missed", "not measured", "for information"]

HIGHER_IS_BETTER = ("images_per_second", "accuracy_points")
GOAL = 0.98  # of the test images, in seconds_to_98


def seconds_to_98(record: Record) -> float | None:
    """Training seconds until a test accuracy of 98 %, None where it was never seen."""
    curve = record.get("curve") or [record]
    reached = (point["train_seconds"] for point in curve if (point.get("test_accuracy") or 0) >= GOAL)
    return next(reached, None)


def step_ms(record: Record) -> float | None:
    """Milliseconds per forward and backward pass, so that accumulation has no longer steps than others."""
    passes = (record.get("steps") or 0) * record.get("accumulate", 1)
    return 1000 * record["train_seconds"] / passes if passes and record.get("train_seconds") else None


def accuracy_points(record: Record) -> float | None:
    """Test accuracy in per cent."""
    accuracy = record.get("test_accuracy")
    return None if accuracy is None else 100 * accuracy


MEASURES: dict[str, Callable[[Record], float | None]] = {
    **{name: lambda record, name=name: record.get(name)  # type: ignore[misc]
       for name in ("train_seconds", "wall_seconds", "images_per_second", "start_seconds", "peak_rss_bytes")},
    "seconds_to_98": seconds_to_98,
    "step_ms": step_ms,
    "accuracy_points": accuracy_points,
}  # fmt: skip


def runs_of(records: Iterable[Record], group: str, contender: str) -> list[Record]:
    """Those of one contender, with the ones that failed."""
    return [run for run in records if (run["group"], run["contender"]) == (group, contender)]


def done(runs: Iterable[Record]) -> list[Record]:
    """Those that came to their end."""
    return [run for run in runs if not run.get("reason")]


def median(runs: Iterable[Record], measure: str) -> float | None:
    """Of the runs that came to their end and have this measure."""
    values = [value for run in done(runs) if (value := MEASURES[measure](run)) is not None]
    return statistics.median(values) if values else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What one comparison came to."""

    comparison: Comparison
    values: tuple[float, ...]
    """One per round in which both sides gave a figure."""
    reason: str = ""
    """Why a round has none."""
    short: int = 0
    """Rounds in which ours ran and never came to what is measured."""

    @property
    def reached(self) -> float | None:
        """Median or mean of the rounds."""
        if not self.values:
            return None
        return (
            statistics.mean(self.values)
            if self.comparison.summary == "mean"
            else statistics.median(self.values)
        )

    @property
    def word(self) -> Word:
        """One word for the table."""
        target, reached = self.comparison.target, self.reached
        if target is not None and self.short:
            return "missed"
        if reached is None:
            return "not measured"
        if target is None:
            return "for information"
        return (
            "reached"
            if (reached <= target if self.comparison.is_upper_bound else reached >= target)
            else "missed"
        )


def verdicts(comparisons: Iterable[Comparison], records: Iterable[Record]) -> list[Verdict]:
    """One verdict per comparison, in their order. Of records with one key the last counts."""
    latest = {(record["group"], record["contender"], record["round"]): record for record in records}
    return [_verdict(comparison, latest) for comparison in comparisons]


def _verdict(comparison: Comparison, latest: dict[tuple[str, str, int], Record]) -> Verdict:
    measure = MEASURES[comparison.measure]
    values, reasons, short = [], [], 0
    rounds = sorted(
        {number for group, name, number in latest if (group, name) == (comparison.group, comparison.ours)}
    )
    for number in rounds:
        figures: dict[str, float] = {}
        for name in filter(None, (comparison.ours, comparison.theirs, comparison.or_theirs)):
            record = latest.get((comparison.group, name, number), {"reason": f"{name} has not run"})
            figure = None if record.get("reason") else measure(record)
            if figure is None and name != comparison.ours and comparison.measure == "seconds_to_98":
                figure = record.get("train_seconds")  # it never came there: its whole time, a lower bound
            if figure is not None:
                figures[name] = figure
            elif name != comparison.or_theirs:
                reasons.append(record.get("reason") or f"{name} gave no {comparison.measure}")
                short += name == comparison.ours and not record.get("reason")
        theirs = [figures[name] for name in (comparison.theirs, comparison.or_theirs) if name in figures]
        if comparison.ours in figures and (theirs or not comparison.theirs):
            better = max if comparison.measure in HIGHER_IS_BETTER else min
            values.append(_paired(comparison, figures[comparison.ours], better(theirs, default=1.0)))
    reason = reasons[0] if reasons else "" if rounds else f"{comparison.ours} has not run"
    return Verdict(comparison=comparison, values=tuple(values), reason=reason, short=short)


def _paired(comparison: Comparison, ours: float, theirs: float = 1.0) -> float:
    match comparison.how:
        case "theirs / ours":
            return theirs / ours
        case "ours / theirs":
            return ours / theirs
        case "ours - theirs":
            return ours - theirs
        case "ours":
            return ours
