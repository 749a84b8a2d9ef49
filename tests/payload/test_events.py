from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest
from show import events
from show.events import Events
from show.report import Epoch, Journal

if TYPE_CHECKING:
    from pathlib import Path


def _epoch(number: int, loss: float) -> Epoch:
    return Epoch(epoch=number, train_loss=loss, val_loss=None, val_accuracy=None, seconds=1.0,
                 images_per_second=1000.0)  # fmt: skip


def _read(directory: Path) -> Any:
    pytest.importorskip("tensorboard", reason="needs tensorboard of payload/requirements.txt")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(directory))
    found.Reload()
    return found


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_tensorboard_reads_numbers_and_texts(tmp_path: Path) -> None:
    """Scalars have the epoch as step and no value that is not known; texts are Markdown."""
    journal = Journal(tmp_path, 2)
    journal.text("configuration", "**mlp-100** on mnist")
    journal.add(_epoch(1, 0.5))
    journal.add(_epoch(2, 0.25))
    journal.text("result", "| a | b |")
    journal.close()

    found = _read(tmp_path / "tensorboard")
    assert [(event.step, event.value) for event in found.Scalars("loss/train")] == [(1, 0.5), (2, 0.25)]
    assert "loss/held_out" not in found.Tags()["scalars"]
    tags = {tag.removesuffix("/text_summary") for tag in found.Tags()["tensors"]}
    assert tags == {"configuration", "result"}
    text = found.Tensors("configuration/text_summary")[0].tensor_proto.string_val[0]
    assert text == b"**mlp-100** on mnist"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_tensorboard_has_every_epoch_of_a_resumed_run_once(tmp_path: Path) -> None:
    """Events of the killed run are superseded, its restored epochs written again."""
    killed = Journal(tmp_path, 3)
    for number, loss in ((1, 0.5), (2, 7.0)):
        killed.add(_epoch(number, loss))
    killed.close()
    resumed = Journal(tmp_path, 3, [_epoch(1, 0.5)])
    for number, loss in ((2, 0.25), (3, 0.125)):
        resumed.add(_epoch(number, loss))
    resumed.close()

    found = _read(tmp_path / "tensorboard").Scalars("loss/train")
    assert [(event.step, event.value) for event in found] == [(1, 0.5), (2, 0.25), (3, 0.125)]


def test_without_tensorboard_a_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where TensorBoard is not installed, one sentence says so, once, and nothing is written."""
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    written = Events(tmp_path / "tensorboard")
    for step in (1, 2):
        written.scalars(step, {"loss": 0.5})
        written.flush()
    written.close()

    assert capsys.readouterr().out.splitlines() == [events.MISSING]
    assert not (tmp_path / "tensorboard").exists()


def test_tensorboard_is_imported_when_it_is_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until the first flush with something to write nothing is imported and nothing is made."""
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    written = Events(tmp_path / "tensorboard")
    written.flush()
    written.text("configuration", "text")

    assert list(tmp_path.iterdir()) == []
