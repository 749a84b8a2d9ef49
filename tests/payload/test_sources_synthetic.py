from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from sources import synthetic


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory with the four files, made once."""
    return synthetic.fetch(tmp_path_factory.mktemp("root"), print)


def _pixels(place: Path, prefix: str) -> tuple[np.ndarray, np.ndarray]:
    images = np.fromfile(place / f"{prefix}-images-idx3-ubyte", np.uint8, offset=16).reshape(-1, 784)
    return images, np.fromfile(place / f"{prefix}-labels-idx1-ubyte", np.uint8, offset=8)


def test_the_files_are_the_same_bytes_everywhere(place: Path) -> None:
    """Making the images gives the pinned SHA-256s, whatever the numpy: else fetching would have failed."""
    assert (place / ".checked").exists()
    assert (place / "train-images-idx3-ubyte").stat().st_size == 16 + 60_000 * 784


def test_no_image_comes_twice(place: Path) -> None:
    """Test images are none of the training images, and no image is repeated."""
    rows = {row.tobytes() for prefix in ("train", "t10k") for row in _pixels(place, prefix)[0]}

    assert len(rows) == 70_000


def test_classes_are_about_equally_frequent(place: Path) -> None:
    """Each of the ten classes has 9 to 11 % of the training images, and of the test images."""
    for prefix in ("train", "t10k"):
        labels = _pixels(place, prefix)[1]
        assert np.bincount(labels, minlength=10).min() > 0.09 * len(labels)
        assert np.bincount(labels, minlength=10).max() < 0.11 * len(labels)


@pytest.mark.payload
def test_a_hidden_layer_learns_it_and_none_does_not(place: Path) -> None:
    """In one epoch 784-100-10 gets more than 95 % of the test images right, a linear net less than 30 %."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # with more, a busy machine takes ten times as long
    try:
        accuracies = [_accuracy(place, hidden) for hidden in (100, 0)]
    finally:
        torch.set_num_threads(threads)

    assert accuracies[0] > 0.95
    assert accuracies[1] < 0.30


def _accuracy(place: Path, hidden: int) -> float:
    torch.manual_seed(1)
    layers = [torch.nn.Linear(784, hidden), torch.nn.ReLU()] if hidden else []
    net = torch.nn.Sequential(*layers, torch.nn.Linear(hidden or 784, 10))
    optimizer = torch.optim.Adam(net.parameters(), lr=0.003)
    (images, labels), (test, truth) = _pixels(place, "train"), _pixels(place, "t10k")
    for start in range(0, len(labels), 200):
        batch = torch.from_numpy(images[start : start + 200]).float().sub_(126).div_(88)
        loss = torch.nn.functional.cross_entropy(
            net(batch), torch.from_numpy(labels[start : start + 200]).long()
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        guesses = net(torch.from_numpy(test).float().sub_(126).div_(88)).argmax(1)
    return float((guesses == torch.from_numpy(truth)).float().mean())
