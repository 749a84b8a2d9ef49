"""The payload's modules by the names that they have for each other, and data, fetched once for all runs."""

from __future__ import annotations

import http.server
import sys
import threading
import warnings
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.payload.left import data_root, mnist_root

__all__ = ["data_root", "mnist_root"]  # fixtures
PAYLOAD = Path(__file__).resolve().parents[2] / "payload"
sys.path.insert(0, str(PAYLOAD))

# Warnings are errors in the tests, but those of other people's modules being imported are not ours.
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    pytest.importorskip("pytorch_lightning", reason="needs payload/requirements.txt (5 GB)")
    import pytorch_lightning.cli  # noqa: F401


@pytest.fixture(scope="session")
def fashion_root(data_root: Path) -> Path:
    """A data root with Fashion-MNIST in it (31 MB the first time; without root, and without installing anything)."""
    import fetch
    from sources.files import DataError

    try:
        fetch.fetch("fashion-mnist", data_root, print)
    except DataError as error:
        pytest.skip(str(error))
    return data_root


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A directory and the address that serves it, on this machine."""
    directory = tmp_path / "served"
    directory.mkdir()
    with http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(_Quiet, directory=str(directory))
    ) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield directory, f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
