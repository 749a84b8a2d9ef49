"""What all peers are measured by: arguments, clock, memory, the one JSON line. No torch."""

# ruff: noqa: T201 -- the JSON line is what a peer is run for

# ruff: noqa: INP001 -- a script, as payload/ has them; imports its neighbours by their short names

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

STARTED_S = time.monotonic()  # as near to the interpreter's start as a script gets
MEAN, STD = 0.1307, 0.3081  # of MNIST's training pixels, the numbers in every tutorial


def arguments(program: str | None, *, epochs: int, batch: int, world: int) -> argparse.Namespace:
    """The options that all peers share; the defaults are the tutorial's own."""
    lines = (program or "").strip().splitlines() or [""]
    parser = argparse.ArgumentParser(description=lines[0])
    parser.add_argument("--root", required=True, help="directory with MNIST/raw; nothing is downloaded")
    parser.add_argument("--epochs", type=int, default=epochs)
    parser.add_argument("--batch", type=int, default=batch, help="images per rank and step")
    parser.add_argument("--world", type=int, default=world, help="ranks, all on this machine")
    parser.add_argument("--workers", type=int, default=0, choices=(0, 2), help="of each DataLoader")
    parser.add_argument("--threads", type=int, default=0, help="of torch in each rank; 0: torch's own choice")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--steps", type=int, default=0, help="end each epoch after so many; 0: all of it")
    options = parser.parse_args()
    options.started_s = STARTED_S
    return options


def peak_rss_bytes() -> int:
    """The most memory that this process had resident; 0 where /proc does not say."""
    status = Path("/proc/self/status")
    rows = status.read_text().splitlines() if status.exists() else []
    return next((int(row.split()[1]) * 1024 for row in rows if row.startswith("VmHWM:")), 0)


class Clock:
    """Seconds of the training steps alone, without evaluation, and the moment after the first step."""

    def __init__(self, started_s: float) -> None:
        self.started_s = started_s
        self.train_seconds = 0.0
        self.start_seconds: float | None = None
        self.images = 0
        self.curve: list[dict[str, float]] = []
        self.extra_seconds = 0.0
        """In evaluations that only the curve is made of: all but the last one."""
        self._began = self._judging_since = 0.0

    def begin(self) -> None:
        """An epoch's training begins."""
        self._began = time.monotonic()

    def step(self, images: int) -> None:
        """An optimizer step over `images` of this rank ended."""
        self.images += images
        if self.start_seconds is None:
            self.start_seconds = time.monotonic() - self.started_s

    def end(self) -> None:
        """An epoch's training ended; its evaluation begins."""
        self._judging_since = time.monotonic()
        self.train_seconds += self._judging_since - self._began

    def point(self, epoch: int, accuracy: float, *, is_last: bool) -> None:
        """The accuracy on the 10,000 test images, 0 to 1, after so many epochs."""
        if not is_last:
            self.extra_seconds += time.monotonic() - self._judging_since
        self.curve.append({"epoch": epoch, "train_seconds": self.train_seconds, "test_accuracy": accuracy})


def result(options: argparse.Namespace, clock: Clock, peak: int, **more: Any) -> dict[str, Any]:
    """What the harness reads; `clock` and `peak` are rank 0's and the greatest of all ranks'."""
    images = clock.images * options.world
    return {
        "epochs": options.epochs,
        "extra_seconds": clock.extra_seconds,
        "world_size": options.world,
        "global_batch_size": options.batch * options.world,
        "seed": options.seed,
        "train_seconds": clock.train_seconds,
        "images_per_second": images / clock.train_seconds if clock.train_seconds else None,
        "start_seconds": clock.start_seconds,
        "test_accuracy": clock.curve[-1]["test_accuracy"] if clock.curve else None,
        "curve": clock.curve,
        "peak_rss_bytes": peak,
        **more,
    }


def say(content: dict[str, Any]) -> None:
    """Print the result as the last line."""
    print(json.dumps(content), flush=True)
