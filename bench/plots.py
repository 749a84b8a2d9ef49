"""Records -> ratios.png, ranks.png, links.png. What was not measured is not drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bench.table import BATCHES, COMPARISONS, PLACES, WAYS
from bench.verdicts import Record, median, runs_of, verdicts

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

DPI = 110
OURS, THEIRS, GOAL = "#1f6f8b", "#99a8b2", "#c44536"


def draw(records: Sequence[Record], directory: Path) -> list[Path]:
    """Draw what the records have; the files, in the order of the page."""
    import matplotlib as mpl

    mpl.use("Agg")
    directory.mkdir(parents=True, exist_ok=True)
    figures = {"ratios.png": _ratios(records), "ranks.png": _ranks(records), "links.png": _links(records)}
    written = []
    for name, figure in figures.items():
        (directory / name).unlink(missing_ok=True)
        if figure is not None:
            figure.savefig(
                directory / name, dpi=DPI, metadata={"Software": None}
            )  # the same results, the same bytes
            written.append(directory / name)
    return written


def _ratios(records: Sequence[Record]) -> Any:
    """What was reached as bars, spread as lines, targets as marks."""
    held = [row for row in COMPARISONS if row.unit == "x" and row.target and not row.is_upper_bound]
    found = [verdict for verdict in verdicts(held, records) if verdict.values]
    if not found:
        return None
    figure = _figure(9, 1.2 + 0.45 * len(found))
    axes = figure.subplots()
    for place, verdict in enumerate(reversed(found)):
        reached, target = verdict.reached or 0.0, verdict.comparison.target or 0.0
        axes.barh(place, reached, color=OURS, height=0.55)
        axes.plot([min(verdict.values), max(verdict.values)], [place, place], color="black", linewidth=1.5)
        axes.plot([target, target], [place - 0.4, place + 0.4], color=GOAL, linewidth=2.5)
        axes.annotate(f"  {reached:.1f}", (max(*verdict.values, target), place), va="center")
    axes.set_yticks(
        range(len(found)), [f"{v.comparison.group}: {v.comparison.title}" for v in reversed(found)]
    )
    axes.set_xlabel("times as fast (bar: median, line: spread, red: target)")
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def _ranks(records: Sequence[Record]) -> Any:
    """Images per second over the batch per rank, for one and two ranks."""
    batches = sorted({*BATCHES, 512})
    lines: dict[int, list[tuple[int, float]]] = {}
    for world in (1, 2):
        points = [
            (batch, median(runs_of(records, "ranks", f"{world} x 1, batch {batch}"), "images_per_second"))
            for batch in batches
        ]
        lines[world] = [(batch, value) for batch, value in points if value is not None]
    if not any(lines.values()):
        return None
    figure = _figure(6.5, 4)
    axes = figure.subplots()
    for (world, line), color in zip(lines.items(), (THEIRS, OURS), strict=True):
        axes.plot([batch for batch, _ in line], [value for _, value in line], marker="o", color=color,
                  label=f"{world} x 1")  # fmt: skip
    axes.set_xscale("log", base=2)
    axes.set_xticks(batches, [str(batch) for batch in batches])
    axes.set_ylim(bottom=0)
    axes.set(
        xlabel="images per rank and step",
        ylabel="images per second",
        title="mlp-512-256-128, fp32, gloo on loopback",
    )
    axes.legend(title="ranks x threads")
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def _links(records: Sequence[Record]) -> Any:
    """Step time by link, a group of bars for each; the accuracy of each way stands in the legend."""
    bars = {
        way: [median(runs_of(records, group, way + suffix), "step_ms") for group, suffix in PLACES.values()]
        for way in WAYS
    }
    if not any(value for values in bars.values() for value in values):
        return None
    figure = _figure(7.5, 4)
    axes = figure.subplots()
    for number, (way, values) in enumerate(bars.items()):
        accuracy = median(runs_of(records, "ways", way), "accuracy_points")
        label = way if accuracy is None else f"{way}: {accuracy:.2f} %"
        shades = (THEIRS, "#7fb3c4", "#3f8fa8", OURS)
        at = [place + 0.2 * (number - 1.5) for place in range(len(PLACES))]
        color = shades[number % len(shades)]
        bars_drawn = axes.bar(at, [value or 0 for value in values], 0.18, color=color, label=label)
        axes.bar_label(bars_drawn, [f"{value:.0f}" if value else "" for value in values], fontsize=8)
    axes.set_xticks(range(len(PLACES)), list(PLACES))
    axes.set(
        ylabel="ms per forward and backward pass", title="2 x 1, mlp-512-256-128, 512 images per rank, fp32"
    )
    axes.legend(title="test accuracy after 5 epochs")
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def _figure(width: float, height: float) -> Any:
    """Inches. Without pyplot: nothing is left open."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")
