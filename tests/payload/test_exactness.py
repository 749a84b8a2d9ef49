"""Lightning or not, one rank or many: the same training, bit for bit where the arithmetic is the same."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.payload.runs import MAIN, PLAIN, Ranks, start

pytestmark = pytest.mark.payload

# 3,000 training images: 12 steps of 256. In fp32 rounding grows with the steps, as Adam divides by small numbers: after
# 430 of them 1 and 2 ranks differ by 2e-3 of the loss; in fp64 still by 1e-15 (measured).
FEW = ["--data.validation", "57000"]
FEW_PLAIN = ["--validation", "57000"]
DROPOUT = "mlp-512-256-128"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, mnist_root: Path) -> dict[str, Ranks]:
    """Runs of one training, 256 images a step; of one with dropout and accumulated batches; and LeNets."""
    path, main, plain = tmp_path_factory.mktemp("runs"), _main(mnist_root), _plain(mnist_root)
    two, two_plain = ["--trainer.max_epochs", "2"], ["--epochs", "2"]
    one, one_plain = ["--trainer.max_epochs", "1"], ["--epochs", "1"]
    net = ["--model.net", DROPOUT, "--trainer.precision", "32-true", "--data.batch_size", "64"]
    net_plain = ["--net", DROPOUT, "--precision", "32-true", "--batch-size", "64"]
    runs = [
        start(path / "main-1", MAIN, *main, *two, "--data.batch_size", "256"),
        start(path / "plain-1", PLAIN, *plain, *two_plain, "--batch-size", "256"),
        start(path / "twice", MAIN, *main, *two, "--trainer.accumulate_grad_batches", "2"),
        start(path / "main-2", MAIN, *main, *two, world=2),
        start(path / "plain-2", PLAIN, *plain, *two_plain, world=2),
        start(path / "drop-main", MAIN, *main, *net, *one, "--trainer.accumulate_grad_batches", "2", world=2),
        start(path / "drop-plain", PLAIN, *plain, *net_plain, *one_plain, "--accumulate", "2", world=2),
        start(path / "lenet-main", MAIN, *main, "--model.net", "lenet", *one, world=3),
    ]  # fmt: skip
    return {run.directory.name: run.finish() for run in runs}


def _main(root: Path) -> list[str]:
    return ["--data.root", str(root), *FEW]


def _plain(root: Path) -> list[str]:
    return ["--root", str(root), *FEW_PLAIN]


@pytest.mark.parametrize(
    ("main", "plain"), [("main-1", "plain-1"), ("main-2", "plain-2"), ("drop-main", "drop-plain")]
)
def test_both_programs_train_the_same(trained: dict[str, Ranks], main: str, plain: str) -> None:
    """Weights, predictions and curves are equal with one rank, with two, and with dropout and accumulated batches."""
    ours, theirs = trained[main].result, trained[plain].result

    same = [
        "weights_sha256",
        "steps",
        "epochs",
        "global_batch_size",
        "world_size",
        "test_accuracy",
        "train_loss",
    ]
    assert {key: ours[key] for key in same} == {key: theirs[key] for key in same}
    assert list(ours) == list(theirs)
    assert _predictions(trained[main]) == _predictions(trained[plain])
    for name in ("train_loss", "val_loss", "val_accuracy"):
        assert _column(trained[main], name) == pytest.approx(_column(trained[plain], name), rel=1e-5)


@pytest.mark.parametrize("other", ["main-2", "plain-2", "twice"])
def test_the_curve_does_not_depend_on_the_ranks(trained: dict[str, Ranks], other: str) -> None:
    """256 images a step from one rank, from two, or in two backward passes: the same losses but for rounding."""
    assert trained[other].result["global_batch_size"] == 256
    assert _column(trained[other], "train_loss") == pytest.approx(
        _column(trained["main-1"], "train_loss"), rel=1e-5
    )
    assert trained[other].result["steps"] == trained["main-1"].result["steps"] == 2 * 12


@pytest.mark.parametrize("model", ["main-2", "lenet-main"])
def test_predictions_are_the_same_bytes_everywhere(
    trained: dict[str, Ranks], mnist_root: Path, tmp_path: Path, model: str
) -> None:
    """1, 2 or 3 ranks, by either program or at the end of the training: one model, one predictions.csv."""
    weights, expected = str(trained[model].run / "model.ckpt"), _predictions(trained[model])
    net = trained[model].result["net"]
    main = [*_main(mnist_root), "--model.net", net, "--ckpt_path", weights]
    plain = [*_plain(mnist_root), "--net", net, "--predict", weights]

    runs = [
        start(tmp_path / "1", PLAIN, *plain),
        start(tmp_path / "2", MAIN, *main, command="predict", world=2 if model == "lenet-main" else 1),
        start(tmp_path / "3", PLAIN, *plain, world=3 if model == "main-2" else 2),
    ]

    for run in runs:
        assert _predictions(run.finish()) == expected
        assert (
            f"test accuracy {100 * trained[model].result['test_accuracy']:.2f} % of 10,000 images"
            in run.out()
        )


@pytest.mark.parametrize(
    ("program", "odd", "what"),
    [(MAIN, ["--model.lr", "0.1"], "settings"), (MAIN, ["--seed_everything", "7"], "initial weights"),
     (PLAIN, ["--lr", "0.1"], "settings")],
)  # fmt: skip
def test_ranks_that_begin_apart_end(
    mnist_root: Path, tmp_path: Path, program: str, odd: list[str], what: str
) -> None:
    """Another learning rate or other weights on one rank: all ranks end at once, and name it."""
    words = _main(mnist_root) if program == MAIN else _plain(mnist_root)

    run = start(tmp_path, program, *words, world=2, words_of={1: odd})

    assert run.wait() == [1, 1]
    for rank in (0, 1):
        assert run.err(rank).startswith(f"rank 1 of 2 has not rank 0's {what}")
        assert len(run.err(rank).splitlines()) == 1
    assert not (run.run / "result.json").exists()


def test_shares_follow_the_measured_speed(mnist_root: Path, tmp_path: Path) -> None:
    """With --data.balance measured every image still comes once an epoch, and the shares are told."""
    words = [*_main(mnist_root), "--trainer.max_epochs", "3", "--data.balance", "measured"]

    run = start(tmp_path, MAIN, *words, world=2).finish()

    images = [float(row["images_per_second"]) * float(row["seconds"]) for row in run.rows]
    assert images == pytest.approx([3000] * 3, rel=1e-3)
    shares = [tuple(map(int, pair)) for pair in re.findall(r"next epoch: (\d+) %, (\d+) %", run.out())]
    assert len(shares) >= 2
    assert all(abs(sum(pair) - 100) <= 1 for pair in shares)
    assert "shares" not in run.out(1)
    assert run.result["steps"] == 3 * 12


@pytest.mark.parametrize("program", [MAIN, PLAIN])
def test_local_sgd_ends_with_one_net(mnist_root: Path, tmp_path: Path, program: str) -> None:
    """Ranks that meet every 8 steps learn, and go on from one another's checkpoint: so they hold the same."""
    common = ["--local-sgd", "8", "--checkpoint-every", "epoch"]
    words = (
        [*_main(mnist_root), "--trainer.max_epochs", "3", "--data.batch_size", "32", *common]
        if program == MAIN
        else [*_plain(mnist_root), "--epochs", "3", "--batch-size", "32", *common]
    )

    run = start(tmp_path, program, *words, world=2).finish()

    losses = _column(run, "train_loss")
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < losses[0] / 2
    assert run.result["test_accuracy"] > 0.85
    assert run.result["steps"] == 3 * 47
    assert "local SGD every 8 steps" in run.out()


def _predictions(run: Ranks) -> bytes:
    return (run.run / "predictions.csv").read_bytes()


def _column(run: Ranks, name: str) -> list[float]:
    return [float(row[name]) for row in run.rows]
