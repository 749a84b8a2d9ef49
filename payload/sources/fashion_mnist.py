"""A data root -> Fashion-MNIST's four files below ROOT/FashionMNIST/raw, where torchvision has them too.

Ways: the files are there already; Debian's package dataset-fashion-mnist, if it is installed; torchvision's
mirrors; the same package through apt-get, for machines that reach a mirror of Debian or Ubuntu and nothing
else. The last one only downloads and unpacks: nothing is installed, so it needs no root.
"""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
import zlib
from pathlib import Path

from sources import mirrors, mnist
from sources.files import Collection, DataError, Say, obtain

COLLECTION = Collection(
    name="fashion-mnist",
    title="Fashion-MNIST",
    place="FashionMNIST/raw",
    names=mnist.COLLECTION.names,
    sha256={
        "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    },
    fix="`apt install dataset-fashion-mnist` is one way; --data.root DIR names a place that has it",
)
PACKAGE = "dataset-fashion-mnist"
INSTALLED = Path("/usr/share/datasets/fashion-mnist")  # of that package: the four files, each with .gz
APT_S = 300.0  # deadline of apt-get: 31 MB at 100 kB/s
APT_OPTIONS = [
    "-o",
    "Acquire::Retries=1",
    "-o",
    "Acquire::http::Timeout=20",
    "-o",
    "Acquire::https::Timeout=20",
]


def fetch(root: Path, say: Say) -> Path:
    """Return ROOT/FashionMNIST/raw with all four files in it. Raises DataError."""
    ways = (
        (f"Debian's package {PACKAGE}", from_package),
        (mirrors.TITLE, mirrors.fashion_mnist),
        (f"apt-get download {PACKAGE}", from_apt),
    )
    return obtain(COLLECTION, ways, root, say)


def from_package(directory: Path, _: Say) -> None:
    """Unpack the installed package's files into `directory`."""
    if not INSTALLED.is_dir():
        raise DataError(f"{INSTALLED} is not there")
    unpack(INSTALLED, directory)


def from_apt(directory: Path, say: Say) -> None:
    """Download the package into `directory`, and unpack its files there."""
    apt, dpkg = shutil.which("apt-get"), shutil.which("dpkg-deb")
    if not apt or not dpkg:
        raise DataError("apt-get is not here")
    say(f"{COLLECTION.name}: fetching 31 MB, the package {PACKAGE}, with apt-get into {directory.parent}")
    _run([apt, *APT_OPTIONS, "download", PACKAGE], directory)
    packages = list(directory.glob("*.deb"))
    if not packages:
        raise DataError("apt-get left no package")
    _run([dpkg, "--extract", str(packages[0]), "package"], directory)
    unpack(directory / "package" / INSTALLED.relative_to("/"), directory)


def unpack(packed: Path, directory: Path) -> None:
    """Write the files of `packed`, which end with .gz, into `directory` without it."""
    for name in COLLECTION.names:
        source = packed / f"{name}.gz"
        try:
            with gzip.open(source) as file, (directory / name).open("wb") as target:
                shutil.copyfileobj(file, target)
        except (EOFError, zlib.error) as error:
            raise DataError(f"{source} is not whole: {error}") from error


def _run(command: list[str], directory: Path) -> None:
    """Run a command in `directory`; its last line is the error's text."""
    environment = {**os.environ, "LC_ALL": "C", "TMPDIR": str(directory)}  # /tmp may belong to others
    try:
        done = subprocess.run(
            command, cwd=directory, env=environment, check=False, timeout=APT_S,
            text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise DataError(str(error)) from error
    if done.returncode:
        lines = [line for line in done.stdout.splitlines() if line.strip()] or ["no message"]
        raise DataError(f"{Path(command[0]).name}: {lines[-1].strip()}")
