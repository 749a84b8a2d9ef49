"""Files of images become tables that are mapped, in the order of the file, and batches of them."""

from __future__ import annotations

import struct
from pathlib import Path

import data
import pytest
import torch
from sources.files import DataError


def _spec(*shape: int) -> data.Spec:
    channels, height, width = shape
    return data.Spec(shape=(channels, height, width), mean=(0.0,) * channels, std=(1.0,) * channels)


def _idx(path: Path, shape: tuple[int, ...], content: bytes) -> Path:
    path.write_bytes(struct.pack(f">BBBB{len(shape)}I", 0, 0, 8, len(shape), *shape) + content)
    return path


def test_grey_images_are_read(tmp_path: Path) -> None:
    """N x H x W bytes come back as N x 1 x H x W; labels as int64."""
    images = _idx(tmp_path / "images", (2, 3, 4), bytes(range(24)))
    labels = _idx(tmp_path / "labels", (2,), bytes([7, 9]))

    table = data.read(images, labels, _spec(1, 3, 4))

    assert table.images.shape == (2, 1, 3, 4)
    assert table.images.dtype == torch.uint8
    assert table.images.flatten().tolist() == list(range(24))
    assert (len(table), table.labels.dtype, table.labels.tolist()) == (2, torch.int64, [7, 9])


def test_colours_are_read(tmp_path: Path) -> None:
    """N x C x H x W bytes come back as they are."""
    images = _idx(tmp_path / "images", (1, 3, 2, 2), bytes(range(12)))

    table = data.read(images, _idx(tmp_path / "labels", (1,), b"\x01"), _spec(3, 2, 2))

    assert table.images[0, 2].tolist() == [[8, 9], [10, 11]]


def test_a_part_is_no_copy(tmp_path: Path) -> None:
    """Parts and the whole are the same memory."""
    table = data.read(
        _idx(tmp_path / "i", (4, 1, 1), b"abcd"), _idx(tmp_path / "l", (4,), bytes(4)), _spec(1, 1, 1)
    )

    part = table.part(1, 3)

    assert part.images.flatten().tolist() == [98, 99]
    assert part.images.data_ptr() == table.images.data_ptr() + 1


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", "is not an IDX file of bytes"),
        (b"\0\0\x0d\x01" + bytes(8), "is not an IDX file of bytes"),  # floats
        (b"\0\0\x08\x00", "is not an IDX file of bytes"),
        (b"\0\0\x08\x05" + bytes(20), "is not an IDX file of bytes"),
        (b"\0\0\x08\x03\0\0", "is not an IDX file of bytes"),
        (b"<html>not found</html>", "is not an IDX file of bytes"),
        (struct.pack(">II", 0x801, 2) + b"\x01", "has 9 bytes, its header says 10"),
        (struct.pack(">II", 0x801, 1) + b"\x01\x02", "has 10 bytes, its header says 9"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, content: bytes, text: str) -> None:
    """A file of another type, or cut off, or too long, is named and not read."""
    (tmp_path / "labels").write_bytes(content)

    with pytest.raises(DataError, match=f"labels {text}"):
        data.map_idx(tmp_path / "labels")


def test_images_without_labels_are_refused(tmp_path: Path) -> None:
    """Both files must tell of as many images."""
    images, labels = _idx(tmp_path / "i", (2, 1, 1), b"ab"), _idx(tmp_path / "l", (3,), b"012")

    with pytest.raises(DataError, match=r"i has 2 images, but .*l 3 labels"):
        data.read(images, labels, _spec(1, 1, 1))


def test_the_last_images_are_held_out(mnist_root: Path) -> None:
    """Training images and those held out are all 60,000, in the order of the file; 0 holds none out."""
    whole, part = data.load("mnist", mnist_root, 0), data.load("mnist", mnist_root, 5000)

    assert [len(whole.train), len(whole.held_out), len(whole.test)] == [60_000, 0, 10_000]
    assert [len(part.train), len(part.held_out)] == [55_000, 5000]
    assert torch.equal(torch.cat([part.train.labels, part.held_out.labels]), whole.train.labels)
    assert torch.equal(part.held_out.images, whole.train.images[55_000:])


def test_images_of_another_kind_are_refused(tmp_path: Path) -> None:
    """Another size than the table's, or a label beyond its classes: both are named."""
    images = _idx(tmp_path / "images", (1, 2, 2), bytes(4))
    labels = _idx(tmp_path / "labels", (1,), b"\x0a")

    with pytest.raises(
        DataError, match=r"images: images of \(1, 2, 2\), but SPECS in data.py says \(1, 3, 3\)"
    ):
        data.read(images, labels, _spec(1, 3, 3))
    with pytest.raises(DataError, match=r"labels: label 10, but SPECS in data.py names 10 classes, 0 to 9"):
        data.read(images, labels, _spec(1, 2, 2))


@pytest.mark.parametrize("validation", [60_000, 70_000, -1])
def test_nothing_left_to_train_is_refused(mnist_root: Path, validation: int) -> None:
    """The flag, what was asked for, and what is possible."""
    with pytest.raises(DataError, match=r"of 60,000 \(--data.validation\): 0 to 59,999 are"):
        data.load("mnist", mnist_root, validation)


def test_mnist_is_normalised(mnist_root: Path) -> None:
    """The training images have mean 0 and deviation 1, so the table's figures are MNIST's."""
    mnist = data.load("mnist", mnist_root, 0)

    floats = mnist.normalise(mnist.train.images)

    assert floats.dtype == torch.float32
    assert float(floats.mean()) == pytest.approx(0, abs=0.001)
    assert float(floats.std()) == pytest.approx(1, abs=0.001)


def test_colours_are_normalised_each(mnist_root: Path) -> None:
    """Each channel by its own figures."""
    spec = data.SPECS["cifar10"]
    mnist = data.load("mnist", mnist_root, 0)
    colours = data.DataSet(name="cifar10", train=mnist.train, held_out=mnist.held_out, test=mnist.test, spec=spec,
                           files=mnist.files)  # fmt: skip
    images = torch.tensor(spec.mean).round().to(torch.uint8).view(1, 3, 1, 1).expand(2, 3, 32, 32)

    floats = colours.normalise(images)

    for channel, (mean, std) in enumerate(zip(spec.mean, spec.std, strict=True)):
        assert floats[0, channel, 0, 0].item() == pytest.approx((round(mean) - mean) / std, abs=1e-4)


def test_each_spec_has_a_figure_for_each_channel() -> None:
    """As many means and deviations as channels, ten classes, no class twice."""
    for spec in data.SPECS.values():
        assert len(spec.mean) == len(spec.std) == spec.shape[0]
        assert len(set(spec.classes)) == 10


def test_batches_select_anew_each_time(tmp_path: Path) -> None:
    """Each iteration asks which images are meant: another epoch, another order."""
    table = data.read(
        _idx(tmp_path / "i", (4, 1, 1), b"abcd"), _idx(tmp_path / "l", (4,), bytes(range(4))), _spec(1, 1, 1)
    )
    orders = iter([[0, 1], [3, 2]])
    batches = data.Batches(table, lambda: [(torch.tensor(next(orders)), 0.5)], 1)

    seen = [
        [(images.flatten().tolist(), labels.tolist(), weight) for images, labels, weight in batches]
        for _ in range(2)
    ]

    assert len(batches) == 1
    assert seen == [[([97, 98], [0, 1], 0.5)], [([100, 99], [3, 2], 0.5)]]


def test_the_root_comes_from_the_node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was given wins over HOTRUN_DATA_DIR, which wins over ./data."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOTRUN_DATA_DIR", str(tmp_path / "node"))

    assert data.root_directory("mine") == tmp_path / "mine"
    assert data.root_directory() == tmp_path / "node"
    monkeypatch.delenv("HOTRUN_DATA_DIR")
    assert data.root_directory() == tmp_path / "data"
