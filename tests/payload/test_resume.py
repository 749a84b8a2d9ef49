"""Which checkpoint a rank chooses, and what a run that was cut off is."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from keep import checkpoints, resume
from keep.checkpoints import Checkpoint, CheckpointError
from show.place import unfinished

RUN = {"net": "mlp-100"}


@pytest.fixture(autouse=True)
def _nothing_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOTRUN_RESUME_FROM", raising=False)


def _save(directory: Path, step: int, run: checkpoints.Run = RUN) -> Checkpoint:
    return checkpoints.save(directory, {"global_step": step}, step=step, epoch=step // 10, run=run, keep=9)


def _choose(words: str, directory: Path) -> tuple[int | None, list[str]]:
    said: list[str] = []
    found = resume.choose(words, directory, RUN, said.append)
    return (found.step if found else None), said


@pytest.mark.parametrize("words", ["", "never"])
def test_by_default_nothing_is_resumed(tmp_path: Path, words: str) -> None:
    """Without being asked a training starts anew, whatever is there, and says nothing."""
    _save(tmp_path, 10)

    assert _choose(words, tmp_path) == (None, [])


def test_auto_takes_the_newest(tmp_path: Path) -> None:
    """The newest complete one of this run."""
    assert _choose("auto", tmp_path / "none") == (None, [])
    for step in (10, 20):
        _save(tmp_path, step)
    _save(tmp_path, 30, {"net": "lenet"})

    step, said = _choose("auto", tmp_path)

    assert step == 20
    assert len(said) == 1
    assert "was made with net lenet, this run has mlp-100" in said[0]


def test_auto_takes_what_the_launcher_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """HOTRUN_RESUME_FROM, unless this run went on from it since; a missing one matters only without another."""
    given, own = _save(tmp_path / "given", 50).path, tmp_path / "own"
    monkeypatch.setenv("HOTRUN_RESUME_FROM", str(given))
    _save(own, 20)
    assert _choose("auto", own) == (50, [])
    _save(own, 60)
    assert _choose("auto", own) == (60, [])

    monkeypatch.setenv("HOTRUN_RESUME_FROM", str(tmp_path / "gone"))
    assert _choose("auto", own) == (60, [f"HOTRUN_RESUME_FROM {tmp_path / 'gone'}: there is no such file"])
    with pytest.raises(resume.MissingError, match=r"HOTRUN_RESUME_FROM .*gone: there is no such file"):
        _choose("auto", tmp_path / "empty")


def test_a_named_one_is_taken_or_refused(tmp_path: Path) -> None:
    """A file or the newest of a directory; a damaged or foreign file is an error, not passed over."""
    own, other = tmp_path / "own", tmp_path / "other"
    own.mkdir()
    first, second = _save(other, 10).path, _save(other, 20).path
    assert _choose(str(first), own) == (10, [])
    assert _choose(str(other), own) == (20, [])

    second.write_bytes(second.read_bytes()[:100])
    with pytest.raises(CheckpointError, match=r"^--resume: .*step-000000020.ckpt is truncated: 100 of"):
        _choose(str(second), own)
    with pytest.raises(
        CheckpointError, match=r"step-000000030.ckpt was made with net lenet, this run has mlp-100"
    ):
        _choose(str(_save(other, 30, {"net": "lenet"}).path), own)
    with pytest.raises(
        resume.MissingError, match=r"--resume .*own: no complete checkpoint of this run is there"
    ):
        _choose(str(own), own)
    with pytest.raises(resume.MissingError, match=r"--resume .*none\.ckpt: there is no such file"):
        _choose(str(own / "none.ckpt"), own)


def test_one_without_a_manifest_is_taken_by_name(tmp_path: Path) -> None:
    """A file that Lightning wrote by itself is loaded once to see that it is one, and said."""
    path = tmp_path / "epoch=1-step=7.ckpt"
    torch.save({"global_step": 7, "epoch": 1, "state_dict": {}}, path)

    assert _choose(str(path), tmp_path) == (
        7, [f"{path} has no manifest beside it: it loads, and is taken for what it says, step 7"]
    )  # fmt: skip

    torch.save({"weights": torch.zeros(3)}, path)
    with pytest.raises(
        CheckpointError, match="is no checkpoint of a training: it has no global_step and epoch"
    ):
        _choose(str(path), tmp_path)
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(CheckpointError, match=r"--resume: .*step=7.ckpt can't be loaded"):
        _choose(str(path), tmp_path)


def test_alone_there_is_nothing_to_agree_on(tmp_path: Path) -> None:
    """Without a process group a rank goes on from its own choice, or starts anew and says so."""
    said: list[str] = []
    assert resume.start("auto", tmp_path / "new", RUN, said.append) is None
    assert said == [f"nothing to resume from in {tmp_path / 'new'}: the training starts anew"]
    said.clear()
    mine = _save(tmp_path, 1430)

    assert resume.agree(mine, tmp_path, said.append) == mine.path
    assert said == ["resuming from step 1,430 (epoch 143)"]
    assert resume.start("auto", tmp_path, RUN, said.append) == mine.path
    assert resume.start("never", tmp_path / "new", RUN, pytest.fail) is None
    assert not (tmp_path / "new").exists()
    with pytest.raises(CheckpointError, match=r"^--resume .*none: there is no such file$"):
        resume.start(str(tmp_path / "none"), tmp_path, RUN, said.append)


def test_unfinished_runs(tmp_path: Path) -> None:
    """The highest number with a complete checkpoint and without a result; other names don't count."""
    for number, name in enumerate(
        ["mnist-2", "mnist-10", "mnist-11", "mnist-12", "mnist-mlp-99", "mnist-13"]
    ):
        _save(tmp_path / name / "checkpoints", 10 + number, {"net": "lenet"} if name == "mnist-10" else RUN)
    (tmp_path / "mnist-11" / "result.json").write_text("{}")
    (tmp_path / "mnist-12" / "checkpoints" / "step-000000013.ckpt").write_bytes(b"PK")
    (tmp_path / "mnist-13" / "checkpoints" / "step-000000015.json").unlink()
    (tmp_path / "mnist-14").mkdir()
    (tmp_path / "mnist-15").write_text("")

    assert unfinished(tmp_path, "mnist") == tmp_path / "mnist-10"
    assert unfinished(tmp_path, "mnist", RUN) == tmp_path / "mnist-2"
    assert unfinished(tmp_path, "cifar") is None
    assert unfinished(tmp_path / "nowhere", "mnist") is None
