"""A training that was killed goes on to the very weights of one that was not, whoever was killed and when."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.payload.runs import MAIN, PLAIN, Ranks, start

pytestmark = pytest.mark.payload

DROPOUT = ["--model.net", "mlp-512-256-128", "--trainer.precision", "32-true", "--data.batch_size", "128"]
DEADLINE_S = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A training of some seconds."""

    program: str
    world: int
    every: str
    words: list[str]
    epochs: int

    def command(self, root: Path) -> list[str]:
        """The words of its command line."""
        flag = "--data.root" if self.program == MAIN else "--root"
        return [flag, str(root), "--checkpoint-every", self.every, *self.words]


CASES = {
    "one rank, dropout, any step": Case(
        program=MAIN, world=1, every="0.4s", epochs=6,
        words=[*DROPOUT, "--trainer.max_epochs", "6", "--trainer.limit_train_batches", "100"]),
    "two ranks, accumulated batches, any step": Case(
        program=MAIN, world=2, every="0.4s", epochs=4,
        words=["--data.batch_size", "32", "--trainer.max_epochs", "4", "--trainer.limit_train_batches", "600",
               "--trainer.accumulate_grad_batches", "10"]),
    "two ranks without Lightning, epochs": Case(
        program=PLAIN, world=2, every="epoch", epochs=4, words=["--batch-size", "64", "--epochs", "4"]),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_killed_twice_it_ends_with_the_same_weights(tmp_path: Path, mnist_root: Path, name: str) -> None:
    """SIGKILL for all ranks at two random moments: same weights, each epoch once, and no rank shares a directory."""
    case, moments = CASES[name], [random.uniform(0, 0.25) for _ in range(2)]
    print("killed so many seconds after a checkpoint:", moments)  # a failure shows it
    words = case.command(mnist_root)
    whole = start(tmp_path / "whole", case.program, *words, world=case.world)

    for moment in moments:
        run = start(tmp_path / "cut", case.program, *words, "--resume", "auto", world=case.world)
        _kill(run, run.run / "checkpoints", moment)
    run = start(tmp_path / "cut", case.program, *words, "--resume", "auto", world=case.world).finish()

    expected = whole.finish().result
    same = ["weights_sha256", "steps", "epochs", "test_accuracy"]
    assert {key: run.result[key] for key in same} == {key: expected[key] for key in same}
    assert run.result["resumed_from_step"] > 0
    assert [row["epoch"] for row in run.rows] == [str(number + 1) for number in range(case.epochs)]
    assert _predictions(run.run) == _predictions(whole.run)
    assert run.out().count("nothing to resume from") == 1
    assert run.out().count("resuming from step") == 2
    if case.world > 1:
        assert "held by rank 0, sent to 1 rank" in run.out()
        assert not (tmp_path / "cut" / "1" / "metrics.csv").exists()


@pytest.mark.parametrize("program", [MAIN, PLAIN])
def test_a_truncated_checkpoint_is_passed_over(tmp_path: Path, mnist_root: Path, program: str) -> None:
    """Alone, without HOTRUN_RUN_DIR: the killed run's directory is found, the one before the newest is taken."""
    words = ["--data.root", str(mnist_root), "--trainer.max_epochs", "5"]
    if program == PLAIN:
        words = ["--root", str(mnist_root), "--epochs", "5"]
    whole = start(tmp_path / "whole", program, *words)
    place = tmp_path / "alone" / "runs" / "mnist-mlp-100-1"

    killed = start(tmp_path / "alone", program, *words, HOTRUN_RUN_DIR="")
    _kill(killed, place / "checkpoints", 0.0, manifests=2)
    newest = max((place / "checkpoints").glob("*.json")).with_suffix(".ckpt")
    newest.write_bytes(newest.read_bytes()[:1000])
    run = start(tmp_path / "alone", program, *words, "--resume", "auto", HOTRUN_RUN_DIR="").finish()

    assert [path.name for path in place.parent.iterdir()] == [place.name]
    assert f"{newest} is truncated: 1,000 of " in run.out()
    step = int(newest.stem.removeprefix("step-")) - 430
    assert f"resuming from step {step:,} (epoch {step // 430})" in run.out()
    whole.finish()
    assert (place / "result.json").exists()
    assert _predictions(place) == _predictions(whole.run)
    assert (place / "epochs.jsonl").read_text().count(whole.result["weights_sha256"]) == 1


def test_killed_after_the_last_checkpoint(tmp_path: Path, mnist_root: Path) -> None:
    """All epochs are done and the files are not: resuming trains nothing and writes them."""
    words = ["--data.root", str(mnist_root), "--trainer.max_epochs", "1"]
    run = start(tmp_path, MAIN, *words).finish()
    expected = run.result
    for name in ("result.json", "model.ckpt", "predictions.csv"):
        (run.run / name).unlink()

    again = start(tmp_path, MAIN, *words, "--resume", "auto").finish()

    same = ["weights_sha256", "steps", "epochs", "test_accuracy", "train_loss"]
    assert {key: again.result[key] for key in same} == {key: expected[key] for key in same}
    assert again.result["resumed_from_step"] == expected["steps"]
    assert (again.run / "model.ckpt").exists()
    assert (again.run / "predictions.csv").exists()


def test_resumed_in_another_number_of_parts(tmp_path: Path, mnist_root: Path) -> None:
    """Two batches of 64 per step, killed in an epoch; then one of 128: the rest of the images, the same curve."""
    words = ["--data.root", str(mnist_root), "--trainer.max_epochs", "2", "--checkpoint-every", "0.3s"]
    halves = [*words, "--data.batch_size", "64", "--trainer.accumulate_grad_batches", "2"]
    whole = start(tmp_path / "whole", MAIN, *words, "--data.batch_size", "128")

    cut = start(tmp_path / "cut", MAIN, *halves)
    _kill(cut, cut.run / "checkpoints", 0.0)
    run = start(tmp_path / "cut", MAIN, *words, "--data.batch_size", "128", "--resume", "auto").finish()

    expected = whole.finish().result
    assert run.result["resumed_from_step"] > 0
    assert run.result["steps"] == expected["steps"]
    assert run.result["train_loss"] == pytest.approx(expected["train_loss"], rel=0.05)


def test_killed_five_times_at_any_moment(tmp_path: Path, mnist_root: Path) -> None:
    """Also before the first checkpoint, and between two: the same weights in the end."""
    words = ["--data.root", str(mnist_root), "--trainer.max_epochs", "4", "--checkpoint-every", "0.5s"]
    began = time.monotonic()
    whole = start(tmp_path / "whole", MAIN, *words).finish()
    lasted_s = time.monotonic() - began
    moments = [random.uniform(0, 0.6 * lasted_s) for _ in range(5)]
    print("killed after so many seconds:", moments)
    for moment in moments:
        run = start(tmp_path / "cut", MAIN, *words, "--resume", "auto")
        deadline = time.monotonic() + moment
        while run.is_running() and time.monotonic() < deadline:
            time.sleep(0.01)
        run.kill()
    run = start(tmp_path / "cut", MAIN, *words, "--resume", "auto").finish()

    assert run.result["weights_sha256"] == whole.result["weights_sha256"]
    assert _predictions(run.run) == _predictions(whole.run)


def test_three_ranks_resume_within_rounding(tmp_path: Path, mnist_root: Path) -> None:
    """Sums of three may be added up in another order after a restart: 1e-6 of the loss, not more."""
    words = ["--root", str(mnist_root), "--epochs", "2", "--batch-size", "64", "--net", "dense-128"]
    whole = start(tmp_path / "whole", PLAIN, *words, world=3)
    cut = start(tmp_path / "cut", PLAIN, *words, world=3)
    _kill(cut, cut.run / "checkpoints", 0.0)
    run = start(tmp_path / "cut", PLAIN, *words, "--resume", "auto", world=3).finish()

    assert run.result["train_loss"] == pytest.approx(whole.finish().result["train_loss"], rel=1e-6)


def _kill(run: Ranks, checkpoints: Path, moment_s: float, manifests: int = 1) -> None:
    """SIGKILL all ranks, `moment_s` seconds after they have completed so many more checkpoints."""
    known = set(checkpoints.glob("*.json"))
    deadline = time.monotonic() + DEADLINE_S
    try:
        while len(set(checkpoints.glob("*.json")) - known) < manifests:
            assert run.is_running(), run.out() + run.err()
            assert time.monotonic() < deadline, run.out() + run.err()
            time.sleep(0.01)
        time.sleep(moment_s)
    finally:
        codes = run.kill()
    assert codes == [-9] * len(codes), f"ended before it was killed: {run.out()}{run.err()}"


def _predictions(place: Path) -> bytes:
    return (place / "predictions.csv").read_bytes()
