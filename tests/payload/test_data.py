from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import data
import mnist
import pytest
import torch

if TYPE_CHECKING:
    from pathlib import Path

WORLDS = [1, 2, 3, 7]
SIZES = [(55_000, 128), (60_000, 128), (13, 4), (9, 4), (8, 1), (257, 64)]


def _epoch(count: int, batch: int, world: int, epoch: int = 0, seed: int = 1) -> list[list[torch.Tensor]]:
    return [
        list(data.training_indices(count, batch, world=world, rank=rank, seed=seed, epoch=epoch))
        for rank in range(world)
    ]


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize(("count", "batch"), SIZES)
def test_every_training_image_comes_once_an_epoch(count: int, batch: int, world: int) -> None:
    """Over the ranks an epoch is a permutation of the training images."""
    seen = torch.cat([index for rank in _epoch(count, batch, world) for index in rank])

    assert torch.equal(seen.sort().values, torch.arange(count))


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize(("count", "batch"), SIZES)
def test_all_ranks_have_as_many_steps(count: int, batch: int, world: int) -> None:
    """Ranks never wait for a step that another one does not have, no batch is empty, sizes are alike."""
    ranks = _epoch(count, batch, world)
    sizes = [len(index) for rank in ranks for index in rank]

    assert {len(rank) for rank in ranks} == {data.training_steps(count, batch, world)}
    assert min(sizes) >= 1
    assert max(sizes) - min(sizes) <= 2


def test_batches_are_as_large_as_asked() -> None:
    """The batch size is a limit that an epoch comes close to."""
    sizes = [len(index) for rank in _epoch(55_000, 128, 3) for index in rank]

    assert min(sizes) >= 126
    assert max(sizes) <= 128


def test_each_epoch_has_its_own_order() -> None:
    """The order depends on epoch and seed, and on nothing else."""
    first = torch.cat(_epoch(1000, 10, 2)[0])

    assert torch.equal(first, torch.cat(_epoch(1000, 10, 2)[0]))
    assert not torch.equal(first, torch.cat(_epoch(1000, 10, 2, epoch=1)[0]))
    assert not torch.equal(first, torch.cat(_epoch(1000, 10, 2, seed=2)[0]))


@pytest.mark.parametrize("world", WORLDS)
def test_every_test_image_is_judged_once(world: int) -> None:
    """Over the ranks the shares of an evaluation are all images, none twice to fill up."""
    shares = [torch.cat(list(data.evaluation_indices(10_000, world, rank))) for rank in range(world)]

    assert torch.equal(torch.cat(shares).sort().values, torch.arange(10_000))


def test_idx_files_are_read(tmp_path: Path) -> None:
    """Images and labels come back as they were written."""
    pixels = bytes(range(256)) * 7  # 1,792 bytes; two images take 1,568
    (tmp_path / "images").write_bytes(struct.pack(">IIII", 2051, 2, 28, 28) + pixels[:1568])
    (tmp_path / "labels").write_bytes(struct.pack(">II", 2049, 3) + bytes([7, 0, 9]))

    images, labels = data.read_images(tmp_path / "images"), data.read_labels(tmp_path / "labels")

    assert (images.shape, images.dtype) == ((2, 784), torch.uint8)
    assert images[1, 5] == pixels[789]
    assert labels.tolist() == [7, 0, 9]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        struct.pack(">II", 2051, 1) + b"\x01",
        struct.pack(">II", 2049, 2) + b"\x01",
        struct.pack(">II", 2049, 1) + b"\x01\x02",
    ],
)
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    """A file with another magic number, or cut off, or too long, is named and not read."""
    (tmp_path / "labels").write_bytes(content)

    with pytest.raises(ValueError, match="labels"):
        data.read_labels(tmp_path / "labels")


@pytest.mark.parametrize("values", [{"batch_size": 0}, {"validation": 60_000}])
def test_impossible_sizes_are_refused(values: dict[str, int]) -> None:
    """A batch of nothing and a training set of nothing are named by their flags."""
    with pytest.raises(mnist.DataError, match="--data"):
        data.Images(**values)


def test_the_root_comes_from_the_node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """--data.root wins over HOTRUN_DATA_DIR, which wins over ./data."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOTRUN_DATA_DIR", str(tmp_path / "node"))

    assert data.Images(root="mine").root == tmp_path / "mine"
    assert data.Images().root == tmp_path / "node"
    monkeypatch.delenv("HOTRUN_DATA_DIR")
    assert data.Images().root == tmp_path / "data"
