from __future__ import annotations

import os
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("matplotlib", reason="needs matplotlib of payload/requirements.txt")

import pictures
from pictures import PictureError
from show.report import Epoch, Journal

PAYLOAD = Path(__file__).resolve().parents[2] / "payload"
FOUR = ["loss.png", "accuracy.png", "confusion.png", "mistakes.png"]
HEADER = "index,label,prediction,probability\n"


def _idx(path: Path, images: np.ndarray[Any, Any]) -> Path:
    head = struct.pack(f">{images.ndim + 1}I", 0x0800 + images.ndim, *images.shape)
    path.write_bytes(head + images.astype(np.uint8).tobytes())
    return path


def _run(directory: Path, epochs: int = 3, predictions: list[tuple[int, int, float]] | None = None) -> Path:
    """A run directory; (label, prediction, probability) per image, by default every tenth a mistake."""
    journal = Journal(directory, epochs)
    for number in range(1, epochs + 1):
        journal.rows.append(
            Epoch(epoch=number, train_loss=2 / number**2, val_loss=1 / number, val_accuracy=1 - 0.5 / number,
                  seconds=1.0, images_per_second=1000.0)
        )  # fmt: skip
    journal.add(journal.rows[-1])
    if predictions is None:
        predictions = [(n % 10, (n + (n % 10 == 3)) % 10, 0.5 + n / 200) for n in range(100)]
    rows = [f"{index},{label},{found},{p}\n" for index, (label, found, p) in enumerate(predictions)]
    (directory / "predictions.csv").write_text(HEADER + "".join(rows))
    return directory


def _texts(axes: Any) -> list[str]:
    return [text.get_text() for text in axes.texts]


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """100 images of MNIST's shape."""
    return _idx(tmp_path / "t10k-images-idx3-ubyte", np.arange(100 * 28 * 28).reshape(100, 28, 28) % 251)


@pytest.mark.parametrize("epochs", [1, 300])
@pytest.mark.parametrize("shape", [(100, 28, 28), (100, 1, 28, 28), (100, 3, 32, 32)], ids=str)
def test_a_run_becomes_four_pictures(tmp_path: Path, epochs: int, shape: tuple[int, ...]) -> None:
    """One epoch or hundreds, gray or colours: four PNGs, 900 pixels wide."""
    path = _idx(tmp_path / "images", np.zeros(shape))
    drawn, left_out = pictures.draw(_run(tmp_path, epochs), path, title="lenet on mnist")

    assert (drawn, left_out) == ([tmp_path / name for name in FOUR], [])
    for picture in drawn:
        assert picture.read_bytes()[:4] == b"\x89PNG"
        assert struct.unpack(">I", picture.read_bytes()[16:20]) == (900,)


def test_the_cells_count_every_image(tmp_path: Path) -> None:
    """A row per label, a column per prediction, the accuracy above, each label's share of right answers beside."""
    from show import figures

    predictions = [(0, 0, 0.9)] * 30 + [(0, 7, 0.8)] * 10 + [(7, 0, 0.7)] * 2 + [(7, 7, 0.6)] * 58
    found = pictures.read_predictions(_run(tmp_path, 1, predictions) / "predictions.csv")
    assert found is not None
    axes = figures.confusion(found, ["T-shirt"], "").axes[0]

    cells = {text.get_position()[::-1]: text.get_text() for text in axes.texts if text.get_ha() == "center"}
    assert cells == {(0, 0): "30", (0, 7): "10", (7, 0): "2", (7, 7): "58"}
    assert [text for text in _texts(axes) if text.endswith("%")] == ["75.0 %", "96.7 %"]
    assert axes.get_title(loc="left") == "accuracy 88.00 % of 100 test images, 12 mistakes"
    assert [label.get_text() for label in axes.get_yticklabels()] == ["T-shirt", *"123456789"]


def test_mistakes_come_with_the_most_confident_first(tmp_path: Path, images: Path) -> None:
    """Label, prediction, probability and number of the image stand below each; right answers are left out."""
    from show import figures

    predictions = [(1, 1, 0.99), (4, 9, 0.5), (3, 5, 0.75), (2, 7, 0.625)]
    found = pictures.read_predictions(_run(tmp_path, 1, predictions) / "predictions.csv")
    assert found is not None
    axes = figures.mistakes(found, pictures.read_images(images, found), [], "").axes[0]

    below = ["3 → 5", "0.750  #2", "2 → 7", "0.625  #3", "4 → 9", "0.500  #1"]
    assert _texts(axes) == below
    assert len(axes.images) == 3
    assert np.array_equal(axes.images[0].get_array(), pictures.read_images(images, found)[2])


def test_no_mistakes_are_said(tmp_path: Path, images: Path) -> None:
    """A page without images says why."""
    from show import figures

    found = pictures.read_predictions(_run(tmp_path, 1, [(1, 1, 0.9)] * 20) / "predictions.csv")
    assert found is not None
    axes = figures.mistakes(found, pictures.read_images(images, found), [], "").axes[0]

    assert _texts(axes) == ["none: all 20 test images are right"]


def test_what_is_not_known_is_left_out(tmp_path: Path, images: Path) -> None:
    """Without held-out images, with a loss that is no number, or without a file, the rest is drawn."""
    Journal(tmp_path, 2).add(
        Epoch(epoch=1, train_loss=float("nan"), val_loss=None, val_accuracy=None, seconds=1.0,
              images_per_second=1.0)
    )  # fmt: skip
    drawn, left_out = pictures.draw(tmp_path, images)

    assert [path.name for path in drawn] == ["loss.png", "accuracy.png"]
    assert left_out == [f"confusion.png, mistakes.png: no predictions in {tmp_path / 'predictions.csv'}"]
    _run(tmp_path)
    (tmp_path / "metrics.csv").unlink()
    drawn, left_out = pictures.draw(tmp_path, None)
    assert [path.name for path in drawn] == ["confusion.png"]
    assert len(left_out) == 2


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("metrics.csv", "epoch,train_loss\none,two\n", "is not a table of epochs"),
        ("predictions.csv", "a,b\n", "begins with 'a,b', not with index,label"),
        ("predictions.csv", HEADER + "0,1,2\n", "is not a table of predictions"),
        ("predictions.csv", HEADER + "0,-1,2,0.5\n", "has a number below 0"),
        ("predictions.csv", HEADER + "100,1,2,0.5\n", "100 x 28 x 28 are not the images of predictions.csv"),
        ("t10k-images-idx3-ubyte", "short", "is not an IDX file of images"),
        ("t10k-images-idx3-ubyte", "no images, but long enough", "is not an IDX file of images"),
    ],
)
def test_another_file_is_refused(tmp_path: Path, images: Path, name: str, content: str, said: str) -> None:
    """A file that is not what it should be is named with the reason."""
    _run(tmp_path)
    (tmp_path / name).write_text(content)

    with pytest.raises(PictureError, match=said) as raised:
        pictures.draw(tmp_path, images)
    assert str(tmp_path) in str(raised.value)


def test_images_are_found_below_a_directory(tmp_path: Path, images: Path) -> None:
    """--images takes a data root with one data set; of several it asks for one."""
    found = pictures.read_predictions(_run(tmp_path) / "predictions.csv")
    assert found is not None
    assert pictures.read_images(tmp_path, found).shape == (100, 28, 28)

    (tmp_path / "raw").mkdir()
    images.with_name("raw").joinpath(images.name).write_bytes(images.read_bytes())
    with pytest.raises(PictureError, match="has 2 files"):
        pictures.read_images(tmp_path, found)


def test_without_matplotlib_one_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sentence has the command that brings it."""
    monkeypatch.delitem(sys.modules, "show.figures", raising=False)
    monkeypatch.delattr(sys.modules["show"], "figures", raising=False)
    monkeypatch.setitem(sys.modules, "matplotlib", None)

    with pytest.raises(PictureError, match="pip install matplotlib"):
        pictures.draw(_run(tmp_path), None)


@pytest.mark.process
def test_a_child_draws_silently(
    tmp_path: Path, images: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The training's call: four files and not a word, also where HOME can't be written."""
    monkeypatch.setenv("HOME", "/proc/nowhere")
    for name in ("MPLCONFIGDIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    _run(tmp_path)
    capfd.readouterr()
    pictures.draw_in_child(tmp_path, images, ["zero", "one"], "mlp-100 on mnist")

    assert [name for name in FOUR if (tmp_path / name).is_file()] == FOUR
    assert capfd.readouterr() == ("", "")


@pytest.mark.process
@pytest.mark.parametrize("fault", ["file", "deadline"])
def test_a_child_that_fails_is_one_line(
    tmp_path: Path,
    images: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    fault: str,
) -> None:
    """Pictures never are an error of the training: a warning with the reason, and it goes on."""
    _run(tmp_path)
    if fault == "file":
        (tmp_path / "predictions.csv").write_text("something else")
    else:
        monkeypatch.setattr(pictures, "DRAWING_S", 0.001)
    capfd.readouterr()
    pictures.draw_in_child(tmp_path, images)

    said = capfd.readouterr()
    assert said.err == ""
    assert said.out.startswith("pictures are not drawn: ")
    assert {"file": "begins with 'something else'", "deadline": "more than 0.001 s"}[fault] in said.out
    assert said.out.count("\n") == 1


@pytest.mark.process
def test_drawing_imports_neither_torch_nor_pyplot() -> None:
    """They would take most of the time and of the memory of the child."""
    program = "import sys, pictures; from show import figures; print(sorted({'torch', 'matplotlib.pyplot'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], cwd=PAYLOAD, env={**os.environ}, text=True, check=True,
                          capture_output=True, timeout=60)  # fmt: skip

    assert done.stdout == "[]\n"


@pytest.mark.process
def test_a_person_draws_an_old_run(tmp_path: Path, images: Path) -> None:
    """`python payload/pictures.py RUN_DIR --images DIR` takes title and class names from result.json."""
    run = tmp_path / "run"
    run.mkdir()
    _run(run)
    (run / "result.json").write_text('{"net": "mlp-100", "data": "fashion-mnist"}')
    command = [sys.executable, str(PAYLOAD / "pictures.py"), str(run), "--images", str(tmp_path)]
    done = subprocess.run(command, text=True, capture_output=True, check=False, timeout=120)

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [str(run / name) for name in FOUR]
    assert pictures._classes(run)[0] == "T-shirt"
