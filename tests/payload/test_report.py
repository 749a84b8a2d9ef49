from __future__ import annotations

import csv
import json
import math
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from show import report
from show.report import Epoch, Journal, ReportError


def _epoch(number: int, **changes: object) -> Epoch:
    row = Epoch(epoch=number, train_loss=1 / number, val_loss=0.9 / number, val_accuracy=1 - 0.1 / number,
                seconds=0.5, images_per_second=110_000.0, learning_rate=0.005, weights_sha256="ab" * 32)  # fmt: skip
    return replace(row, **changes)  # type: ignore[arg-type]


def _rows(run: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((run / "metrics.csv").read_text().splitlines()))


def _lines(run: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (run / "epochs.jsonl").read_text().splitlines()]


def test_an_epoch_is_a_line_that_programs_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`epoch I/N  loss X  accuracy Y %  Z img/s`, without what is not known."""
    journal = Journal(tmp_path, 3)
    journal.add(_epoch(2, train_loss=0.1119, val_accuracy=0.9786, images_per_second=31_240.4))
    Journal(tmp_path).add(_epoch(1, val_loss=None, val_accuracy=None))

    assert capsys.readouterr().out.splitlines() == [
        "epoch 2/3  loss 0.112  accuracy 97.9 %  31,240 img/s",
        "epoch 1/?  loss 1.000  110,000 img/s",
    ]


def test_every_epoch_is_in_both_files(tmp_path: Path) -> None:
    """metrics.csv and epochs.jsonl have a row per epoch, an empty cell or null for what is not known."""
    journal = Journal(tmp_path, 2)
    epochs = [_epoch(1), _epoch(2, val_loss=None, val_accuracy=None, learning_rate=None)]
    for epoch in epochs:
        journal.add(epoch)

    first, second = _rows(tmp_path)
    assert list(first) == list(report.COLUMNS)
    assert (first["epoch"], first["train_loss"], first["val_accuracy"]) == ("1", "1.0", "0.9")
    assert (second["val_loss"], second["val_accuracy"]) == ("", "")
    assert _lines(tmp_path) == [asdict(epoch) for epoch in epochs]
    assert sorted(path.name for path in tmp_path.glob("*.*")) == ["epochs.jsonl", "metrics.csv"]


def test_a_resumed_run_has_every_epoch_once(tmp_path: Path) -> None:
    """A journal that goes on from a checkpoint's rows has no epoch twice, and none that was not resumed."""
    killed = Journal(tmp_path, 5)
    for number in (1, 2):
        killed.add(_epoch(number))
    checkpoint = json.loads(json.dumps(killed.plain()))
    killed.add(_epoch(3, train_loss=7.0))

    resumed = Journal(tmp_path, 5, checkpoint)
    assert [row["epoch"] for row in _rows(tmp_path)] == ["1", "2"]
    resumed.add(_epoch(3))
    resumed.add(_epoch(4))

    assert resumed.rows == [_epoch(number) for number in (1, 2, 3, 4)]
    assert [line["epoch"] for line in _lines(tmp_path)] == [1, 2, 3, 4]


def test_an_epoch_that_comes_again_takes_its_place(tmp_path: Path) -> None:
    """Rows from the number of an added epoch on are dropped: they were not resumed."""
    journal = Journal(tmp_path, 5, [_epoch(1), _epoch(2), _epoch(3)])
    journal.add(_epoch(2, train_loss=0.25))

    assert [(row.epoch, row.train_loss) for row in journal.rows] == [(1, 1.0), (2, 0.25)]
    assert [row["epoch"] for row in _rows(tmp_path)] == ["1", "2"]


def test_a_loss_that_is_no_number_is_null_in_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """JSON knows no NaN: any reader shall read epochs.jsonl and result.json of a training that diverged."""
    Journal(tmp_path, 1).add(_epoch(1, train_loss=math.nan, val_loss=math.inf))
    report.write_result(tmp_path / "result.json", {"train_loss": math.nan, "versions": {"python": "3"}})

    assert "loss nan" in capsys.readouterr().out
    assert (_lines(tmp_path)[0]["train_loss"], _lines(tmp_path)[0]["val_loss"]) == (None, None)
    assert json.loads((tmp_path / "result.json").read_text()) == {
        "train_loss": None,
        "versions": {"python": "3"},
    }
    assert (_rows(tmp_path)[0]["train_loss"], _rows(tmp_path)[0]["val_loss"]) == ("nan", "inf")


def test_a_place_that_can_not_be_written_is_one_sentence(tmp_path: Path) -> None:
    """The path, the system's reason and the variable that names another place."""
    place = tmp_path / "file"
    place.write_text("")
    journal = Journal(place, 1)

    for act in (lambda: journal.add(_epoch(1)), lambda: report.write_result(place / "result.json", {})):
        with pytest.raises(ReportError) as raised:
            act()
        text = str(raised.value)
        assert text.startswith(str(place))
        assert "Not a directory; HOTRUN_RUN_DIR names another place" in text
        assert "\n" not in text


def test_run_directories_are_numbered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Alone, each run gets the next free ./runs/NAME-N; HOTRUN_RUN_DIR is taken as it is, and made."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HOTRUN_RUN_DIR", raising=False)
    alone = [report.run_directory("mnist-lenet") for _ in range(2)]
    monkeypatch.setenv("HOTRUN_RUN_DIR", str(tmp_path / "a" / "b"))

    assert alone == [tmp_path / "runs" / "mnist-lenet-1", tmp_path / "runs" / "mnist-lenet-2"]
    assert report.run_directory("mnist-lenet") == tmp_path / "a" / "b"
    assert list((tmp_path / "a" / "b").iterdir()) == []


def test_a_run_directory_is_tried_before_the_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A place that can't be had is said before the first step."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("HOTRUN_RUN_DIR", str(tmp_path / "file" / "run"))

    with pytest.raises(ReportError, match="HOTRUN_RUN_DIR names another place"):
        report.run_directory("mnist-lenet")


def test_what_a_figure_depends_on() -> None:
    """Versions of what computes."""
    assert list(report.versions()) == ["python", "torch", "torchvision", "pytorch-lightning", "numpy"]
