"""The programs with their defaults: one process from a shell, and ranks that meet on this machine's loopback."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from tests.payload.runs import MAIN, PLAIN, fresh, start

pytestmark = pytest.mark.payload

KEYS = [
    "world_size", "backend", "epochs", "global_batch_size", "train_seconds", "images_per_second", "train_loss",
    "test_accuracy", "precision", "net", "data", "seed", "versions", "peak_rss_bytes", "steps", "start_seconds",
    "resumed_from_step", "test_loss", "weights_sha256",
]  # fmt: skip
FILES = [
    "checkpoints",
    "epochs.jsonl",
    "metrics.csv",
    "model.ckpt",
    "predictions.csv",
    "result.json",
    "tensorboard",
]
PICTURES = ["accuracy.png", "confusion.png", "loss.png", "mistakes.png"]


@pytest.mark.parametrize(("program", "flag"), [(MAIN, "--data.root"), (PLAIN, "--root")])
def test_alone_it_trains(tmp_path: Path, mnist_root: Path, program: str, flag: str) -> None:
    """`python payload/main.py`, or torch_ddp.py, from any directory: accuracy, files and last lines, with defaults only."""
    done = fresh(tmp_path, program, flag, str(mnist_root))

    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    run = tmp_path / "runs" / "mnist-mlp-100-1"
    assert sorted(path.name for path in run.iterdir()) == sorted([*FILES, *PICTURES])
    result = json.loads((run / "result.json").read_text())
    assert list(result) == KEYS
    assert (result["world_size"], result["backend"], result["precision"]) == (1, "none", "32-true")
    assert (result["epochs"], result["steps"], result["global_batch_size"]) == (5, 5 * 430, 128)
    assert result["test_accuracy"] >= 0.975
    assert 50_000_000 < result["peak_rss_bytes"] < 4_000_000_000
    lines = done.stdout.splitlines()
    assert lines[0].startswith("mlp-100 on mnist ")
    assert f"test accuracy {100 * result['test_accuracy']:.2f} % of 10,000 images" in lines
    assert str(run) in lines[-1]
    rows = list(csv.DictReader((run / "metrics.csv").read_text().splitlines()))
    assert [row["epoch"] for row in rows] == ["1", "2", "3", "4", "5"]
    assert float(rows[-1]["train_loss"]) == pytest.approx(result["train_loss"], abs=1e-5)
    epochs = [json.loads(line) for line in (run / "epochs.jsonl").read_text().splitlines()]
    assert epochs[-1]["weights_sha256"] == result["weights_sha256"]
    with (run / "predictions.csv").open() as file:
        predicted = list(csv.DictReader(file))
    right = sum(row["label"] == row["prediction"] for row in predicted)
    assert right / 10_000 == result["test_accuracy"]


def test_two_ranks_train_as_one(tmp_path: Path, mnist_root: Path) -> None:
    """Two ranks reach the accuracy of one; rank 0 alone writes and speaks."""
    run = start(tmp_path, MAIN, "--data.root", str(mnist_root), world=2).finish()

    assert sorted(path.name for path in run.run.iterdir()) == FILES
    assert not (tmp_path / "1").exists()
    assert run.out(1) + run.err(1) == ""
    assert (run.result["world_size"], run.result["backend"], run.result["global_batch_size"]) == (
        2,
        "gloo",
        256,
    )
    assert run.result["test_accuracy"] >= 0.975


def test_ranks_of_one_machine_start_by_themselves(tmp_path: Path, mnist_root: Path) -> None:
    """`--world-size 2` and Lightning's `--trainer.devices 2` are two ranks; the run directory is one."""
    words = ["--trainer.strategy", "ddp", "--trainer.devices", "2"]
    few = ["--trainer.max_epochs", "1", "--data.validation", "57000"]

    plain_few = ["--epochs", "1", "--validation", "57000"]

    runs = [
        start(tmp_path / "main", MAIN, "--data.root", str(mnist_root), *words, *few, HOTRUN_RUN_DIR=""),
        start(
            tmp_path / "plain",
            PLAIN,
            "--root",
            str(mnist_root),
            "--world-size",
            "2",
            *plain_few,
            HOTRUN_RUN_DIR="",
        ),
    ]

    sums = []
    for run in runs:
        assert run.finish().out().count("world size 2 (gloo)") == 1
        (place,) = (run.directory / "runs").iterdir()
        sums.append(json.loads((place / "result.json").read_text())["weights_sha256"])
    assert sums[0] == sums[1]


def test_three_ranks_judge_every_image_once(tmp_path: Path, mnist_root: Path) -> None:
    """Chunks of unequal ranks, BatchNorm and bf16 where it is: 10,000 are counted and nobody hangs."""
    words = ["--model.net", "lenet", "--trainer.max_epochs", "1", "--trainer.limit_train_batches", "4"]
    run = start(tmp_path, MAIN, "--data.root", str(mnist_root), *words, world=3).finish()

    assert (run.result["world_size"], run.result["net"], run.result["epochs"]) == (3, "lenet", 1)
    assert "of 10,000 images" in run.out()
    accuracy = run.result["test_accuracy"] * 10_000  # answers counted once make a multiple of 1/10,000
    assert accuracy == pytest.approx(round(accuracy), abs=1e-6)
    held_out = float(run.rows[0]["val_accuracy"]) * 5000
    assert held_out == pytest.approx(round(held_out), abs=0.01)


@pytest.mark.parametrize(("program", "flag"), [(MAIN, "--data.root"), (PLAIN, "--root")])
def test_without_data_one_sentence_is_said(tmp_path: Path, program: str, flag: str) -> None:
    """Where MNIST can't be had the program ends with exit code 1 and a sentence, not with a traceback."""
    (tmp_path / "file").write_text("")

    run = start(tmp_path / "run", program, flag, str(tmp_path / "file"))

    assert run.wait() == [1]
    assert "Traceback" not in run.err()
    assert str(tmp_path / "file") in run.err()
    assert "names another place" in run.err()


def test_without_held_out_images_it_trains(tmp_path: Path, mnist_root: Path) -> None:
    """--data.validation 0: all 60,000 are trained on, columns of the held-out images are empty, two ranks."""
    words = ["--data.root", str(mnist_root), "--data.validation", "0", "--trainer.max_epochs", "1"]
    run = start(tmp_path, MAIN, *words, "--data.batch_size", "1000", world=2).finish()

    (row,) = run.rows
    assert float(row["images_per_second"]) * float(row["seconds"]) == pytest.approx(60_000, rel=1e-3)
    assert (row["val_loss"], row["val_accuracy"]) == ("", "")


@pytest.mark.parametrize("program", [MAIN, PLAIN])
def test_fashion_mnist_of_debian_trains(tmp_path: Path, fashion_root: Path, program: str) -> None:
    """The files of Debian's package, one epoch: far above chance, and the data set's name in the result."""
    words = ["--data.root", str(fashion_root), "--data.name", "fashion-mnist", "--trainer.max_epochs", "1"]
    if program == PLAIN:
        words = ["--root", str(fashion_root), "--data", "fashion-mnist", "--epochs", "1"]
    run = start(tmp_path, program, *words).finish()

    assert run.result["data"] == "fashion-mnist"
    assert run.result["test_accuracy"] > 0.8
