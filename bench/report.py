"""Records -> docs/performance.md with its plots, and the table on the screen. Pure but for `write`."""

from __future__ import annotations

import statistics
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.table import COMPARISONS, GROUPS, PLACES, WAYS
from bench.verdicts import Record, Verdict, done, median, runs_of, verdicts

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from bench.plan import Contender, Group

NOTES = Path(__file__).with_name("notes.toml")
HEAD = """# Performance

Made by `make bench` from its own measurements, never by hand; what is marked *note* is from bench/notes.toml.
"""
COLUMNS = ("", "ranks x threads", "batch per rank", "epochs", "precision", "training, s", "images/s",
           "process, s", "accuracy, %", "peak, MiB", "n")  # fmt: skip
SHOWN = (  # measure, form, factor: the columns from training to peak, medians of the rounds
    ("train_seconds", ".2f", 1.0),
    ("images_per_second", ",.0f", 1.0),
    ("wall_seconds", ".1f", 1.0),
    ("accuracy_points", ".2f", 1.0),
    ("peak_rss_bytes", ".0f", 1 / 2**20),
)
HOW = """
## How it is measured

- Contenders of a group run one after the other, A B, B A, A B …: a drift of the machine falls on all of
  them. A ratio is taken within a round, both sides with the seed of the round, 1 to n. *reached* is the
  median of the rounds (of accuracies the mean), *spread* the least and the greatest, *n* the rounds.
- Each program runs as a process of its own. *training* are the seconds of the training steps alone, without
  start, evaluation and end; *process* is all of it. A peer's test accuracy is taken after each epoch, off its
  clock, and off its process's time but for the last; ours is looked at once, after the last. A peer that
  never came to 98 % counts with its whole training: the ratio is then a lower bound. All of ours train on
  all 60,000 images, as the peers do; the Lightning tutorial alone holds 5,000 out.
- Peak memory is the highest `VmHWM` of any process of a run.
- 2 x 1 means two ranks with one thread each, over gloo on loopback unless a link is named. A named link is a
  cable between two network namespaces, shaped by `tc tbf` in both directions.
- The peers are bench/peers/; each names its tutorial and every deviation from it.
- Before each run it is noted how many cores others keep busy.
"""


def write(records: Sequence[Record], directory: Path) -> Path:
    """Write performance.md and performance/*.png into a directory; the path of the page."""
    from bench import plots

    directory.mkdir(parents=True, exist_ok=True)
    pictures = plots.draw(records, directory / "performance")
    page = directory / "performance.md"
    page.write_text(text(records, notes(), [picture.name for picture in pictures]), encoding="utf-8")
    return page


def notes() -> dict[str, str]:
    """Hand-written sentences by comparison."""
    return {
        key: str(entry["note"]) for key, entry in tomllib.loads(NOTES.read_text(encoding="utf-8")).items()
    }


def text(records: Sequence[Record], noted: Mapping[str, str], pictures: Sequence[str] = ()) -> str:
    """The page."""
    found = verdicts(COMPARISONS, records)
    parts = [
        HEAD,
        _machine(records),
        _targets(found, noted),
        *(_group(group, records, found, noted) for group in GROUPS),
    ]
    images = [f"![{name.removesuffix('.png')}](performance/{name})\n" for name in pictures]
    return "\n".join([*parts[:3], *images, *parts[3:]]) + HOW


def screen(found: Sequence[Verdict]) -> str:
    """Target, reached and spread of every comparison, for a terminal."""
    title = {group.name: group.name for group in GROUPS}
    rows = [("comparison", "target", "reached", "spread", "n", "")]
    rows += [(f"{title[v.comparison.group]}: {v.comparison.title}", *_numbers(v), _word(v)) for v in found]
    widths = [max(len(row[column]) for row in rows) for column in range(6)]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
                     for row in rows)  # fmt: skip


def _machine(records: Sequence[Record]) -> str:
    """What the figures are figures of. No date: the same results are the same page."""
    if not records:
        return "Nothing has been measured yet.\n"
    about: dict[str, Any] = next(
        (record["machine"] for record in reversed(records) if record.get("machine")), {}
    )
    loads = [record["load_1min"] for record in records if "load_1min" in record]
    busy = [record["others_busy_cores"] for record in records if "others_busy_cores" in record]
    rows = [
        ("processor", f"{about.get('cores')} cores of {about.get('processor')}; bf16: {about.get('bf16')}"),
        ("memory", f"{about.get('memory_mib', 0):,} MiB"),
        ("system", about.get("system")),
        ("versions", ", ".join(f"{name} {number}" for name, number in about.get("versions", {}).items())),
    ]
    if busy:
        cores = f"{statistics.median(busy):.2f} cores busy before a run (median), at most {max(busy):.2f}"
        rows.append(
            ("others' load", f"{cores}; load average {min(loads):.1f} to {max(loads):.1f} (with ours)")
        )
    return "| | |\n|---|---|\n" + "".join(f"| {name} | {value} |\n" for name, value in rows)


def _targets(found: Iterable[Verdict], noted: Mapping[str, str]) -> str:
    """What was promised, first."""
    held = [verdict for verdict in found if verdict.comparison.target is not None]
    rows = [f"| {_title(v)} | {' | '.join(_numbers(v))} | {_word(v)} |" for v in held]
    head = "## Targets\n\n| comparison | target | reached | spread | n | |\n|---|---|---|---|---|---|\n"
    missed = [
        f"- *{_title(v)}* is missed. {noted.get(v.comparison.key, '')}".rstrip()
        for v in held
        if v.word == "missed"
    ]
    return head + "\n".join(rows) + "\n" + ("\n" + "\n".join(missed) + "\n" if missed else "")


def _group(
    group: Group, records: Sequence[Record], found: Iterable[Verdict], noted: Mapping[str, str]
) -> str:
    """What each contender did, then what follows for the comparisons, with its cause."""
    own = [verdict for verdict in found if verdict.comparison.group == group.name]
    lines = [f"## {group.title}\n", f"| {' | '.join(COLUMNS)} |", "|---" * len(COLUMNS) + "|"]
    lines += [
        _contender(contender, runs_of(records, group.name, contender.name)) for contender in group.contenders
    ]
    if own:
        lines += [
            "",
            "| comparison | what differs | target | reached | spread | n | |",
            "|---|---|---|---|---|---|---|",
        ]
    lines += [
        f"| {v.comparison.title} | {v.comparison.cause} | {' | '.join(_numbers(v))} | {_word(v)} |"
        for v in own
    ]
    if group.name == "links":
        lines += ["", _ways(records)]
    said = (v.comparison for v in own if v.comparison.key in noted)
    lines += ["", *(f"*note*, {comparison.title}: {noted[comparison.key]}\n" for comparison in said)]
    return "\n".join(lines)


def _ways(records: Sequence[Record]) -> str:
    """What a way of sending less costs in accuracy, beside what it saves in time on each link."""
    head = ["way", "accuracy after 5 epochs, %", *(f"{place}, ms" for place in PLACES)]
    lines = ["Milliseconds per forward and backward pass of 512 images per rank:", ""]
    lines += [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for way in WAYS:
        cells = [way, _cell(runs_of(records, "ways", way), "accuracy_points", ".2f")]
        for group, suffix in PLACES.values():
            timed = runs_of(records, group, way + suffix)
            cells.append(_cell(timed, "step_ms", ".1f") or "not measured")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _contender(contender: Contender, runs: Sequence[Record]) -> str:
    whole = done(runs)
    cells = [contender.name, f"{contender.world} x {contender.threads or 'own choice'}",
             str(contender.batch or "own choice"), str(contender.epochs)]  # fmt: skip
    if whole:
        cells.append(str(whole[-1].get("precision", contender.precision)))
        cells += [_cell(whole, measure, form, factor) for measure, form, factor in SHOWN]
    else:
        reason = runs[-1]["reason"] if runs else "has not run"
        cells += [f"not measured: {reason}", *[""] * len(SHOWN)]
    return f"| {' | '.join(cells)} | {len({run['round'] for run in whole})} |"


def _cell(runs: Sequence[Record], measure: str, form: str, factor: float = 1.0) -> str:
    value = median(runs, measure)
    return "" if value is None else format(factor * value, form)


def _title(verdict: Verdict) -> str:
    group = next(group for group in GROUPS if group.name == verdict.comparison.group)
    return f"{group.title}: {verdict.comparison.title}"


def _numbers(verdict: Verdict) -> tuple[str, str, str, str]:
    """Target, reached, spread, n."""
    row, values = verdict.comparison, verdict.values
    sign = "at most" if row.is_upper_bound else "at least"
    target = "" if row.target is None else f"{sign} {_figure(row.target, row.unit)}"
    reached = "" if verdict.reached is None else _figure(verdict.reached, row.unit)
    spread = f"{_figure(min(values), row.unit)} to {_figure(max(values), row.unit)}" if values else ""
    return target, reached, spread, str(len(values))


def _figure(value: float, unit: str) -> str:
    return f"{value:+.2f} points" if unit == "points" else f"{value:.2f} {unit}"


def _word(verdict: Verdict) -> str:
    if verdict.word == "for information":
        return ""
    if verdict.word == "not measured":
        return f"not measured: {verdict.reason}"
    return verdict.word
