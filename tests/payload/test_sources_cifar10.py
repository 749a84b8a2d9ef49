from __future__ import annotations

import io
import os
import pickle
import struct
import tarfile
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from sources import arrays, cifar10, files, mirrors
from sources.files import DataError

from tests.payload.small import md5_of, refuse


class _Python2(pickle._Pickler):  # type: ignore[name-defined]
    """Writes what Python 2 wrote: every string is a BINSTRING, which has no encoding."""

    dispatch: ClassVar[dict[type, Any]] = dict(pickle._Pickler.dispatch)  # type: ignore[attr-defined]

    def _save_string(self, text: str | bytes) -> None:
        content = text.encode() if isinstance(text, str) else text
        self.write(pickle.BINSTRING + struct.pack("<I", len(content)) + content)
        self.memoize(text)

    dispatch[str] = dispatch[bytes] = _save_string


def _of_python_2(content: object) -> bytes:
    file = io.BytesIO()
    _Python2(file, protocol=2).dump(content)
    return file.getvalue().replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n")


class _Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return eval, ("__import__('os').environ.update(EVIL='1')",)


def test_the_unpickler_refuses_other_classes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pickle with anything but numpy arrays is refused before it does anything."""
    monkeypatch.delenv("EVIL", raising=False)
    for content in (_Evil(), Path("x"), set, [{"data": _Evil()}], np.random.default_rng):
        with pytest.raises(pickle.UnpicklingError, match="refused"):
            arrays.ArraysOnly.loads(pickle.dumps(content))
    assert "EVIL" not in os.environ


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_the_unpickler_reads_arrays(protocol: int) -> None:
    """Tuples of numpy arrays come through."""
    array = np.asfortranarray(np.arange(6, dtype=np.float32).reshape(2, 3))[:, ::2]
    # Python 3 can't write strings as Python 2 did: its bytes in protocol 2 are calls of _codecs.encode
    content = _of_python_2((array, 5)) if protocol == 2 else pickle.dumps((array, 5), protocol=protocol)

    (back, five) = arrays.ArraysOnly.loads(content)

    assert five == 5
    assert np.array_equal(back, array)


@pytest.fixture
def batches(monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """Six small batches of 4 images in the published format, with their own MD5s."""
    random = np.random.default_rng(1)
    content = {}
    for name in cifar10.MD5:
        pixels = random.integers(0, 256, (4, 3072), np.uint8)
        entry = {
            b"batch_label": name.encode(),
            b"labels": [3, 9, 0, 1],
            b"data": pixels,
            b"filenames": [b"x.png"] * 4,
        }
        content[name] = _of_python_2(entry)
        monkeypatch.setitem(cifar10.MD5, name, md5_of(content[name]))
    return content


def _write(directory: Path, content: dict[str, bytes]) -> None:
    directory.mkdir(parents=True)
    for name, data in content.items():
        (directory / name).write_bytes(data)


def test_batches_of_cifar10_become_idx_files(tmp_path: Path, batches: dict[str, bytes]) -> None:
    """The five batches are joined in order; pixels and labels are the ones that the usual reader finds."""
    _write(tmp_path / cifar10.BATCHES, batches)
    usual = [pickle.loads(batches[f"data_batch_{number}"], encoding="bytes") for number in range(1, 6)]

    place = cifar10.fetch(tmp_path, print)

    train = (place / "train-images-idx4-ubyte").read_bytes()
    assert train[:20] == struct.pack(">IIIII", 2052, 20, 3, 32, 32)
    assert train[20:] == b"".join(entry[b"data"].tobytes() for entry in usual)
    assert (place / "train-labels-idx1-ubyte").read_bytes() == struct.pack(">II", 2049, 20) + bytes(
        [3, 9, 0, 1] * 5
    )
    assert (place / "t10k-images-idx4-ubyte").stat().st_size == 20 + 4 * 3072
    assert (place / "t10k-labels-idx1-ubyte").read_bytes()[4:8] == bytes([0, 0, 0, 4])


def test_batches_are_converted_once(
    tmp_path: Path, batches: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was converted stays, without the batches; a file that is cut afterwards is converted again."""
    _write(tmp_path / cifar10.BATCHES, batches)
    place = cifar10.fetch(tmp_path, print)
    whole = (place / "train-images-idx4-ubyte").read_bytes()
    said: list[str] = []
    cifar10.fetch(tmp_path, said.append)
    assert said == []

    (place / "train-images-idx4-ubyte").write_bytes(whole[:-1])
    cifar10.fetch(tmp_path, said.append)

    assert (place / "train-images-idx4-ubyte").read_bytes() == whole
    assert "train-images-idx4-ubyte is not CIFAR-10's" in said[0]


@pytest.mark.parametrize(
    "entry",
    [
        {"data": np.zeros((4, 3072), np.uint8), "labels": [0, 1, 2]},
        {"data": np.zeros((4, 3072), np.uint8), "labels": [0, 1, 2, 10]},
        {"data": np.zeros((4, 3071), np.uint8), "labels": [0, 1, 2, 3]},
        {"data": np.zeros((4, 3072), np.float32), "labels": [0, 1, 2, 3]},
        {"data": _Evil(), "labels": [0, 1, 2, 3]},
        {"labels": [0]},
        [],
    ],
)
def test_a_batch_of_another_form_is_refused(
    tmp_path: Path, entry: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even with the right MD5 a batch must hold bytes of the right shape with a label each, and nothing else."""
    content = _of_python_2(entry)
    monkeypatch.setitem(cifar10.MD5, "test_batch", md5_of(content))
    (tmp_path / "test_batch").write_bytes(content)

    with pytest.raises(DataError, match=r"test_batch"):
        cifar10.read_batch(tmp_path / "test_batch")


def test_cifar10_names_its_ways(
    tmp_path: Path, batches: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch with another MD5 is not read, and named beside the mirror that failed."""
    _write(tmp_path / cifar10.BATCHES, {**batches, "data_batch_3": batches["data_batch_3"][:-1]})
    monkeypatch.setattr(mirrors, "cifar10", refuse)

    with pytest.raises(DataError, match=r"data_batch_3 is not CIFAR-10's: its MD5 is .*\(3\) torchvision's"):
        cifar10.fetch(tmp_path, print)


@pytest.mark.payload
def test_cifar10_comes_from_its_mirror(
    served: tuple[Path, str], tmp_path: Path, batches: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """torchvision fetches and unpacks the archive; the four files are what is kept."""
    dataset = pytest.importorskip("torchvision").datasets.CIFAR10
    directory, address = served
    meta = _of_python_2({b"label_names": [b"plane"] * 10})
    with tarfile.open(directory / "cifar.tar.gz", "w:gz") as archive:
        for name, content in {**batches, "batches.meta": meta}.items():
            entry = tarfile.TarInfo(f"{cifar10.BATCHES}/{name}")
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    md5 = [[name, cifar10.MD5[name]] for name in batches]
    for key, value in {
        "url": f"{address}cifar.tar.gz", "tgz_md5": md5_of((directory / "cifar.tar.gz").read_bytes()),
        "train_list": md5[:-1], "test_list": md5[-1:], "meta": {**dataset.meta, "md5": md5_of(meta)},
    }.items():  # fmt: skip
        monkeypatch.setattr(dataset, key, value)

    place = cifar10.fetch(tmp_path / "root", print)

    assert {*cifar10.COLLECTION.names, files.SUMS, files.MARKER, ".lock"} == {
        path.name for path in place.iterdir()
    }


@pytest.mark.payload
def test_the_md5s_are_torchvisions() -> None:
    """The table of CIFAR-10 is the one that torchvision has."""
    dataset = pytest.importorskip("torchvision").datasets.CIFAR10

    assert dict([*dataset.train_list, *dataset.test_list]) == cifar10.MD5
