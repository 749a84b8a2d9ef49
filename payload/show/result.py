"""What a training came to -> result.json, and the last lines. For every trainer; never imports torch."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from machine.available import peak_rss_bytes

from show.report import versions, write_result

if TYPE_CHECKING:
    from pathlib import Path

    from ranks.predictions import Predictions
    from recipe import Run

    from show.report import Journal

SHOWN = ("result.json", "metrics.csv", "predictions.csv", "loss.png", "accuracy.png", "confusion.png",
         "mistakes.png")  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """What a training came to, before the test images are looked at."""

    steps: int
    """Optimizer steps, those before a resume included."""
    images: int
    """Images trained by all ranks in all epochs."""
    start_seconds: float | None
    """From the start of the program to the end of the first step."""
    resumed_from: int | None = None
    """The step that this process went on from."""


def summary(
    run: Run, training: Training, journal: Journal, predictions: Predictions, weights: str
) -> dict[str, Any]:
    """The content of result.json (docs/payload-contract.md)."""
    rows = journal.rows
    seconds = sum(row.seconds for row in rows)
    return {
        "world_size": run.world,
        "backend": run.backend,
        "epochs": len(rows),
        "global_batch_size": run.global_batch,
        "train_seconds": round(seconds, 3),
        "images_per_second": round(training.images / seconds) if seconds else None,
        "train_loss": rows[-1].train_loss if rows else None,
        "test_accuracy": predictions.accuracy,
        "precision": run.precision,
        "net": run.net,
        "data": run.data,
        "seed": run.seed,
        "versions": versions(),
        "peak_rss_bytes": peak_rss_bytes(),
        "steps": training.steps,
        "start_seconds": training.start_seconds and round(training.start_seconds, 3),
        "resumed_from_step": training.resumed_from,
        "test_loss": predictions.loss,
        "weights_sha256": weights,
    }


def end(journal: Journal, result: dict[str, Any]) -> None:
    """Close the journal with the result, and write result.json beside its files. Raises ReportError."""
    journal.text("result", "\n".join(f"- {key}: {value}" for key, value in result.items()))
    journal.close()
    write_result(journal.run_dir / "result.json", result)


def say_goodbye(run_dir: Path, result: dict[str, Any], count: int, seconds: float) -> None:
    """The last lines for a person."""
    print(f"test accuracy {100 * result['test_accuracy']:.2f} % of {count:,} images")
    print(f"epochs {result['epochs']} in {result['train_seconds']:.1f} s, with start and end {seconds:.1f} s")
    print(f"weights {result['weights_sha256'][:16]}…")
    names = [name for name in SHOWN if (run_dir / name).exists()]
    print(f"{run_dir}{os.sep}  {'  '.join(names)}", flush=True)


def say_predicted(run_dir: Path, accuracy: float, count: int) -> None:
    """The last lines where nothing was trained."""
    print(f"test accuracy {100 * accuracy:.2f} % of {count:,} images")
    print(f"{run_dir / 'predictions.csv'}", flush=True)
