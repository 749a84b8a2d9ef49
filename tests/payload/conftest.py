"""The payload's modules by the names that they have for each other, and MNIST, fetched once for all runs."""

from __future__ import annotations

import os
import sys
import warnings
from pathlib import Path

import pytest

PAYLOAD = Path(__file__).resolve().parents[2] / "payload"
sys.path.insert(0, str(PAYLOAD))

# Warnings are errors in the tests, but those of other people's modules being imported are not ours.
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    pytest.importorskip("pytorch_lightning", reason="needs payload/requirements.txt (5 GB)")
    import pytorch_lightning.cli  # noqa: F401


@pytest.fixture(scope="session")
def mnist_root() -> Path:
    """HOTRUN_TEST_DATA, else a directory of this user's cache, with MNIST in it (20 MB the first time)."""
    import mnist

    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    root = Path(os.environ.get("HOTRUN_TEST_DATA") or cache / "hotrun" / "data")
    mnist.fetch(root, print)
    return root
