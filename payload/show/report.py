"""What a training came to -> lines for a person, metrics.csv, epochs.jsonl, TensorBoard events, result.json.

Rank 0 alone prints and writes. Every file is whole at any time. Neither Lightning nor torch.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import math
import os
import platform
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sources.files import replace

from show.events import Events

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tqdm import tqdm

# Of metrics.csv.
COLUMNS = ("epoch", "train_loss", "val_loss", "val_accuracy", "seconds", "images_per_second")
PACKAGES = ("torch", "torchvision", "pytorch-lightning", "numpy", "ray", "tensorflow", "keras")


class ReportError(RuntimeError):
    """A file of the run can't be written; the message is for the user."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Epoch:
    """A line of epochs.jsonl; the fields in COLUMNS are also a row of metrics.csv."""

    epoch: int
    """Its number in the training, from 1."""
    train_loss: float
    """Mean over the images of the epoch and all ranks, each as its step saw it."""
    val_loss: float | None
    """Mean over the images held out, after the epoch; empty where none are."""
    val_accuracy: float | None
    """0 to 1, of the images held out, after the epoch; empty where none are."""
    seconds: float
    """Of the training steps alone, until the slowest rank was through."""
    images_per_second: float
    """Images that all ranks trained, divided by that."""
    learning_rate: float | None = None
    """Of the last step."""
    weights_sha256: str | None = None
    """Of weights and buffers, after the epoch."""


class Journal:
    """The epochs of a run, printed and written as they end. Only rank 0 has one.

    `rows` are the epochs that a resumed run has behind it, as `plain` gave them to its checkpoint. An epoch
    that is added takes the place of its number and of all behind it. `events` writes TensorBoard's files. All
    but `text` and `plain` raise ReportError where they can't write.
    """

    def __init__(
        self, run_dir: Path, epochs: int | None = None, rows: Iterable[Epoch | dict[str, Any]] = (),
        events: type[Events] = Events,
    ) -> None:  # fmt: skip
        self.run_dir, self.epochs = run_dir, epochs
        self.rows = [row if isinstance(row, Epoch) else Epoch(**row) for row in rows]
        self._events = events(run_dir / "tensorboard")
        self._shown = 0  # rows that TensorBoard has
        if self.rows:  # the files of a killed run may go further than its checkpoint
            self._write()

    def add(self, epoch: Epoch) -> None:
        """Print the line of an epoch that has ended, and write it."""
        print(line(epoch, self.epochs), flush=True)
        self.rows = [row for row in self.rows if row.epoch < epoch.epoch]
        self._shown = min(self._shown, len(self.rows))
        self.rows.append(epoch)
        self._write()
        self._show()

    def text(self, tag: str, markdown: str) -> None:
        """A text for TensorBoard; written with the next epoch, or at the end."""
        self._events.text(tag, markdown)

    def plain(self) -> list[dict[str, Any]]:
        """The rows as dicts of numbers and strings, for a checkpoint."""
        return [asdict(row) for row in self.rows]

    def close(self) -> None:
        """End TensorBoard's events; the other files are complete already."""
        self._show()
        with _said(self._events.directory):
            self._events.close()

    def _write(self) -> None:
        _put(self.run_dir / "metrics.csv", _csv(self.rows))
        _put(self.run_dir / "epochs.jsonl", "".join(_json(asdict(row)) + "\n" for row in self.rows))

    def _show(self) -> None:
        for row in self.rows[self._shown :]:
            self._events.scalars(row.epoch, _scalars(row))
        self._shown = len(self.rows)
        with _said(self._events.directory):
            self._events.flush()


def progress(epoch: int, epochs: int | None, steps: int, *, is_shown: bool) -> tqdm[Any]:
    """A bar on stderr, for a terminal only, drawn at most five times a second; it goes when it is closed."""
    from tqdm import tqdm

    return tqdm(total=steps, desc=f"epoch {epoch}/{epochs or '?'}", unit="step", leave=False, mininterval=0.2,
                disable=None if is_shown else True)  # fmt: skip


def line(epoch: Epoch, epochs: int | None) -> str:
    """`epoch 2/3  loss 0.112  accuracy 97.9 %  31,240 img/s`. Other programs read it."""
    accuracy = "" if epoch.val_accuracy is None else f"  accuracy {100 * epoch.val_accuracy:.1f} %"
    return (f"epoch {epoch.epoch}/{epochs or '?'}  loss {epoch.train_loss:.3f}{accuracy}"
            f"  {epoch.images_per_second:,.0f} img/s")  # fmt: skip


def write_result(path: Path, result: dict[str, Any]) -> None:
    """result.json; its keys are a contract (docs/payload-contract.md). Raises ReportError."""
    _put(path, _json(result, indent=2) + "\n")


def _csv(rows: list[Epoch]) -> str:
    """One row per epoch, floats with six decimals at most."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in rows:
        values = [getattr(row, name) for name in COLUMNS]
        writer.writerow([round(value, 6) if isinstance(value, float) else value for value in values])
    return text.getvalue()


def _json(content: dict[str, Any], indent: int | None = None) -> str:
    """As JSON, which knows no NaN and no infinity: null stands for them."""
    finite = {key: None if isinstance(value, float) and not math.isfinite(value) else value
              for key, value in content.items()}  # fmt: skip
    return json.dumps(finite, indent=indent, allow_nan=False)


def _scalars(row: Epoch) -> dict[str, float]:
    """TensorBoard's tags; both losses share a group, to stand side by side."""
    values = {"loss/train": row.train_loss, "loss/held_out": row.val_loss,
              "accuracy/held_out": row.val_accuracy, "learning_rate": row.learning_rate,
              "speed/images_per_second": row.images_per_second, "speed/seconds": row.seconds}  # fmt: skip
    return {tag: value for tag, value in values.items() if value is not None}


def write_file(path: Path, content: bytes) -> None:
    """Write a file of the run so that nobody ever sees a part of it. Raises ReportError."""
    with _said(path):
        replace(path, content)


def _put(path: Path, content: str) -> None:
    write_file(path, content.encode())


@contextlib.contextmanager
def _said(path: Path) -> Iterator[None]:
    """OSError -> ReportError: a sentence with the path, the reason and the way out."""
    try:
        yield
    except OSError as error:
        raise ReportError(
            f"{path}: {error.strerror or error}; HOTRUN_RUN_DIR names another place for the files of a run"
        ) from error


def versions() -> dict[str, str]:
    """What a figure depends on, as far as it is installed."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def run_directory(name: str) -> Path:
    """HOTRUN_RUN_DIR, else the next free ./runs/NAME-1, -2 …, made by this call and tried by a write.

    Raises ReportError before the training and not behind it.
    """
    given = os.environ.get("HOTRUN_RUN_DIR")
    with _said(Path(given or "runs").absolute()):
        if given:
            Path(given).mkdir(parents=True, exist_ok=True)
        path = (Path(given) if given else _next_free(name)).resolve()
        tried = path / f".tried.{os.getpid()}"
        tried.touch()
        tried.unlink()
    return path


def _next_free(name: str) -> Path:
    number = 1
    while True:
        path = Path("runs", f"{name}-{number}")
        try:
            path.mkdir(parents=True)
        except FileExistsError:
            number += 1
        else:
            return path
