"""ray_train.py by itself: what it reaches, what it leaves, and the same predictions by any number of workers."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.engines.ray.conftest import EPOCHS, needs_ray
from tests.engines.ray.drivers import PAYLOAD, Driver, clean_environment, processes, wait

pytestmark = [pytest.mark.payload, needs_ray]

FILES = {"metrics.csv", "epochs.jsonl", "result.json", "predictions.csv", "model.ckpt", "checkpoints", "tensorboard",
         "loss.png", "accuracy.png", "confusion.png", "mistakes.png"}  # fmt: skip


def test_the_target_is_reached_on_real_mnist(trained: Driver) -> None:
    """More than 98 % of the test images, and a training loss below 0.04, within ten epochs."""
    assert trained.result["test_accuracy"] > 0.98
    assert trained.result["train_loss"] < 0.04
    assert trained.result["epochs"] <= 10
    assert (trained.result["world_size"], trained.result["backend"]) == (2, "gloo")


def test_a_run_leaves_the_files_of_every_payload(trained: Driver) -> None:
    """The same as main.py's and torch_ddp.py's, whole, and nothing else."""
    assert {path.name for path in trained.run.iterdir()} == FILES
    assert [row["epoch"] for row in trained.rows] == [str(number + 1) for number in range(int(EPOCHS))]
    manifests = sorted((trained.run / "checkpoints").glob("*.json"))
    assert len(manifests) == 2
    assert json.loads(manifests[-1].read_text())["epoch"] == int(EPOCHS)
    for line in (trained.run / "epochs.jsonl").read_text().splitlines():
        assert len(json.loads(line)["weights_sha256"]) == 64


def test_epochs_are_told_as_they_end(trained: Driver) -> None:
    """Bare lines on the driver's stdout, in the form that hotrun reads."""
    form = re.compile(
        rf"^epoch \d/{EPOCHS}  loss \d\.\d{{3}}  accuracy \d+\.\d %  [\d,]+ img/s$", re.MULTILINE
    )
    assert len(form.findall(trained.out)) == int(EPOCHS)


def test_every_worker_says_how_long_it_predicted(trained: Driver) -> None:
    """Printed, and in result.json; together they have predicted each test image once."""
    shares = trained.result["prediction"]
    assert sum(share["images"] for share in shares) == 10_000
    assert all(share["seconds"] > 0 for share in shares)
    for share in shares:
        assert f"{share['worker']} predicted {share['images']:,} images in " in trained.out


def test_a_ray_of_its_own_ends_with_it(trained: Driver) -> None:
    """No process that the driver started stays; a worker may take a moment to see that its Ray is gone."""
    wait(lambda: not processes(f"HOTRUN_RUN_DIR={trained.run}"), "the end of every process")


@pytest.mark.parametrize("workers", [1, 3])
def test_predictions_are_the_same_bytes_by_any_number_of_workers(
    trained: Driver, mnist_root: Path, tmp_path: Path, workers: int
) -> None:
    """Two workers predicted after the training; one and three do from its weights."""
    again = Driver(tmp_path, "--workers", str(workers), "--predict", str(trained.run / "model.ckpt"),
                   HOTRUN_DATA_DIR=str(mnist_root)).finish()  # fmt: skip
    assert (again.run / "predictions.csv").read_bytes() == (trained.run / "predictions.csv").read_bytes()
    assert len(re.findall(r" predicted [\d,]+ images in ", again.out)) <= workers


def test_predictions_are_those_of_torch_ddp(trained: Driver, mnist_root: Path, tmp_path: Path) -> None:
    """The same bytes by a program without Ray."""
    plain = Driver(tmp_path, "--device", "cpu", "--predict", str(trained.run / "model.ckpt"), program="torch_ddp.py",
                   HOTRUN_DATA_DIR=str(mnist_root)).finish()  # fmt: skip
    assert (plain.run / "predictions.csv").read_bytes() == (trained.run / "predictions.csv").read_bytes()


def test_a_table_of_epochs_becomes_a_picture_beside_it(trained: Driver, tmp_path: Path) -> None:
    """loss_chart.py needs metrics.csv and nothing else of the run."""
    table = tmp_path / "metrics.csv"
    table.write_bytes((trained.run / "metrics.csv").read_bytes())
    assert chart(table).stdout.split() == [str(tmp_path / "metrics.png")]
    assert (tmp_path / "metrics.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(("content", "said"), [
    (None, "there is no such file"), ("epoch,train_loss\n", "has no epoch yet"), ("a,b\n1,2\n", "no column epoch"),
])  # fmt: skip
def test_what_is_no_table_of_epochs_is_said(tmp_path: Path, content: str | None, said: str) -> None:
    """One sentence that names the file, no picture, no traceback."""
    table = tmp_path / "metrics.csv"
    if content is not None:
        table.write_text(content)
    done = chart(table)
    assert done.returncode == 1
    assert str(table) in done.stderr
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not list(tmp_path.glob("*.png"))


def chart(table: Path) -> subprocess.CompletedProcess[str]:
    """loss_chart.py, as a person starts it."""
    return subprocess.run([sys.executable, str(PAYLOAD / "loss_chart.py"), str(table)], text=True, check=False,
                          capture_output=True, env=clean_environment(), timeout=300)  # fmt: skip
