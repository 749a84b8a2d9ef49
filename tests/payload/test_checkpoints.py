"""Checkpoints under what happens to them: flipped bits, cut files, other runs in the directory."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from keep import checkpoints
from keep.checkpoints import Checkpoint, CheckpointError

from tests.payload.small import listing

RUN = {"net": "mlp-512", "seed": 1, "sizes": (784, 512)}


def _state(step: int, numbers: int = 1000) -> dict[str, Any]:
    return {"global_step": step, "weights": torch.full((numbers,), float(step))}


def _save(
    directory: Path, step: int, run: checkpoints.Run = RUN, keep: int = 3, numbers: int = 1000
) -> Checkpoint:
    return checkpoints.save(directory, _state(step, numbers), step=step, epoch=step // 10, run=run, keep=keep)


def _steps(directory: Path, run: checkpoints.Run = RUN) -> list[int]:
    return [found.step for found in checkpoints.complete(directory, run, lambda _: None)]


def test_what_is_saved_is_read(tmp_path: Path) -> None:
    """A checkpoint comes back as it was, with step, epoch and run in a manifest; nothing else is left."""
    saved = _save(tmp_path / "new", 430)

    found = checkpoints.newest(tmp_path / "new", RUN, pytest.fail)

    assert found is not None
    assert (found.path, found.step, found.epoch, found.sha256) == (saved.path, 430, 43, saved.sha256)
    state = checkpoints.read(found.path)
    assert state["global_step"] == 430
    assert torch.equal(state["weights"], _state(430)["weights"])
    assert listing(tmp_path / "new") == ["step-000000430.ckpt", "step-000000430.json"]
    manifest = json.loads((tmp_path / "new" / "step-000000430.json").read_text())
    assert list(manifest) == ["schema", "file", "bytes", "sha256", "step", "epoch", "run"]
    assert manifest["bytes"] == saved.path.stat().st_size


def test_the_newest_are_kept(tmp_path: Path) -> None:
    """`keep` of them; later ones, other files and other runs' are left alone."""
    (tmp_path / "epoch=1-step=5.ckpt").write_bytes(b"Lightning's")
    (tmp_path / "notes.json").write_text("{}")
    for step in (1, 500):
        _save(tmp_path, step)
    _save(tmp_path, 2, {**RUN, "net": "lenet"})
    for step in (10, 20, 30, 40):
        _save(tmp_path, step, keep=2)

    assert _steps(tmp_path) == [500, 40, 30]
    assert _steps(tmp_path, {**RUN, "net": "lenet"}) == [2]
    assert {"epoch=1-step=5.ckpt", "notes.json"} <= set(listing(tmp_path))
    assert len(listing(tmp_path)) == 2 + 2 * 4


def test_a_step_is_saved_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a step is saved once more the former stays complete; afterwards the new one alone is there."""
    _save(tmp_path, 10)
    during: list[list[int]] = []
    replace = Path.replace

    def watched(self: Path, target: Path) -> Path:
        during.append(_steps(tmp_path))
        moved = replace(self, target)
        during.append(_steps(tmp_path))
        return moved

    monkeypatch.setattr(Path, "replace", watched)
    state = {**_state(10), "again": True}
    checkpoints.save(tmp_path, state, step=10, epoch=1, run=RUN, keep=3)

    assert during == [[10], [10], [10], [10, 10]]
    assert [
        checkpoints.read(found.path)["again"] for found in checkpoints.complete(tmp_path, RUN, print)
    ] == [True]
    assert len(listing(tmp_path)) == 2


@pytest.mark.parametrize("kept", [0, 1, 100, -1])
def test_a_truncated_one_is_passed_over(tmp_path: Path, kept: int) -> None:
    """Whatever was cut off, the one before is taken, and one line says why."""
    _save(tmp_path, 10)
    path = _save(tmp_path, 20).path
    content = path.read_bytes()
    path.write_bytes(content[:kept])
    said: list[str] = []

    found = checkpoints.newest(tmp_path, RUN, said.append)

    assert found is not None
    assert found.step == 10
    assert said == [
        f"{path} is truncated: {len(content[:kept]):,} of {len(content):,} bytes are there; passed over"
    ]


def test_a_damaged_one_is_passed_over(tmp_path: Path) -> None:
    """A flipped bit, a manifest that is gone, cut off, or for another file: each is passed over and said."""
    _save(tmp_path, 10)
    flipped, alone, cut, other = (_save(tmp_path, step, keep=9).path for step in (20, 30, 40, 50))
    content = bytearray(flipped.read_bytes())
    content[len(content) // 2] ^= 1
    flipped.write_bytes(content)
    alone.with_suffix(".json").unlink()
    cut.with_suffix(".json").write_text('{"schema": 1')
    shutil.copy(flipped.with_suffix(".json"), other.with_suffix(".json"))
    said: list[str] = []

    found = checkpoints.newest(tmp_path, RUN, said.append)

    assert found is not None
    assert found.step == 10
    words = ["is not the manifest of", "can't be read", "has no manifest", "is damaged: its SHA-256"]
    assert [word in line for word, line in zip(words, said, strict=True)] == [True] * 4


def test_another_runs_one_is_passed_over(tmp_path: Path) -> None:
    """One of another run is named with what differs; tuples and lists are one."""
    path = _save(tmp_path, 10, {"net": "lenet", "seed": 1, "sizes": [784, 512], "wd": 0.1}).path
    said: list[str] = []

    assert checkpoints.newest(tmp_path, RUN, said.append) is None

    assert said == [
        f"{path} was made with net lenet, this run has mlp-512; wd 0.1, this run has none; passed over"
    ]


def test_leftovers_go(tmp_path: Path) -> None:
    """What killed writers left goes at the next save: this machine's at once, others' after an hour."""
    os.utime(_orphan(tmp_path, "step-000000005.ckpt"), (0, 0))
    here = f"{os.uname().nodename}"
    gone = [
        "step-000000006.ckpt.by-%s.999999999.partial" % here,
        "step-000000007.json.by-elsewhere.1.partial",
    ]
    _orphan(tmp_path, gone[0])
    os.utime(_orphan(tmp_path, gone[1]), (0, 0))
    stays = ["step-000000008.ckpt", "step-000000900.ckpt", "step-000000009.ckpt.by-elsewhere.1.partial",
             f"step-000000003.ckpt.by-{here}.{os.getpid()}.partial", "other.by-x.1.partial", "x.partial"]  # fmt: skip
    for name in stays:
        _orphan(tmp_path, name)
    os.utime(tmp_path / "step-000000900.ckpt", (0, 0))

    saved = _save(tmp_path, 10)

    assert listing(tmp_path) == sorted([*stays, saved.path.name, "step-000000010.json"])


def _orphan(directory: Path, name: str) -> Path:
    (directory / name).write_bytes(b"part")
    return directory / name


def test_a_directory_that_is_a_file_is_said(tmp_path: Path) -> None:
    """A place where no directory can be is one sentence, in saving and in looking."""
    (tmp_path / "file").write_text("")

    with pytest.raises(
        CheckpointError, match=r"file: the checkpoint of step 1 can't be written: File exists; no other"
    ):
        _save(tmp_path / "file", 1)
    with pytest.raises(CheckpointError, match=r"file can't be read: Not a directory"):
        _steps(tmp_path / "file")
    assert _steps(tmp_path / "nowhere") == []


class _Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return eval, ("__import__('os').environ.update(EVIL='1')",)


def test_reading_executes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file with anything but tensors and containers is refused, as are no checkpoint and no file."""
    monkeypatch.delenv("EVIL", raising=False)
    torch.save({"x": _Evil()}, tmp_path / "evil")
    torch.save([1], tmp_path / "list")
    (tmp_path / "text").write_text("hello")
    (tmp_path / "empty").write_text("")

    for name in ("evil", "list", "text", "empty", "none"):
        with pytest.raises(
            CheckpointError, match=rf"{name} (can't be loaded|is no checkpoint: it holds a list)"
        ):
            checkpoints.read(tmp_path / name)
    assert "EVIL" not in os.environ


@pytest.mark.payload
@pytest.mark.filterwarnings("ignore")
def test_lightnings_state_is_read(tmp_path: Path) -> None:
    """All that Lightning puts into a checkpoint, with schedule, callback and hyperparameters, comes back."""
    from pytorch_lightning import Callback, LightningModule, Trainer

    class Remembers(Callback):  # type: ignore[misc]
        def state_dict(self) -> dict[str, Any]:
            return {"rows": [{"epoch": 1, "loss": 0.5, "none": None}], "shape": (1, 2)}

    class Net(LightningModule):  # type: ignore[misc]
        def __init__(self, net: str = "mlp-100", lr: float = 0.1) -> None:
            super().__init__()
            self.save_hyperparameters()
            self.layer = torch.nn.Linear(4, 2)

        def training_step(self, batch: Any, batch_idx: int) -> Any:
            return self.layer(batch).sum()

        def configure_optimizers(self) -> Any:
            optimizer = torch.optim.AdamW(self.parameters(), fused=True)
            schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 / (step + 1))
            return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    trainer = Trainer(max_epochs=1, accelerator="cpu", logger=False, enable_checkpointing=False,
                      enable_progress_bar=False, enable_model_summary=False, callbacks=[Remembers()])  # fmt: skip
    trainer.fit(Net(), torch.utils.data.DataLoader(torch.zeros(6, 4), batch_size=2))
    state = trainer._checkpoint_connector.dump_checkpoint(weights_only=False)
    saved = checkpoints.save(tmp_path, state, step=3, epoch=1, run=RUN, keep=1)

    back = checkpoints.read(saved.path)

    assert list(back) == list(state)
    assert str(back) == str(state)
    assert {"state_dict", "optimizer_states", "lr_schedulers", "loops", "callbacks"} <= set(back)
