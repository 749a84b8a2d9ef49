"""Runs of bench.engines -> docs/engines.md and its plot."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

Record = dict[str, Any]
TITLES = {"torch": "torch DDP", "lightning": "Lightning", "ray": "Ray Train", "tensorflow": "TensorFlow"}
PROGRAMS = {"torch": "torch_ddp.py", "lightning": "main.py", "ray": "ray_train.py",
            "tensorflow": "tensorflow_mwms.py"}  # fmt: skip
COLUMNS = {  # key -> heading, factor, form
    "process_seconds": ("whole process, s", 1.0, ".1f"),
    "start_seconds": ("start to first step, s", 1.0, ".1f"),
    "train_seconds": ("training, s", 1.0, ".2f"),
    "images_per_second": ("images/s", 1.0, ",.0f"),
    "test_accuracy": ("test accuracy, %", 100.0, ".2f"),
    "peak_pss_bytes": ("memory of all processes, MB", 1e-6, ",.0f"),
}
LOUD = 0.3  # cores that others kept busy, above which a figure is in doubt
PICTURE = "engines.png"


def line(found: Record) -> str:
    """A run in a few words."""
    ranks = f"{found['world']} rank{'s' if found['world'] > 1 else ' '}"
    who = f"{found['engine']:10}  {ranks}  round {found['round']}"
    if "why" in found:
        return f"{who}  failed: {found['why'][-120:]}"
    return (
        f"{who}  training {found['train_seconds']:6.2f} s  process {found['process_seconds']:6.2f} s"
        f"  accuracy {100 * found['test_accuracy']:5.2f} %"
    )


def write(records: Sequence[Record], directory: Path) -> Path:
    """Write page and picture; return the page's path."""
    directory.mkdir(parents=True, exist_ok=True)
    done = [each for each in records if "why" not in each]
    if done:
        _draw(done, directory / PICTURE)
    page = directory / "engines.md"
    page.write_text(text(records), encoding="utf-8")
    return page


def text(records: Sequence[Record]) -> str:
    """The page."""
    done = [each for each in records if "why" not in each]
    if not done:
        return "# The engines side by side\n\nNothing was measured.\n"
    first, rounds = done[0], max(each["round"] for each in done)
    facts = first["machine"]
    versions: dict[str, dict[str, str]] = {}
    for each in done:
        versions |= {each["engine"]: each.get("versions", {})}
    parts = [
        "# The engines side by side", "",
        f"Made by `make bench-engines`. The same net ({first['net']}), all 60,000 training images of MNIST,",
        f"{first['epochs']} epochs, 128 images per rank and step, one thread a rank, through each program of",
        f"payload/: {rounds} rounds, the engines in turn within a round. Medians, in brackets the smallest",
        "and the largest.", "",
        f"Machine: {facts['processor']}, {facts['cores']} cores, {facts['memory_mib']:,} MiB,",
        f"{facts['system']}.",
        "All ranks share this one machine: what a network costs is not in here.", "",
    ]  # fmt: skip
    for world in sorted({each["world"] for each in done}):
        parts += [f"## {world} rank{'s' if world > 1 else ''}", "", *_table(done, world), ""]
    parts += [f"![training and start-up of each engine]({PICTURE})", "", *_notes(records)]
    parts += _versions(versions)
    return "\n".join(parts).rstrip() + "\n"


def _table(done: Sequence[Record], world: int) -> list[str]:
    rows = ["| engine | program | " + " | ".join(title for title, _, _ in COLUMNS.values()) + " |"]
    rows += ["|---|---|" + "--:|" * len(COLUMNS)]
    for engine, title in TITLES.items():
        runs = [each for each in done if (each["engine"], each["world"]) == (engine, world)]
        if runs:
            cells = (_cell(runs, key, factor, form) for key, (_, factor, form) in COLUMNS.items())
            rows.append(f"| {title} | {PROGRAMS[engine]} | " + " | ".join(cells) + " |")
    return rows


def _cell(runs: Iterable[Record], key: str, factor: float, form: str) -> str:
    values = [each[key] * factor for each in runs if each.get(key) is not None]
    if not values:
        return ""
    low, high = min(values), max(values)
    spread = f" ({low:{form}} to {high:{form}})" if f"{low:{form}}" != f"{high:{form}}" else ""
    return f"{statistics.median(values):{form}}{spread}"


def _notes(records: Sequence[Record]) -> list[str]:
    loud = sum(each["others_busy_cores"] > LOUD for each in records)
    lost = [each for each in records if "why" in each]
    said = [
        "`whole process` begins when the program is started and ends when its files are written; `training`",
        "is the steps alone, as the programs themselves count them. Memory is the highest sum over all",
        "processes at one time, where pages that several share count once: for Ray that includes its head,",
        "its object store and its agents. Slurm is no engine of its own: it starts these programs.", "",
    ]  # fmt: skip
    if loud:
        said += [f"{loud} of {len(records)} runs began while others kept more than {LOUD} cores busy.", ""]
    if lost:
        said += [f"{len(lost)} runs failed: {'; '.join(sorted({each['engine'] for each in lost}))}.", ""]
    return said


def _versions(versions: dict[str, dict[str, str]]) -> list[str]:
    return [
        f"- {TITLES[engine]}: " + ", ".join(f"{name} {version}" for name, version in found.items())
        for engine, found in versions.items() if found
    ]  # fmt: skip


def _draw(done: Sequence[Record], path: Path) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    worlds = sorted({each["world"] for each in done})
    figure, axes = plt.subplots(1, len(worlds), figsize=(4.5 * len(worlds), 3.2), sharex=True, squeeze=False)
    for axis, world in zip(axes[0], worlds, strict=True):
        there = {(each["engine"], each["world"]) for each in done}
        names = [engine for engine in TITLES if (engine, world) in there]
        medians = {
            key: [
                statistics.median(r[key] for r in done if (r["engine"], r["world"]) == (engine, world))
                for engine in names
            ]
            for key in ("process_seconds", "start_seconds", "train_seconds")
        }
        titles = [TITLES[name] for name in names]
        starts, trainings = medians["start_seconds"], medians["train_seconds"]
        ends = [
            max(0.0, whole - start - training)
            for whole, start, training in zip(medians["process_seconds"], starts, trainings, strict=True)
        ]
        axis.barh(titles, starts, color="#b0b8c0", label="start")
        axis.barh(titles, trainings, left=starts, color="#2f6f9f", label="training")
        left = [start + training for start, training in zip(starts, trainings, strict=True)]
        axis.barh(titles, ends, left=left, color="#e0d6c8", label="evaluation, files, end")
        axis.invert_yaxis()
        axis.set_title(f"{world} rank{'s' if world > 1 else ''}", fontsize=10)
        axis.set_xlabel("seconds")
        axis.spines[["top", "right"]].set_visible(False)
    axes[0][-1].legend(frameon=False, fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)
