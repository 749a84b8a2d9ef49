"""A run directory -> loss.png, accuracy.png, confusion.png, mistakes.png in it.

    python payload/pictures.py RUN_DIR --images DIR

reads metrics.csv, predictions.csv and result.json of any run, and the test images: an IDX file, or a
directory with one. A training starts this as a process of its own when it has ended: matplotlib is not in the
memory of a rank, nor torch in that of the pictures (2.1 s of a core and 107 MiB).
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import logging
import math
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from show.report import COLUMNS
from sources import idx
from sources.files import DataError, replace

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

DRAWING_S = 120.0  # deadline of the child, which takes 2.1 s


class PictureError(RuntimeError):
    """A file is not there, or is not what it should be; the message is for the user."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Predicted:
    """predictions.csv; N of each."""

    index: NDArray[np.int64]
    """Of the image in its file."""
    labels: NDArray[np.int64]
    classes: NDArray[np.int64]
    probabilities: NDArray[np.float64]
    """Of the predicted class."""


def draw_in_child(run_dir: Path, images: Path | None, classes: Sequence[str] = (), title: str = "") -> None:
    """Draw by a process of its own and wait for it; a failure is one line, never an exception."""
    command = [sys.executable, str(Path(__file__).resolve()), str(run_dir), f"--title={title}"]
    command += [f"--classes={','.join(classes)}"] if classes else []
    command += [f"--images={images}"] if images else []
    try:
        done = subprocess.run(command, timeout=DRAWING_S, text=True, check=False, stdin=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)  # fmt: skip
    except subprocess.TimeoutExpired:
        reason = f"it took more than {DRAWING_S:g} s"
    except OSError as error:
        reason = str(error)
    else:
        if done.returncode == 0:
            return
        said = [text for text in done.stderr.splitlines() if text.strip()]
        reason = said[-1] if said else f"exit code {done.returncode}"
    print(f"pictures are not drawn: {reason}", flush=True)


def draw(
    run_dir: Path, images: Path | None, classes: Sequence[str] = (), title: str = ""
) -> tuple[list[Path], list[str]]:
    """Draw what there are files for: the pictures, and a sentence for each that is left out.

    `images` is an IDX file of the test images, `classes` their names, `title` what was trained on what, by
    default from result.json. Raises PictureError, and OSError where a picture can't be written.
    """
    figures = drawing()
    result = read_result(run_dir / "result.json")
    title = title or " on ".join(str(result[key]) for key in ("net", "data") if key in result)
    epochs, found = read_epochs(run_dir / "metrics.csv"), read_predictions(run_dir / "predictions.csv")
    left_out, drawn = [], {}
    if epochs:
        drawn["loss.png"] = figures.loss(epochs, title)
        drawn["accuracy.png"] = figures.accuracy(epochs, found, title)
    else:
        left_out.append(f"loss.png, accuracy.png: no epochs in {run_dir / 'metrics.csv'}")
    if found is None:
        left_out.append(f"confusion.png, mistakes.png: no predictions in {run_dir / 'predictions.csv'}")
    else:
        drawn["confusion.png"] = figures.confusion(found, classes, title)
        if images is None:
            left_out.append("mistakes.png: --images names the file of the test images")
        else:
            drawn["mistakes.png"] = figures.mistakes(found, read_images(images, found), classes, title)
    for name, figure in drawn.items():
        content = io.BytesIO()
        figure.savefig(content, format="png")
        replace(run_dir / name, content.getvalue())
    return [run_dir / name for name in drawn], left_out


def drawing() -> Any:
    """The module that draws, with matplotlib. Raises PictureError where that is not installed."""
    # Where it can't write below HOME it takes a temporary directory, as it should, and warns of it, as nobody
    # needs; MPLCONFIGDIR is its variable for another one.
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    try:
        from show import figures
    except ImportError as error:
        raise PictureError(f"{error}; pip install matplotlib") from error
    return figures


def read_result(path: Path) -> dict[str, Any]:
    """result.json; empty where it is not there or is something else."""
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def read_epochs(path: Path) -> list[dict[str, float]]:
    """metrics.csv as a dict per row, NaN for what is not known; empty without it. Raises PictureError."""
    try:
        rows = list(csv.DictReader(path.read_text().splitlines()))
        return [{name: float(row.get(name) or math.nan) for name in COLUMNS} for row in rows]
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        raise PictureError(f"{path} is not a table of epochs: {error}") from error


def read_predictions(path: Path) -> Predicted | None:
    """predictions.csv; None without the file or without rows. Raises PictureError."""
    try:
        header, *rows = path.read_text().splitlines() or [""]
        table = np.array([row.split(",") for row in rows], dtype=np.float64).reshape(-1, 4)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise PictureError(f"{path} is not a table of predictions: {error}") from error
    if header != "index,label,prediction,probability":
        raise PictureError(f"{path} begins with {header[:60]!r}, not with index,label,prediction,probability")
    if table.size and not (table[:, :3].min() >= 0 and table[:, 1:3].max() <= 999):
        raise PictureError(f"{path} has a number below 0, or a class above 999")
    index, labels, classes = table[:, :3].astype(np.int64).T
    return (
        Predicted(index=index, labels=labels, classes=classes, probabilities=table[:, 3])
        if len(table)
        else None
    )


def read_images(path: Path, found: Predicted) -> NDArray[np.uint8]:
    """Map the IDX file of the N images that `found` is about: N x H x W, or N x C x H x W, C is 1 or 3.

    In a directory it is the one file t10k-images-idx?-ubyte, in whatever folder below. Raises PictureError.
    """
    if path.is_dir():
        there = sorted(path.rglob("t10k-images-idx?-ubyte"))
        if len(there) != 1:
            raise PictureError(f"{path} has {len(there)} files t10k-images-idx?-ubyte; --images names one")
        path = there[0]
    try:
        images = idx.mapped(path)
    except (OSError, ValueError, DataError) as error:
        raise PictureError(f"{path} is not an IDX file of images: {error}") from error
    shape = images.shape
    if images.ndim < 3:
        raise PictureError(f"{path} is not an IDX file of images: {images.ndim} dimensions")
    if found.index.max() >= len(images) or (images.ndim == 4 and shape[1] not in {1, 3}):
        raise PictureError(f"{path}: {' x '.join(map(str, shape))} are not the images of predictions.csv")
    return images


def _main() -> int | str:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("run_dir", type=Path, help="with metrics.csv and predictions.csv; gets the pictures")
    parser.add_argument("--images", type=Path, help="the test images: an IDX file, or a directory with one")
    parser.add_argument(
        "--classes", default="", help="their names, with commas between; by default the data set's"
    )
    parser.add_argument("--title", default="", help="for the head of each picture; by default net and data")
    asked = parser.parse_args()
    try:
        classes = asked.classes.split(",") if asked.classes else _classes(asked.run_dir)
        drawn, left_out = draw(asked.run_dir, asked.images, classes, asked.title)
    except (PictureError, OSError) as error:
        return str(error)
    print("\n".join([*map(str, drawn), *(f"left out: {sentence}" for sentence in left_out)]))
    return 0 if drawn else 1


def _classes(run_dir: Path) -> Sequence[str]:
    """The names of the classes of a run's data set; it costs the import of torch."""
    name = read_result(run_dir / "result.json").get("data")
    if name is None:
        return ()
    try:
        from data import SPECS
    except ImportError:
        return ()
    return SPECS[name].classes if name in SPECS else ()


if __name__ == "__main__":
    sys.exit(_main())
