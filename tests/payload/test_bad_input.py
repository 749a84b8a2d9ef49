"""What can't be done is one sentence and exit code 1 or 2, never a traceback, and said before the training."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.payload.runs import MAIN, PLAIN, Ranks, fresh, start

pytestmark = pytest.mark.payload

UNREADABLE, UNFIT = (
    2,
    1,
)  # exit codes: the request can't be understood; what it names is not there or does not do

# name: (words of main.py, words of torch_ddp.py, exit code, pattern in the sentence)
CASES: dict[str, tuple[list[str], list[str], int, str]] = {
    "net": (["--model.net", "mlp100"], ["--net", "mlp100"], UNREADABLE,
            r"no net is called mlp100; did you mean mlp-100\? There are mlp-100, dense-128"),
    "data": (["--data.name", "minst"], ["--data", "minst"], UNREADABLE, "minst.*fashion-mnist"),
    "epochs": (["--trainer.max_epochs", "0"], ["--epochs", "0"], UNREADABLE, "at least 1 is needed to train"),
    "batch": (["--data.batch_size", "60000"], ["--batch-size", "60000"], UNREADABLE,
              "a batch of 60,000 images is more than the 55,000 training images; at most 55,000"),
    "no batch": (["--data.batch_size", "-1"], ["--batch-size", "-1"], UNREADABLE, "a batch of -1 images"),
    "validation": (["--data.validation", "60000"], ["--validation", "60000"], UNFIT,
                   r"60,000 images held out of 60,000 \(--data.validation\): 0 to 59,999 are possible"),
    "every": (["--checkpoint-every", "2epoch5"], ["--checkpoint-every", "2epoch5"], UNREADABLE, "2epoch5"),
    "unit": (["--checkpoint-every", "10minuts"], ["--checkpoint-every", "10minuts"], UNREADABLE, "did you mean 10min"),
    "resume": (["--resume", "nowhere.ckpt"], ["--resume", "nowhere.ckpt"], UNFIT,
               "--resume nowhere.ckpt: there is no such file"),
    "number": (["--model.lr", "much"], ["--lr", "much"], UNREADABLE, "much"),
    "rate": (["--model.lr", "-1"], ["--lr", "-1"], UNREADABLE, "-1"),
    "local": (["--local-sgd", "-1"], ["--local-sgd", "-1"], UNREADABLE, "-1"),
    "kept": (["--keep-checkpoints", "0"], ["--keep-checkpoints", "0"], UNREADABLE, "0"),
    "steps": (["--trainer.max_steps", "10"], ["--max-steps", "10"], UNREADABLE, "max.steps"),
    "flag": (["--model.nett", "lenet"], ["--nett", "lenet"], UNREADABLE, "nett"),
}  # fmt: skip


@pytest.fixture(scope="module")
def refused(tmp_path_factory: pytest.TempPathFactory, mnist_root: Path) -> dict[tuple[str, str], Ranks]:
    """(program, case) -> the run, ended."""
    path, runs = tmp_path_factory.mktemp("refused"), {}
    short = {MAIN: ["--trainer.max_epochs", "1"], PLAIN: ["--epochs", "1"]}  # what is not refused ends soon
    for number, (name, (main, plain, _, _)) in enumerate(CASES.items()):
        runs[MAIN, name] = start(
            path / f"m{number}", MAIN, "--data.root", str(mnist_root), *short[MAIN], *main
        )
        runs[PLAIN, name] = start(
            path / f"p{number}", PLAIN, "--root", str(mnist_root), *short[PLAIN], *plain
        )
        for program in (MAIN, PLAIN):
            runs[program, name].wait()
    return runs


@pytest.mark.parametrize("program", [MAIN, PLAIN])
@pytest.mark.parametrize("name", CASES)
def test_it_is_said_in_a_sentence(refused: dict[tuple[str, str], Ranks], program: str, name: str) -> None:
    """The last line of stderr has what was given and what would do; nothing was trained."""
    run, (_, _, code, text) = refused[program, name], CASES[name]

    assert run.processes[0].exitcode == code, run.out() + run.err()
    assert re.search(text, run.err().splitlines()[-1])
    assert "Traceback" not in run.err()
    assert "epoch 1" not in run.out()


@pytest.mark.parametrize("program", [MAIN, PLAIN])
def test_a_file_in_the_place_of_the_run(tmp_path: Path, mnist_root: Path, program: str) -> None:
    """HOTRUN_RUN_DIR that can't be a directory is named, before the training."""
    (tmp_path / "file").write_text("")
    words = ["--data.root" if program == MAIN else "--root", str(mnist_root)]

    run = start(tmp_path, program, *words, HOTRUN_RUN_DIR=str(tmp_path / "file"))

    assert run.wait() == [UNFIT]
    assert run.err().startswith(f"{tmp_path / 'file'}: ")
    assert "HOTRUN_RUN_DIR names another place" in run.err()
    assert len(run.err().splitlines()) == 1
    assert "epoch 1" not in run.out()


@pytest.mark.parametrize("program", [MAIN, PLAIN])
def test_what_is_no_model_is_refused(tmp_path: Path, mnist_root: Path, program: str) -> None:
    """`predict` with a file that is no model, or not there, is a sentence."""
    (tmp_path / "text").write_text("hello")
    words = ["--data.root" if program == MAIN else "--root", str(mnist_root)]
    words += ["--ckpt_path" if program == MAIN else "--predict"]

    runs = [start(tmp_path / f"of-{name}", program, *words, str(tmp_path / name), command="predict")
            for name in ("text", "none")]  # fmt: skip

    for run in runs:
        assert run.wait() == [UNFIT]
        assert "Traceback" not in run.err()
        assert str(tmp_path / run.directory.name.removeprefix("of-")) in run.err().splitlines()[-1]


def test_ranks_are_refused_together(tmp_path: Path, mnist_root: Path) -> None:
    """Rank 0's place can't be written, two ranks ask for more than there is: both end, nobody waits for the other."""
    (tmp_path / "0").write_text("")
    words = ["--data.root", str(mnist_root)]

    place = start(tmp_path, MAIN, *words, world=2)
    batch = start(tmp_path / "batch", PLAIN, "--root", str(mnist_root), "--batch-size", "30000", world=2)

    assert place.wait() == [UNFIT, UNFIT]
    assert batch.wait() == [UNREADABLE, UNREADABLE]
    assert "at most 27,500 per rank are possible" in batch.err(1)


def test_from_a_shell_it_is_the_same(tmp_path: Path, mnist_root: Path) -> None:
    """A fresh Python, and ranks that torch_ddp.py starts by itself: the sentence once, the exit code."""
    alone = fresh(tmp_path, MAIN, "--model.net", "mlp100", "--data.root", str(mnist_root))
    ranks = fresh(tmp_path, PLAIN, "--world-size", "2", "--epochs", "0", "--root", str(mnist_root))

    assert (alone.returncode, alone.stdout) == (UNREADABLE, "")
    assert alone.stderr.splitlines() == [
        "no net is called mlp100; did you mean mlp-100? There are mlp-100, dense-128, mlp-512, mlp-512-256-128, lenet, resnet"
    ]
    assert ranks.returncode == UNREADABLE
    assert "Traceback" not in ranks.stderr
    assert "--epochs 0: at least 1 is needed to train" in ranks.stderr
