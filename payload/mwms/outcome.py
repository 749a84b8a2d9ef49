"""A trained net -> predictions.csv, model.keras, result.json, pictures, the last lines.

All workers call `finish`, since all of them predict; worker 0, which has the journal, writes.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tensorflow as tf
from pictures import draw_in_child
from show.place import directory_of
from show.report import ReportError, write_file
from show.result import end, say_goodbye, say_predicted, summary

if TYPE_CHECKING:
    from recipe import Run
    from show.report import Journal
    from show.result import Training

    from mwms.images import DataSet
    from mwms.learn import Learner
    from mwms.together import Together


def place_of(run: Run, together: Together, resume: str) -> Path:
    """The directory of the run: HOTRUN_RUN_DIR, else ./runs/DATA-NET-K, one name on all workers. A barrier.

    With --resume auto it is that of a killed run, where worker 0 finds one. Raises ReportError.
    """
    path = together.alike(lambda: directory_of(run, resume) if together.is_chief else Path())
    name = together.words(path.name)[0]
    if together.is_chief:
        return path
    given = os.environ.get("HOTRUN_RUN_DIR")
    return Path(given).resolve() if given else Path("runs", name).resolve()


def finish(  # noqa: PLR0917  # each is another thing, and all are needed
    run: Run, training: Training, learner: Learner, dataset: DataSet, journal: Journal | None,
    run_dir: Path, began: float,
) -> None:  # fmt: skip
    """Predict the test images once over all workers; then worker 0 writes, and the others wait for it.

    `began` is time.perf_counter() at the start of the program.
    """
    predictions = learner.predict(dataset.test)
    weights = learner.checksum()
    result: dict[str, Any] = {}

    def write() -> None:
        if journal is None:
            return
        write_file(run_dir / "predictions.csv", predictions.csv())
        save_model(learner, run_dir / "model.keras")
        result.update(summary(run, training, journal, predictions, weights))
        result["versions"]["tensorflow"] = tf.__version__  # tensorflow-cpu has another name
        end(journal, result)
        draw_in_child(run_dir, dataset.files.test_images)

    learner.together.alike(write)
    if journal:
        say_goodbye(run_dir, result, len(dataset.test), time.perf_counter() - began)
    else:
        print(f"weights {weights[:16]}…", flush=True)


def write_predictions(run_dir: Path, learner: Learner, dataset: DataSet) -> None:
    """Predict the test images over all workers, and let worker 0 write predictions.csv. A barrier."""
    together, path = learner.together, run_dir / "predictions.csv"
    predictions = learner.predict(dataset.test)
    together.alike(lambda: write_file(path, predictions.csv()) if together.is_chief else None)
    if together.is_chief:
        say_predicted(run_dir, predictions.accuracy, len(dataset.test))


def save_model(learner: Learner, path: Path) -> None:
    """The net as keras.saving.load_model reads it, whole or not at all. Raises ReportError."""
    partial = path.with_name(f"{path.stem}.{os.getpid()}.partial{path.suffix}")  # Keras wants its suffix
    try:
        learner.net.save(partial)
        partial.replace(path)
    except OSError as error:
        raise ReportError(f"{path}: {error.strerror or error}") from error
    finally:
        partial.unlink(missing_ok=True)
