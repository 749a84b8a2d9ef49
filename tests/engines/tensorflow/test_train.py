"""Two workers of one training on real MNIST, and what they leave; other numbers of workers, same predictions."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from cloud.rehearse.follow import progress
from tests.engines.tensorflow.workers import PROGRAM, Workers, clean_environment, start

pytestmark = pytest.mark.payload
ROOT = Path(__file__).resolve().parents[3]
CONTRACT = (ROOT / "docs/payload-contract.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, mnist_root: Path) -> Workers:
    """Two workers, the default recipe."""
    return start(tmp_path_factory.mktemp("trained"), "--root", str(mnist_root), "--resume", "auto").finish()


@pytest.fixture(scope="module")
def predicted(tmp_path_factory: pytest.TempPathFactory, mnist_root: Path, trained: Workers) -> Workers:
    """One worker, told to take four threads, that predicts with the weights of the two."""
    words = ["--root", str(mnist_root), "--predict", str(trained.run / "model.keras")]
    return start(tmp_path_factory.mktemp("predicted"), *words, count=1, TF_NUM_INTRAOP_THREADS="4").finish()


def _keys(head: str) -> list[str]:
    """Names in the first column of a table of the contract."""
    rows = CONTRACT.partition(f"| {head} |")[2].partition("\n\n")[0].splitlines()[2:]
    return [name for row in rows for name in re.findall(r"`(\w+)`", row.split("|")[1])]


def test_two_workers_are_one_training(trained: Workers) -> None:
    """Both end with the same weights, checkpoint for checkpoint, and learn MNIST."""
    result = trained.result

    assert (result["world_size"], result["backend"], result["global_batch_size"]) == (2, "ring", 256)
    assert (result["epochs"], result["steps"], result["resumed_from_step"]) == (5, 5 * 215, None)
    assert result["test_accuracy"] >= 0.975
    assert trained.checkpoints(0) == trained.checkpoints(1)
    assert sorted(trained.checkpoints(1)) == [4 * 215, 5 * 215]
    short = f"weights {result['weights_sha256'][:16]}…"
    assert short in trained.out(0)
    assert short in trained.out(1)


def test_what_it_prints(trained: Workers) -> None:
    """The lines that launchers and people look for, in their form."""
    host = r"\S+"
    said = [trained.out(index).splitlines() for index in (0, 1)]
    config = {"cluster": {"worker": trained.addresses}, "task": {"type": "worker", "index": 0}}

    assert re.fullmatch(rf"RANK 0 on {host}: Setting TF_CONFIG: {re.escape(json.dumps(config))}", said[0][0])
    assert any(
        re.fullmatch(rf"RANK 1 on {host}: Connected to {trained.addresses[0]}", line) for line in said[1]
    )
    assert len([line for line in said[0] if re.fullmatch(r"\[Epoch \d\] Loss: \d\.\d{4}", line)]) == 5
    assert not [line for line in said[1] if "Loss" in line]
    told = [text for line in said[0] if (text := progress(f"[rank 0] {line}"))]
    assert re.fullmatch(r"epoch 5/5  loss [\d.]+  [\d,]+ img/s", told[-1])
    assert any("ring " in line and "no GPU is here" in line for line in said[0])


def test_the_files_of_a_run(trained: Workers) -> None:
    """The files and keys of docs/payload-contract.md, from worker 0 alone."""
    rows = [json.loads(line) for line in (trained.run / "epochs.jsonl").read_text().splitlines()]
    table = list(csv.DictReader((trained.run / "metrics.csv").read_text().splitlines()))
    predictions = list(csv.DictReader((trained.run / "predictions.csv").read_text().splitlines()))

    assert list(trained.result) == _keys("key of `result.json`")
    assert [list(row) for row in rows] == [_keys("key of `epochs.jsonl`")] * 5
    assert [row["epoch"] for row in table] == ["1", "2", "3", "4", "5"]
    assert [int(row["index"]) for row in predictions] == list(range(10_000))
    right = sum(row["label"] == row["prediction"] for row in predictions)
    assert right / 10_000 == trained.result["test_accuracy"]
    for name in ("loss.png", "accuracy.png", "confusion.png", "mistakes.png", "model.keras"):
        assert (trained.run / name).stat().st_size > 1000
    assert sorted(path.name for path in (trained.directory / "1").iterdir()) == ["checkpoints"]
    manifest = trained.checkpoints(0)[215 * 5]
    assert list(manifest) == _keys("key of a manifest")
    assert manifest["file"].endswith(".ckpt")


READ_EVENTS = """
import sys
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
events = EventAccumulator(sys.argv[1], size_guidance={"tensors": 0})
events.Reload()
for tag in events.Tags()["tensors"]:
    print(tag, len(events.Tensors(tag)))
"""


def test_tensorboards_events(trained: Workers) -> None:
    """TensorBoard reads a value per epoch of each figure, and the two texts."""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", READ_EVENTS, str(trained.run / "tensorboard")],
                          env=clean_environment(), capture_output=True, text=True, check=True)  # fmt: skip
    tags = dict(line.rsplit(" ", 1) for line in done.stdout.splitlines())

    figures = {"loss/train", "loss/held_out", "accuracy/held_out", "learning_rate", "speed/images_per_second",
               "speed/seconds"}  # fmt: skip
    assert {tag for tag, count in tags.items() if count == "5"} == figures
    assert {"configuration", "result"} <= {tag.partition("/")[0] for tag in tags}


def test_two_workers_train_as_one_with_their_batch(
    tmp_path: Path, mnist_root: Path, trained: Workers
) -> None:
    """A step of two workers with 128 images each is that of one with 256: the curves differ by rounding only."""
    one = start(tmp_path, "--root", str(mnist_root), "--batch-size", "256", count=1).finish()
    curves = [[json.loads(line) for line in (run / "epochs.jsonl").read_text().splitlines()]
              for run in (one.run, trained.run)]  # fmt: skip

    assert one.result["world_size"] == 1
    losses = [[row["train_loss"] for row in curve] for curve in curves]
    assert losses[0][0] == pytest.approx(losses[1][0], rel=0.001)
    assert losses[0] == pytest.approx(losses[1], rel=0.05)  # Adam makes more of each rounding
    assert curves[0][0]["learning_rate"] == curves[1][0]["learning_rate"]


def test_one_worker_predicts_what_two_did(trained: Workers, predicted: Workers) -> None:
    """predictions.csv has the same bytes for one worker and for two, from the same weights, on any number of cores."""
    assert (predicted.run / "predictions.csv").read_bytes() == (trained.run / "predictions.csv").read_bytes()
    assert "Setting TF_CONFIG" not in predicted.out(0)


def test_a_resumed_training_ends_as_one_that_was_not_stopped(
    tmp_path: Path, mnist_root: Path, trained: Workers
) -> None:
    """What hotrun hands every node in HOTRUN_RESUME_FROM goes on to the same weights, bit for bit."""
    manifest = trained.checkpoints(0)[4 * 215]
    file = trained.place(0) / manifest["file"]
    resumed = start(tmp_path, "--root", str(mnist_root), HOTRUN_RESUME_FROM=str(file)).finish()

    assert resumed.result["resumed_from_step"] == 4 * 215
    assert resumed.result["weights_sha256"] == trained.result["weights_sha256"]
    rows = csv.DictReader((resumed.run / "metrics.csv").read_text().splitlines())
    assert [row["epoch"] for row in rows] == list("12345")
    for index in (0, 1):
        assert "resuming from step 860 (epoch 4), the newest that all 2 workers hold" in resumed.out(index)


def test_the_program_is_seen_as_tensorflows() -> None:
    """hotrun recognises the engine by the program's own text."""
    from cloud.node.recognise import recognise

    folder = PROGRAM.parent

    def read(path: str) -> str | None:
        file = folder / path
        return file.read_text() if file.is_file() else None

    assert recognise(PROGRAM.read_text(), PROGRAM.name, read).engine == "tensorflow"
